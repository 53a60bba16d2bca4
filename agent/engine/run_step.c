#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/run_internal.h"
#include "engine/state.h"

/* The worker ends its command itself at the deadline; only one that does not gets here. */
#define DEADLINE_GRACE_MS (15 * 1000)
/* From the request to stop to SIGKILL for all of the step's session. */
#define STOP_GRACE_MS (10 * 1000)
/* From SIGKILL to leaving it behind: only a process that is stuck in the kernel takes longer. */
#define KILL_GRACE_MS (2 * 1000)

static struct step_view *view_of(struct run *run, size_t index) { return &run->view.steps[index]; }

static const struct step_common *common_of(const struct run *run, size_t index) {
	return &run->plan->steps[index].common;
}

void step_skip(struct run *run, size_t index, const char *reason) {
	struct step_view *v = view_of(run, index);
	v->status = STEP_SKIPPED;
	run_set_text(v->text, sizeof v->text, reason);
	run->steps[index].phase = PHASE_ENDED;
	run_emit(run, EVENT_STEP_ENDED, index, reason, NULL);
}

/* Ends a wait: what it took is kept apart from the work. */
static void end_wait(struct step_view *v) {
	v->waited_ms += v->waiting_ms;
	v->waiting_ms = 0;
	v->waiting_for[0] = '\0';
}

static void clear_progress(struct run *run, size_t index) {
	struct step_view *v = view_of(run, index);
	v->done = v->total = v->bytes_per_s = v->stalled_ms = 0;
	v->is_bytes = false;
	run->steps[index].meter = (struct meter){0};
}

void step_meter(struct run *run, size_t index, int64_t now) {
	struct step_view *v = view_of(run, index);
	struct meter *m = &run->steps[index].meter;
	if (!v->is_bytes) return;
	meter_add(m, now, v->done);
	v->bytes_per_s = meter_rate(m);
	v->stalled_ms = meter_stalled_ms(m);
}

static enum step_status failed_status(const struct run *run, size_t index) {
	return common_of(run, index)->is_optional ? STEP_WARNED : STEP_FAILED;
}

static void note_failure(struct run *run, size_t index, const char *msg) {
	struct step_view *v = view_of(run, index);
	run_set_text(v->error, sizeof v->error, msg);
	v->status = failed_status(run, index);
	if (v->status == STEP_WARNED) {
		run->view.warnings++;
		return;
	}
	if (run->view.error[0] == '\0') {
		char *text AUTO_FREE = mem_printf("step %zu '%s' failed: %s", index + 1, v->name, msg);
		run_set_text(run->view.error, sizeof run->view.error, text);
	}
	if (common_of(run, index)->on_error == STEP_ON_ERROR_STOP) run->is_stopping = true;
}

/* The state file is written only where a later run asks it: nothing is recorded for a step that was in place anyway. */
static bool is_worth_recording(const struct run *run, size_t index) {
	const struct plan_step *p = &run->plan->steps[index];
	return run->steps[index].has_changes || p->type->is_imperative || p->common.frequency != STEP_ON_CHANGE;
}

static void record(struct run *run, size_t index, enum state_mark mark) {
	const struct plan_step *p = &run->plan->steps[index];
	struct err err = {0};
	if (!is_worth_recording(run, index)) return;
	if (state_mark(run->options->state, run->plan->recipe_name, p, mark, &err) && run->fatal.code == ERR_NONE) {
		run->fatal = err;
		run->is_stopping = true;
	}
}

/* In the end a step's text says what it did, not what it was doing last. */
static void note_success(struct run *run, size_t index) {
	const struct step_run *s = &run->steps[index];
	struct step_view *v = view_of(run, index);
	v->status = s->has_changes ? STEP_CHANGED : STEP_OK;
	v->text[0] = '\0';
	if (s->last_word[0] != '\0')
		run_set_text(v->text, sizeof v->text, s->last_word);
	else if (v->changes > 1)
		(void)snprintf(v->text, sizeof v->text, "%.200s (+%zu more)", s->first_change, v->changes - 1);
	else if (v->changes == 1)
		(void)snprintf(v->text, sizeof v->text, "%s", s->first_change);
	run->changed += s->has_changes;
}

static void end_step(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	struct step_view *v = view_of(run, index);
	s->phase = PHASE_ENDED;
	v->ended_at_ms = clock_now_ms();
	clear_progress(run, index);
	if (s->result.code == ERR_NONE && s->wants_reboot) {
		/* Still "running" in the state: it is done when the boot id has changed. */
		v->status = STEP_PENDING;
		run_set_text(v->text, sizeof v->text, s->first_change);
		run->wants_reboot = run->is_stopping = true;
	} else if (s->result.code == ERR_NONE) {
		note_success(run, index);
		record(run, index, STATE_OK);
	} else if (run->signal != 0) {
		v->status = STEP_PENDING; /* cut short, not failed: the next apply takes it up */
		run_set_text(v->text, sizeof v->text, "interrupted");
	} else {
		note_failure(run, index, s->result.msg);
		record(run, index, STATE_FAILED);
	}
	if (v->error[0] != '\0') step_log(run, index, v->error);
	step_log_close(run, index);
	run_emit(run, EVENT_STEP_ENDED, index, v->error[0] != '\0' ? v->error : NULL, NULL);
}

static bool wants_retry(const struct run *run, size_t index) {
	const struct step_run *s = &run->steps[index];
	return s->result.code != ERR_NONE && s->result.code != ERR_CANCELLED && s->result.code != ERR_INVALID &&
	       run->signal == 0 && run->fatal.code == ERR_NONE &&
	       run->view.steps[index].attempt <= (unsigned)common_of(run, index)->retries;
}

static void wait_for_retry(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	const struct step_common *common = common_of(run, index);
	int64_t delay_ms = common->retry_delay_ms;
	s->phase = PHASE_RETRY_WAIT;
	s->retry_at_ms = clock_mono_ms() + delay_ms;
	bool is_short = delay_ms < 1000;
	char when[48] = "at once";
	if (delay_ms > 0)
		(void)snprintf(when, sizeof when, "in %lld %s", (long long)(is_short ? delay_ms : delay_ms / 1000),
			       is_short ? "ms" : "s"); /* fits */
	char *text AUTO_FREE =
		mem_printf("attempt %u of %lld failed, trying again %s: %s", view_of(run, index)->attempt,
			   (long long)common->retries + 1, when, s->result.msg);
	run_set_text(view_of(run, index)->text, sizeof view_of(run, index)->text, text);
	step_log(run, index, text);
	run_emit(run, EVENT_STEP_RETRY, index, text, NULL);
}

static int start_worker(struct run *run, size_t index, struct err *err) {
	struct step_run *s = &run->steps[index];
	const struct plan_step *p = &run->plan->steps[index];
	struct worker_task task = {.step = p,
				   .facts = run->options->facts,
				   .root = run->options->root,
				   .fetch = run->options->fetch,
				   .env = run->options->env,
				   .state_dir = run->options->state_dir,
				   .lock = run->options->lock,
				   .timeout_ms = p->common.timeout_ms,
				   .is_done = state_is_done(run->options->state, run->plan->recipe_name, p)};
	int rc = worker_start(&task, &s->worker, err);
	if (rc) return rc;
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = index};
	if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, s->worker.fd, &ev) < 0) {
		int saved = errno;
		worker_kill(&s->worker);
		(void)waitpid(s->worker.pid, NULL, 0);
		worker_clear(&s->worker);
		return err_set_errno(err, saved, "epoll_ctl");
	}
	return 0;
}

void step_start(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	struct step_view *v = view_of(run, index);
	struct err err = {0};
	v->status = STEP_RUNNING;
	v->attempt++;
	v->text[0] = '\0';
	v->changes = 0;
	clear_progress(run, index);
	if (v->started_at_ms == 0) v->started_at_ms = clock_now_ms();
	s->has_result = s->has_timed_out = s->wants_reboot = false;
	s->last_word[0] = '\0';
	s->result = (struct attempt_error){0};
	s->kill_stage = 0;
	if (start_worker(run, index, &err)) {
		s->result.code = err.code;
		(void)snprintf(s->result.msg, sizeof s->result.msg, "%s", err.msg);
		end_step(run, index);
		return;
	}
	s->phase = PHASE_RUNNING;
	s->deadline_at_ms = clock_mono_ms() + common_of(run, index)->timeout_ms + DEADLINE_GRACE_MS;
	run->running++;
	run_emit(run, EVENT_STEP_STARTED, index, NULL, NULL);
}

static void on_change(struct run *run, size_t index, const struct frame *frame) {
	size_t what_len = strlen(frame->text);
	const char *diff = what_len + 1 < frame->len ? frame->text + what_len + 1 : NULL;
	struct step_view *v = view_of(run, index);
	if (v->changes++ == 0) {
		run_set_text(v->text, sizeof v->text, frame->text);
		run_set_text(run->steps[index].first_change, sizeof run->steps[index].first_change, frame->text);
	}
	char *line AUTO_FREE = mem_printf("> %s", frame->text);
	step_log(run, index, line);
	if (diff) step_log(run, index, diff);
	run_emit(run, EVENT_STEP_CHANGE, index, frame->text, diff);
}

/* The worker waits: "running" is on disk before it may touch anything. */
static void on_probed(struct run *run, size_t index, const struct frame *frame) {
	if (frame->a == 0) return;
	run->steps[index].has_changes = true;
	record(run, index, STATE_RUNNING);
	if (run->fatal.code == ERR_NONE && run->signal == 0)
		worker_go(&run->steps[index].worker);
	else
		worker_kill(&run->steps[index].worker);
}

static void on_progress(struct run *run, size_t index, const struct frame *frame) {
	struct step_view *v = view_of(run, index);
	end_wait(v);
	run_set_text(v->text, sizeof v->text, frame->text);
	if (frame->type != FRAME_BYTES) clear_progress(run, index);
	v->is_bytes = frame->type == FRAME_BYTES;
	v->done = frame->a;
	v->total = frame->b;
	step_meter(run, index, clock_mono_ms());
	run_emit(run, EVENT_STEP_PROGRESS, index, frame->text, NULL);
}

static void on_waiting(struct run *run, size_t index, const struct frame *frame) {
	struct step_view *v = view_of(run, index);
	if (frame->a < v->waiting_ms) end_wait(v);
	run_set_text(v->waiting_for, sizeof v->waiting_for, frame->text);
	v->waiting_ms = frame->a;
	run_emit(run, EVENT_STEP_WAITING, index, frame->text, NULL);
}

static void on_publish(struct run *run, size_t index, const struct frame *frame) {
	size_t key_len = strlen(frame->text);
	const char *value = frame->text + key_len + 1;
	if (key_len + 1 > frame->len) return;
	if (str_eq(frame->text, "text")) {
		struct step_run *s = &run->steps[index];
		(void)snprintf(s->last_word, sizeof s->last_word, "%s", value);
	} else if (str_eq(frame->text, "reboot")) {
		run->steps[index].wants_reboot = true;
		(void)snprintf(run->reboot_cause, sizeof run->reboot_cause, "%s", value);
	} else if (str_eq(frame->text, "gpu")) {
		run_set_text(run->view.gpu, sizeof run->view.gpu, value);
		run_emit(run, EVENT_STEP_PROGRESS, index, NULL, NULL);
	}
}

static void on_frame(struct run *run, size_t index, const struct frame *frame) {
	struct step_run *s = &run->steps[index];
	switch (frame->type) {
	case FRAME_CHANGE: on_change(run, index, frame); break;
	case FRAME_PROBED: on_probed(run, index, frame); break;
	case FRAME_LINE:
		end_wait(view_of(run, index));
		step_log(run, index, frame->text);
		run_emit(run, EVENT_STEP_LINE, index, frame->text, NULL);
		break;
	case FRAME_PROGRESS:
	case FRAME_BYTES: on_progress(run, index, frame); break;
	case FRAME_PUBLISH: on_publish(run, index, frame); break;
	case FRAME_WAITING: on_waiting(run, index, frame); break;
	case FRAME_RESULT:
		s->has_result = true;
		s->result.code = (enum err_code)frame->a;
		(void)snprintf(s->result.msg, sizeof s->result.msg, "%s", frame->text);
		break;
	}
}

/* A worker that ended without a result: say how. */
static void explain_death(struct run *run, size_t index, int wait_status) {
	struct step_run *s = &run->steps[index];
	int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	s->result.code = ERR_COMMAND;
	if (s->has_timed_out) {
		s->result.code = ERR_TIMEOUT;
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "did not end within its timeout of %lld s and was killed",
			       (long long)(common_of(run, index)->timeout_ms / 1000));
	} else if (sig == SIGKILL && s->kill_stage == 0) {
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "its process was killed from outside (signal 9), perhaps for memory: see dmesg");
	} else if (sig != 0) {
		(void)snprintf(s->result.msg, sizeof s->result.msg, "its process ended by signal %d (%s)", sig,
			       strsignal(sig));
	} else {
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "its process ended without a result (exit status %d)", WEXITSTATUS(wait_status));
	}
}

/* A cause that a reboot does not cure would reboot the machine for ever. */
static void refuse_loop(const struct run *run, struct step_run *s) {
	if (state_reboots(run->options->state, run->plan->hash) < RUN_REBOOTS_MAX) return;
	s->result.code = ERR_LIMIT;
	(void)snprintf(
		s->result.msg, sizeof s->result.msg,
		"the machine was rebooted %d times for this recipe and it is still necessary: %s. It counts anew when "
		"the recipe was ready once, or has changed",
		RUN_REBOOTS_MAX, run->reboot_cause);
}

static void end_attempt(struct run *run, size_t index, int wait_flags) {
	struct step_run *s = &run->steps[index];
	int status = 0;
	pid_t pid;
	do pid = waitpid(s->worker.pid, &status, wait_flags);
	while (pid < 0 && errno == EINTR);
	if (pid == 0) {
		s->result.code = ERR_TIMEOUT;
		(void)snprintf(
			s->result.msg, sizeof s->result.msg,
			"did not end when it was killed: process %d is stuck in the kernel and is left behind; a "
			"reboot ends it",
			(int)s->worker.pid);
	} else if (!s->has_result) {
		explain_death(run, index, status);
	}
	if (s->wants_reboot && s->result.code == ERR_NONE) refuse_loop(run, s);
	if (s->result.code != ERR_NONE) exec_kill_session(s->worker.pid); /* a failed step leaves nothing running */
	worker_clear(&s->worker); /* closing the socket takes it out of the epoll set */
	run->running--;
	end_wait(view_of(run, index));
	if (wants_retry(run, index))
		wait_for_retry(run, index);
	else
		end_step(run, index);
}

void step_on_readable(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	if (s->phase != PHASE_RUNNING) return;
	for (;;) {
		struct frame frame;
		int got = worker_read(&s->worker, &frame);
		if (got == 0) return;
		if (got < 0) break;
		on_frame(run, index, &frame);
		free(frame.text);
		if (s->has_result) break; /* its last word: a stray child may hold the socket open for long */
	}
	end_attempt(run, index, 0);
}

void step_stop(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	if (s->phase == PHASE_RETRY_WAIT) {
		end_step(run, index);
		return;
	}
	if (s->phase != PHASE_RUNNING) return;
	if (s->kill_stage == 0) {
		worker_stop(&s->worker);
		s->kill_stage = 1;
		s->deadline_at_ms = clock_mono_ms() + STOP_GRACE_MS;
	} else {
		worker_kill(&s->worker);
		if (s->kill_stage == 1) s->deadline_at_ms = clock_mono_ms() + KILL_GRACE_MS;
		s->kill_stage = 2;
	}
}

int64_t step_due_ms(const struct run *run, size_t index) {
	const struct step_run *s = &run->steps[index];
	if (s->phase == PHASE_RUNNING) return s->deadline_at_ms;
	if (s->phase == PHASE_RETRY_WAIT) return s->retry_at_ms;
	return INT64_MAX;
}

void step_on_time(struct run *run, size_t index, int64_t now) {
	struct step_run *s = &run->steps[index];
	if (now < step_due_ms(run, index)) return;
	if (s->phase == PHASE_RETRY_WAIT) {
		step_start(run, index);
	} else if (s->kill_stage == 2) {
		end_attempt(run, index, WNOHANG);
	} else {
		if (s->kill_stage == 0) s->has_timed_out = true;
		step_stop(run, index);
	}
}
