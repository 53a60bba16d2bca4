#pragma once
/*
 * What pkg*.c share among themselves: running a package tool with its locks, retries and failure texts. A manager
 * gives its own tables; the loop is one.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/exec.h"
#include "sys/machine.h"
#include "sys/pkg.h"

/** What a failed tool's text says was wrong. */
enum pkg_trouble {
	PKG_TROUBLE_OTHER,
	PKG_TROUBLE_LOCK,	 /* somebody else holds the database: wait, try again */
	PKG_TROUBLE_INTERRUPTED, /* an earlier run was killed: configure, try again */
	PKG_TROUBLE_NO_SPACE,
	PKG_TROUBLE_STALE,     /* the index names a file that the mirror has no more: refresh, try again */
	PKG_TROUBLE_NET,       /* a mirror's trouble: try again later */
	PKG_TROUBLE_NOT_FOUND, /* no repository has it */
	PKG_TROUBLE_HELD,
	PKG_TROUBLE_CONFLICT, /* dependencies or conflicts */
	PKG_TROUBLE_SCRIPT,   /* a package's own script failed */
};

/** A text of the tool's output and what it means. The first row that occurs anywhere decides. */
struct pkg_rule {
	const char *text;
	enum pkg_trouble trouble;
};

struct pkg_tool {
	const char *lock_name;	       /* "dpkg lock" */
	const char *const *lock_paths; /* NULL-terminated */
	const struct pkg_rule *rules;  /* ends with text NULL */
	const char *const *env;	       /* "K=V" put before the machine's */
	exec_line_fn on_line;	       /* progress; arg is a struct pkg_run */
	const char *const *repair;     /* argv that mends PKG_TROUBLE_INTERRUPTED, or NULL */
};

/** One call of pkg_run: its output and progress. */
struct pkg_run {
	const struct machine *machine;
	const struct pkg_tool *tool;
	struct buf output;	  /* the last lines of both streams, at most PKG_OUTPUT_MAX */
	enum pkg_trouble trouble; /* after a failure */
	bool has_repaired;
	int total, fetched, unpacked, done; /* packages of the transaction, and how far each phase is */
};

#define PKG_OUTPUT_MAX (64 * 1024)

void pkg_run_init(struct pkg_run *run, const struct machine *m, const struct pkg_tool *tool);
void pkg_run_clear(struct pkg_run *run);
#define AUTO_PKG_RUN AUTO(pkg_run_clear)

/**
 * Runs argv: waits for the locks first; on lock texts waits again (PKG_LOCK_WAIT_MS in all), repairs an interrupted
 * database once, tries again after mirror trouble (4 attempts, growing pauses). On failure run->trouble and
 * run->output tell what it was, and err holds the tool's own last words.
 */
CHECK_RESULT int pkg_run(struct pkg_run *run, const char *const *argv, struct err *err);

/** A query: no lock, no listener, its whole stdout in ret->out. Any exit status is fine. */
CHECK_RESULT int pkg_ask(const struct machine *m, const char *const *argv, const char *const *env,
			 struct exec_result *ret, struct err *err);

enum pkg_trouble pkg_classify(const struct pkg_rule *rules, const char *output);

/** The first line of output that holds text, from its start, in the arena; NULL if there is none. */
const char *pkg_line_with(const char *output, const char *text, struct arena *arena);

/** What stands between before and after on one line of output ("between 'a' and 'b'"), in the arena, or NULL. */
const char *pkg_between(const char *output, const char *before, const char *after, struct arena *arena);

/** The patterns of pkg_is_kept, NULL at the end. */
extern const char *const pkg_kept_patterns[];

/** "; did you mean 'git'?" or "": name against the names that argv prints, one a line. */
const char *pkg_did_you_mean(const struct machine *m, const char *name, const char *const *argv,
			     const char *const *env);

/* Parts of the managers that are pure, for the tests. */

/** Fills ret for names from dpkg-query's lines "status\tname\tarch\tversion\tprovides"; texts in the arena. */
void apt_match(char *lines, const struct strs *names, struct arena *arena, struct pkg_installed *ret);
/**
 * Upgrades in the output of `apt-get -s upgrade`: the "Inst name [old] (new origin …)" lines. ret_kept (may be NULL)
 * gets "name=old" of those that pkg_is_kept.
 */
void apt_upgrades(char *lines, bool security_only, struct arena *arena, struct strs *ret_names, struct strs *ret_kept);
/** Fills err with what a failed apt-get means. Names nearest to unknown ones are asked from the machine. */
int apt_explain(const struct machine *m, const struct pkg_run *run, struct err *err);
int dnf_explain(const struct machine *m, const struct pkg_run *run, struct err *err);
void apt_on_line(enum exec_stream stream, const char *line, void *arg);
void dnf_on_line(enum exec_stream stream, const char *line, void *arg);
extern const struct pkg_rule apt_rules[], dnf_rules[];
/** Environment of apt-get and dpkg: no questions, C locale. */
extern const char *const apt_env[], *const dnf_env[];
