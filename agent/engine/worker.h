#pragma once
/*
 * A step in its own process. The worker probes, says what is missing, waits for the supervisor's word (which has by
 * then written "running" durably), applies, probes again and reports the result. Crash, leak or hang stay in here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

struct arena;
struct changes;
struct facts;
struct fetch;
struct fs_root;
struct js;
struct plan_step;

enum frame_type {
	FRAME_CHANGE,	/* text what, NUL, diff (may be empty) */
	FRAME_PROBED,	/* a: number of changes; the worker waits for one byte unless it is 0 */
	FRAME_LINE,	/* text; a: enum exec_stream */
	FRAME_PROGRESS, /* text; a of b */
	FRAME_BYTES,	/* the same; a and b are bytes */
	FRAME_WAITING,	/* text; a: milliseconds so far */
	FRAME_PUBLISH,	/* text key, NUL, value: a word for the reports */
	FRAME_RESULT,	/* a: 0 or enum err_code; b: is_retryable; text: message */
};

/** Longest text of a frame; longer ones are cut. */
#define FRAME_TEXT_MAX (64 * 1024)

struct frame {
	enum frame_type type;
	int64_t a, b;
	size_t len;
	char *text; /* NUL-terminated */
};

struct worker_task {
	const struct plan_step *step;
	const struct facts *facts;
	const struct fs_root *root;
	struct fetch *fetch;
	const char *const *env;
	const char *state_dir; /* below root; may be NULL */
	const struct js *lock; /* of --locked, or NULL */
	bool is_done;	       /* recorded as done within its frequency */
	int64_t timeout_ms;
};

struct worker {
	pid_t pid; /* session leader of everything the step starts */
	int fd;	   /* socket, non-blocking */
	char *in;  /* bytes of an incomplete frame */
	size_t in_len, in_cap;
};

/** Forks. The caller reads frames until end of file, then waits for the pid. */
CHECK_RESULT int worker_start(const struct worker_task *task, struct worker *ret_worker, struct err *err);

/** The next whole frame that is there: 1 and *ret_frame (free text), 0 none for now, negative: end of file or damage.
 */
int worker_read(struct worker *worker, struct frame *ret_frame);

/** Says "go on" to a worker that has probed. */
void worker_go(struct worker *worker);

/** Asks it to end its command and report (SIGTERM); worker_kill ends all of its session. */
void worker_stop(const struct worker *worker);
void worker_kill(const struct worker *worker);
void worker_clear(struct worker *worker);

/**
 * Probe only, in the calling process: what `plan` prints. creates, unless and frequency are honoured as in a run.
 * ERR_… when the probe itself cannot tell.
 */
CHECK_RESULT int worker_probe(const struct worker_task *task, struct changes *ret_changes, struct arena *arena,
			      struct err *err);

/** The type's part of the manifest, in the calling process. Nothing for a type without one, or a sensitive step. */
CHECK_RESULT int worker_record(const struct worker_task *task, struct js *into, struct arena *arena, struct err *err);
