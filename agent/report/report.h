#pragma once
/*
 * The reports: each makes a sink out of the run's events. A report that cannot do its work says so once by a warning
 * line of its own and goes quiet: reporting never breaks the work.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "engine/event.h"
#include "report/beat.h"

struct aws;
struct err;
struct fs_root;

enum term_mode {
	TERM_AUTO, /* live on a terminal, plain on a pipe */
	TERM_LIVE,
	TERM_PLAIN,
	TERM_JSON, /* events as JSON lines on fd */
};

/** The terminal on fd: colour and one live line per running step on a tty, else one plain line per event. */
struct sink *report_term(int fd, enum term_mode mode, bool is_verbose);

/** status.json in run_dir (0644, replaced atomically) and events.jsonl in log_dir (0600, appended). */
CHECK_RESULT int report_status(const struct fs_root *root, const char *run_dir, const char *log_dir,
			       struct sink **ret_sink, struct err *err);

/** Short lines for /dev/console (never blocks) and, when stderr is the journal, with priorities there. */
struct sink *report_console(const struct fs_root *root, bool writes_console);

/** One such line at once, for what happens before there is a run. */
void report_console_say(const struct fs_root *root, const char *text);

/** Who is told of the run outside the machine, and how. All texts outlive the sink, in the reporter's process too. */
struct report_remote_conf {
	const char *instance_id; /* NULL or "": not on EC2 */
	const char *hostname;
	const char *status_path; /* status.json on the machine, so that an old reporter gives way to a newer run's;
				    NULL: nobody gives way */
	int64_t linger_ms;	 /* how long close waits for the last word to arrive; then the reporter goes on alone */
	/** Makes the aws context inside the reporter's process; its result is used until that process ends. */
	int (*open_aws)(void *arg, struct aws **ret_aws, struct err *err);
	void *arg;

	bool has_tags;	  /* EC2 tags on the instance; needs instance_id */
	bool has_bundles; /* runs here may have a bundle: the tag of an older one is taken back */
	struct beat_policy tags_policy;

	const char *webhook_url; /* NULL: none */
	struct strs webhook_headers;
	int64_t webhook_timeout_ms; /* of one attempt */
	struct beat_policy webhook_policy;

	const char *stack, *stack_resource; /* CloudFormation; NULL: none */
	const char *stack_region;	    /* NULL: the instance's */
	struct beat_policy stack_policy;

	char previous_run_id[64]; /* the module's own */
};

/**
 * Tells tags, webhook and CloudFormation, from a process of its own that always has the newest state: whatever they,
 * the network or the credentials do, the run does not notice. What cannot work is one warning, then quiet.
 */
CHECK_RESULT int report_remote(const struct report_remote_conf *conf, struct sink **ret_sink, struct err *err);

/** The run's members of status.json: all but pid and steps. */
struct word;
struct js;
void report_word_js(const struct word *word, struct js *into);

/** status.json's content (also for `status --json`): the shape of v1. */
struct js *report_status_js(const struct run_view *view, int64_t pid);

/**
 * status.json read back, with the truth about a dead writer: "running" while nobody holds the lock reads "interrupted".
 * ERR_NOT_FOUND when nothing has run yet.
 */
CHECK_RESULT int report_status_read(const struct fs_root *root, const char *run_dir, struct js **ret_js,
				    struct err *err);

/**
 * The run that status.json tells of has failed after all, for a reason that its own process learnt when it was over: a
 * reboot that does not come.
 */
CHECK_RESULT int report_status_fail(const struct fs_root *root, const char *run_dir, const char *error,
				    struct err *err);
