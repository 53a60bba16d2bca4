/* One step from its start through its attempts to its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/run_internal.h"
#include "engine/state.h"

/* The worker ends its command itself at the deadline; only one that does not gets here. */
#define DEADLINE_GRACE_MS (15 * 1000)
/* From the request to stop to SIGKILL for all of the step's session. */
#define STOP_GRACE_MS (10 * 1000)
/* From SIGKILL to leaving it behind: only a process that is stuck in the kernel takes longer. */
#define KILL_GRACE_MS (2 * 1000)

void step_skip(struct run *run, size_t index, const char *reason) {
	struct step_view *v = step_view_of(run, index);
	v->status = STEP_SKIPPED;
	run_set_text(v->text, sizeof v->text, reason);
	run->steps[index].phase = PHASE_ENDED;
	run_emit(run, EVENT_STEP_ENDED, index, reason, NULL);
}

static bool wants_retry(const struct run *run, size_t index) {
	const struct step_run *s = &run->steps[index];
	return s->result.code != ERR_NONE && s->result.code != ERR_CANCELLED && s->result.code != ERR_INVALID &&
	       run->signal == 0 && run->fatal.code == ERR_NONE && !run->is_refused &&
	       run->view.steps[index].attempt <= (unsigned)step_common_of(run, index)->retries;
}

static void wait_for_retry(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	const struct step_common *common = step_common_of(run, index);
	int64_t delay_ms = common->retry_delay_ms;
	s->phase = PHASE_RETRY_WAIT;
	s->retry_at_ms = clock_mono_ms() + delay_ms;
	bool is_short = delay_ms < 1000;
	char when[48] = "at once";
	if (delay_ms > 0)
		(void)snprintf(when, sizeof when, "in %lld %s", (long long)(is_short ? delay_ms : delay_ms / 1000),
			       is_short ? "ms" : "s"); /* fits */
	char *text AUTO_FREE =
		mem_printf("attempt %u of %lld failed, trying again %s: %s", step_view_of(run, index)->attempt,
			   (long long)common->retries + 1, when, s->result.msg);
	run_set_text(step_view_of(run, index)->text, sizeof step_view_of(run, index)->text, text);
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
	struct step_view *v = step_view_of(run, index);
	struct err err = {0};
	v->status = STEP_RUNNING;
	v->attempt++;
	v->text[0] = '\0';
	v->changes = 0;
	step_clear_progress(run, index);
	if (v->started_at_ms == 0) v->started_at_ms = clock_now_ms();
	s->has_result = s->has_timed_out = s->wants_reboot = false;
	s->last_word[0] = '\0';
	s->result = (struct attempt_error){0};
	s->kill_stage = 0;
	if (start_worker(run, index, &err)) {
		s->result.code = err.code;
		(void)snprintf(s->result.msg, sizeof s->result.msg, "%s", err.msg);
		step_end(run, index);
		return;
	}
	s->phase = PHASE_RUNNING;
	s->deadline_at_ms = clock_mono_ms() + step_common_of(run, index)->timeout_ms + DEADLINE_GRACE_MS;
	run->running++;
	run_emit(run, EVENT_STEP_STARTED, index, NULL, NULL);
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
		step_explain_death(run, index, status);
	}
	if (s->wants_reboot && s->result.code == ERR_NONE) step_refuse_loop(run, s);
	if (s->result.code != ERR_NONE) exec_kill_session(s->worker.pid); /* a failed step leaves nothing running */
	worker_clear(&s->worker); /* closing the socket takes it out of the epoll set */
	run->running--;
	step_end_wait(step_view_of(run, index));
	if (wants_retry(run, index))
		wait_for_retry(run, index);
	else
		step_end(run, index);
}

void step_on_readable(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	if (s->phase != PHASE_RUNNING) return;
	for (;;) {
		struct frame frame;
		int got = worker_read(&s->worker, &frame);
		if (got == 0) return;
		if (got < 0) break;
		step_on_frame(run, index, &frame);
		free(frame.text);
		if (s->has_result) break; /* its last word: a stray child may hold the socket open for long */
	}
	end_attempt(run, index, 0);
}

void step_stop(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	if (s->phase == PHASE_RETRY_WAIT) {
		step_end(run, index);
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
