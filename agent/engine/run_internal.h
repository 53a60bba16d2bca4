#pragma once
/*
 * The supervisor's own state, shared by engine/run_*.c.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/ask.h"
#include "engine/meter.h"
#include "engine/run.h"
#include "engine/state.h"
#include "engine/worker.h"
#include "recipe/plan.h"

/** What a failed attempt leaves behind. */
struct attempt_error {
	enum err_code code; /* ERR_NONE: it ended well */
	char msg[ERR_MSG_MAX];
};

/** Where a step is, finer than its status in the view. */
enum phase { PHASE_PENDING, PHASE_RUNNING, PHASE_RETRY_WAIT, PHASE_ENDED };

struct step_run {
	enum phase phase;
	struct worker worker;
	bool has_result;
	struct attempt_error result;
	int64_t deadline_at_ms; /* of the attempt (monotonic), grace included */
	int64_t retry_at_ms;
	unsigned kill_stage;	/* 0 none, 1 asked to stop, 2 killed */
	char first_change[256]; /* what the probe found first: what a step that ended well did */
	bool has_changes;	/* some attempt found something to do */
	bool has_timed_out;
	char last_word[256]; /* what its text says when it has ended well; "" for the first change */
	bool wants_reboot;
	struct meter meter; /* of what it counts */
	int log_fd;	    /* -1 until there is something to write */
	int64_t log_bytes;
};

/** Reboots for one recipe before it must have been ready: more are a loop. */
#define RUN_REBOOTS_MAX 3

struct run {
	const struct run_options *options;
	const struct plan *plan;
	struct step_run *steps;
	struct run_view view;
	int64_t began_mono_ms, clock_offset_ms; /* wall clock less monotonic, as it was last */
	struct arena arena;
	int epoll_fd, signal_fd;
	size_t running;
	bool is_stopping;		 /* a failure with on_error: stop, or a signal: nothing new starts */
	int signal;			 /* the signal that asked us to end */
	struct ask ask;			 /* whether it was meant */
	bool is_preflighted, is_refused; /* preflight was asked; and found a step that must fail: nothing is begun */
	bool wants_reboot;		 /* a step asked for one: what runs ends, nothing new starts */
	char reboot_cause[200];
	size_t changed;
	struct err fatal; /* the supervisor itself cannot go on (state not writable) */
};

/** run_view.c: keeps the view and tells the sinks. text may hold secrets; it is redacted here. */
void run_view_init(struct run *run);
void run_view_clear(struct run *run);
void run_emit(struct run *run, enum event_type type, size_t step, const char *text, const char *diff);
void run_view_count(struct run *run);	 /* done, total, percent anew */
void run_view_clock(struct run *run);	 /* follows a clock that was set */
void step_end_wait(struct step_view *v); /* what it took is kept apart from the work */
void step_clear_progress(struct run *run, size_t index);
void step_meter(struct run *run, size_t index, int64_t now);   /* its rate, as time goes by */
void run_set_text(char *field, size_t size, const char *text); /* redacted, cut at a character boundary */

static inline struct step_view *step_view_of(struct run *run, size_t index) { return &run->view.steps[index]; }

static inline const struct step_common *step_common_of(const struct run *run, size_t index) {
	return &run->plan->steps[index].common;
}

/** run_step.c: a step from its start through its attempts to its end. */
void step_start(struct run *run, size_t index);
void step_on_readable(struct run *run, size_t index);
void step_on_time(struct run *run, size_t index, int64_t now); /* deadlines and retries */
int64_t step_due_ms(const struct run *run, size_t index); /* when step_on_time has something to do; INT64_MAX never */
void step_skip(struct run *run, size_t index, const char *reason);
void step_stop(struct run *run, size_t index);

/** run_outcome.c: how it ended, in words and in the state file. */
void step_fail(struct run *run, size_t index, const char *msg);
void step_end(struct run *run, size_t index);				 /* by its last result */
void step_explain_death(struct run *run, size_t index, int wait_status); /* of a worker without a result */
void step_refuse_loop(const struct run *run, struct step_run *s); /* one reboot more than is sensible is an error */
void step_record(struct run *run, size_t index, enum state_mark mark);

/** run_frame.c: what its worker says. */
void step_on_frame(struct run *run, size_t index, const struct frame *frame);

/** run_schedule.c: starts or skips what can be; returns true while anything is running, waiting or startable. */
bool run_schedule(struct run *run);

/** run_log.c: the step's log file; failures to write are said once and then ignored. */
void step_log(struct run *run, size_t index, const char *line);
void step_log_close(struct run *run, size_t index);
