#pragma once
/*
 * The machine as a step reaches it: root, environment, output, progress, deadline in one value, and the one way to run
 * a command there. Passed to everything in sys/ and steps/.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exec.h"
#include "base/str.h"

struct err;
struct fs_root;

/** Progress: what is being done; done of total (wheels, packages, phases; total 0: not known). */
typedef void (*machine_note_fn)(const char *text, int64_t done, int64_t total, void *arg);
/** A wait for something outside: "the dpkg lock (unattended-upgr, pid 1719)", waited so far. Called about once a
 * second. */
typedef void (*machine_wait_fn)(const char *what, int64_t waited_ms, void *arg);

/** A word for the reports beside the step's own: key "gpu", value "ok 1x T4 …". */
typedef void (*machine_publish_fn)(const char *key, const char *value, void *arg);

struct machine {
	const struct fs_root *root;
	const char *const *env;	       /* complete environment of commands: PATH, HOME, USER, LANG, TMPDIR, proxies */
	int64_t deadline_at_ms;	       /* clock_mono_ms; no command outlives it */
	exec_line_fn on_line;	       /* may be NULL */
	machine_note_fn on_note;       /* may be NULL */
	machine_note_fn on_bytes;      /* the same where done and total are bytes; NULL: on_note gets them */
	machine_wait_fn on_wait;       /* may be NULL */
	machine_publish_fn on_publish; /* may be NULL */
	void *arg;
	struct arena *arena;
};

struct machine_command {
	const char *const *argv;
	const char *label;	      /* what messages call it instead of its argv; may be NULL */
	const char *const *extra_env; /* "K=V", put before the machine's; may be NULL */
	const struct exec_user *user; /* NULL: as we are */
	const char *cwd, *stdin_data; /* may be NULL */
	int64_t timeout_ms;	      /* 0: until the machine's deadline */
	size_t stdout_max;	      /* > 0: keep stdout */
	bool may_hang;		      /* in the kernel: see exec_spec */
	bool is_quiet;		      /* do not stream its lines: a query, not work */
	exec_line_fn on_line;	      /* instead of the machine's (which is called too unless is_quiet); may be NULL */
	void *arg;
};

/** exec_run and exec_check with the machine's settings. */
CHECK_RESULT int machine_run(const struct machine *m, const struct machine_command *cmd, struct exec_result *ret,
			     struct err *err);
CHECK_RESULT int machine_check(const struct machine *m, const struct machine_command *cmd, struct exec_result *ret,
			       struct err *err);

void machine_note(const struct machine *m, int64_t done, int64_t total, const char *fmt, ...) FORMAT(4, 5);

/**
 * Progress in bytes: "41 of 63 GB, 480 MB/s, 46 s left" in every report; what may be NULL or say more ("downloading
 * x.zip"). Call it as often as you like; a count that shrinks is a new transfer. Total 0: not known.
 */
void machine_progress_bytes(const struct machine *m, int64_t done, int64_t total, const char *what);

void machine_wait(const struct machine *m, int64_t waited_ms, const char *fmt, ...) FORMAT(3, 4);

/**
 * Publishes a word: "gpu" is the gate's verdict, "text" what the step's line says in the end, "reboot" (its cause) asks
 * the supervisor to reboot the machine when what runs has ended.
 */
void machine_publish(const struct machine *m, const char *key, const char *value);

/** Milliseconds until the deadline, at least 0. */
int64_t machine_left_ms(const struct machine *m);

/** The value of a variable of the machine's environment, NULL if absent. */
const char *machine_env(const struct machine *m, const char *name);
