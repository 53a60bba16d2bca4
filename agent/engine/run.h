#pragma once
/*
 * The supervisor: takes a plan to its end. One loop (epoll, signalfd); each step in a forked worker that talks back
 * over a socket (engine/worker.h). It owns order, resource locks, deadlines, retries, state and the sinks; it does no
 * step's work.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/event.h"

struct err;
struct facts;
struct fetch;
struct fs_root;
struct js;
struct plan;
struct state;

#define RUN_JOBS_MAX 32

struct run_options {
	const struct plan *plan;
	const struct facts *facts;
	const struct fs_root *root;
	struct fetch *fetch;
	struct state *state;
	const struct js *lock;	   /* the manifest of --locked, or NULL */
	const char *const *env;	   /* environment of the steps' commands */
	struct sink *const *sinks; /* NULL-terminated */
	const char *run_id, *version;
	const char *state_dir; /* below root: what types note; may be NULL */
	const char *log_dir;   /* below root; step logs go there: NN-id.log, 0600 */
	unsigned jobs;	       /* most steps at once; 0: RUN_JOBS_DEFAULT */
};

#define RUN_JOBS_DEFAULT 4

struct run_result {
	enum run_status status;
	int signal;	/* RUN_INTERRUPTED: the signal that ended it */
	size_t changed; /* steps that changed something */
	size_t warnings;
};

/** Errors are only those of the supervisor itself; a failed step is a result. */
CHECK_RESULT int run_plan(const struct run_options *options, struct run_result *ret_result, struct err *err);

/** The environment of steps' commands: PATH, HOME, USER, LANG, TMPDIR, DEBIAN_FRONTEND, proxies and CA settings of
 * ours. In the arena. */
struct arena;
const char *const *run_environment(const struct facts *facts, const char *const *env, struct arena *arena);

/** That of one step: its own `env` on top, and under another user (NULL: as we are) that user's home. In the arena. */
struct exec_user;
struct field_map;
const char *const *run_step_environment(const char *const *env, const struct field_map *own,
					const struct exec_user *user, struct arena *arena);
