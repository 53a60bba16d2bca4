#pragma once
/*
 * The reports: each makes a sink out of the run's events. A report that cannot do its work says so once by a warning
 * line of its own and goes quiet: reporting never breaks the work.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/event.h"

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

struct report_tags_conf {
	const char *instance_id;
	const char *status_path; /* status.json on the machine: the newest run's id, so that an old sender gives way */
	int64_t interval_ms;	 /* at most one call in this time unless the state changes: 15,000 */
	int64_t backoff_base_ms, backoff_cap_ms; /* between failed calls: at first, at most */
	int64_t final_budget_ms;		 /* how long the final state is retried: 300,000 */
	int64_t linger_ms;			 /* how long close waits for that; then the sender goes on alone */
	/** Makes the aws context inside the sender's process; its result is used until that process ends. */
	int (*open_aws)(void *arg, struct aws **ret_aws, struct err *err);
	void *arg;
};

/**
 * EC2 tags on the own instance, sent by a process of their own that is told of the newest state through a pipe:
 * whatever the API or the credentials do, the run does not notice. Denied or no role: one warning, then quiet.
 */
CHECK_RESULT int report_tags(const struct report_tags_conf *conf, struct sink **ret_sink, struct err *err);

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
