#include "engine/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/run_internal.h"
#include "engine/state.h"

#define EVENTS_AT_ONCE 16
#define SIGNAL_EVENT UINT64_MAX

/* SIGINT and SIGTERM end the run in good order; SIGHUP (a lost SSH session) does not end it at all. */
static int watch_signals(struct run *run, sigset_t *ret_old, struct err *err) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, ret_old);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = SIGNAL_EVENT};
	if (run->signal_fd < 0 || run->epoll_fd < 0 || epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, run->signal_fd, &ev) < 0)
		return err_set_errno(err, errno, "cannot set up the event loop");
	return 0;
}

/* A step may take its time to end, and who pressed a key wants to see that it was heard. */
static void say_stopping(struct run *run) {
	size_t count = 0;
	for (size_t i = 0; i < run->plan->count; i++) count += run->steps[i].phase == PHASE_RUNNING;
	if (!count) return;
	const char *how = run->signal == SIGINT ? "Ctrl-C" : "the same signal";
	char *text AUTO_FREE =
		count == 1 ? mem_printf("stopping; %s again kills the step that still runs", how)
			   : mem_printf("stopping; %s again kills the %zu steps that still run", how, count);
	run_emit(run, EVENT_WARNING, SIZE_MAX, text, NULL);
}

static void on_signal(struct run *run) {
	struct signalfd_siginfo info;
	while (read(run->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP) continue;
		bool is_first = run->signal == 0;
		run->signal = (int)info.ssi_signo;
		run->is_stopping = true;
		if (is_first) say_stopping(run);
		for (size_t i = 0; i < run->plan->count; i++) step_stop(run, i);
	}
}

static int64_t tick_interval_ms(const struct run *run) {
	int64_t interval = INT64_MAX;
	for (struct sink *const *s = run->options->sinks; *s; s++)
		if ((*s)->tick && (*s)->tick_ms < interval) interval = (*s)->tick_ms;
	return interval;
}

static void tick(struct run *run) {
	run_view_clock(run);
	for (size_t i = 0; i < run->plan->count; i++)
		if (run->steps[i].phase == PHASE_RUNNING) step_meter(run, i, clock_mono_ms());
	for (struct sink *const *s = run->options->sinks; *s; s++)
		if ((*s)->tick) (*s)->tick(*s, &run->view);
}

static int next_timeout(const struct run *run, int64_t now, int64_t tick_at) {
	int64_t due = tick_at;
	for (size_t i = 0; i < run->plan->count; i++) {
		int64_t at = step_due_ms(run, i);
		if (at < due) due = at;
	}
	if (due == INT64_MAX) return -1;
	return due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

static bool is_over(const struct step_view *s) { return s->status > STEP_RUNNING; }

/* Ready is said once, when every step that must run has run and none has failed; background steps may go on. */
static void consider_ready(struct run *run) {
	struct run_view *v = &run->view;
	if (v->has_gone_ready || run->is_stopping || v->error[0] != '\0') return;
	bool has_background = false;
	for (size_t i = 0; i < v->count; i++) {
		if (is_over(&v->steps[i])) continue;
		if (!v->steps[i].is_background) return;
		has_background = true;
	}
	v->has_gone_ready = true;
	v->ready_at_ms = clock_now_ms();
	if (!has_background) return; /* the end of the run says it */
	v->status = v->warnings ? RUN_READY_WITH_WARNINGS : RUN_READY;
	run_emit(run, EVENT_RUN_READY, SIZE_MAX, NULL, NULL);
}

static int loop(struct run *run, struct err *err) {
	int64_t interval = tick_interval_ms(run);
	int64_t tick_at = interval == INT64_MAX ? INT64_MAX : clock_mono_ms() + interval;
	while (run_schedule(run)) {
		consider_ready(run);
		struct epoll_event events[EVENTS_AT_ONCE];
		int n = epoll_wait(run->epoll_fd, events, EVENTS_AT_ONCE, next_timeout(run, clock_mono_ms(), tick_at));
		if (n < 0 && errno != EINTR) return err_set_errno(err, errno, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == SIGNAL_EVENT)
				on_signal(run);
			else
				step_on_readable(run, (size_t)events[i].data.u64);
		}
		int64_t now = clock_mono_ms();
		for (size_t i = 0; i < run->plan->count; i++) step_on_time(run, i, now);
		if (now >= tick_at) {
			tick(run);
			tick_at = now + interval;
		}
	}
	return 0;
}

static enum run_status final_status(const struct run *run) {
	if (run->signal != 0) return RUN_INTERRUPTED;
	if (run->view.error[0] != '\0') return RUN_FAILED;
	if (run->wants_reboot) return RUN_REBOOTING;
	return run->view.warnings ? RUN_READY_WITH_WARNINGS : RUN_READY;
}

/* The count of reboots is on disk before one is asked for, and gone when the recipe was ready. */
static enum run_status remember_reboot(struct run *run, enum run_status status) {
	struct state *state = run->options->state;
	struct err err = {0};
	int rc = 0;
	if (status == RUN_REBOOTING) rc = state_note_reboot(state, run->plan->hash, run->reboot_cause, &err);
	if (status == RUN_READY || status == RUN_READY_WITH_WARNINGS) rc = state_forget_reboots(state, &err);
	if (!rc) return status;
	run_set_text(run->view.error, sizeof run->view.error, err.msg);
	return RUN_FAILED;
}

static void finish(struct run *run, struct run_result *ret_result) {
	struct run_view *v = &run->view;
	for (size_t i = 0; i < v->count; i++)
		if (run->steps[i].phase == PHASE_PENDING && run->signal == 0 &&
		    (!run->wants_reboot || v->error[0] != '\0'))
			step_skip(run, i,
				  run->fatal.code != ERR_NONE ? "not run: dsagent cannot keep its own state"
							      : "not run: an earlier step failed");
	if (run->fatal.code != ERR_NONE && v->error[0] == '\0') run_set_text(v->error, sizeof v->error, run->fatal.msg);
	consider_ready(run);
	v->status = remember_reboot(run, final_status(run));
	v->ended_at_ms = clock_now_ms();
	if (v->status == RUN_FAILED || v->status == RUN_INTERRUPTED) v->ready_at_ms = 0;
	*ret_result = (struct run_result){
		.status = v->status, .signal = run->signal, .changed = run->changed, .warnings = v->warnings};
	run_emit(run, EVENT_RUN_ENDED, SIZE_MAX, NULL, NULL);
}

int run_plan(const struct run_options *options, struct run_result *ret_result, struct err *err) {
	struct run run = {.options = options, .plan = options->plan, .epoll_fd = -1, .signal_fd = -1};
	sigset_t old;
	run.steps = mem_zalloc(run.plan->count * sizeof *run.steps);
	for (size_t i = 0; i < run.plan->count; i++)
		run.steps[i] = (struct step_run){.worker = {.fd = -1}, .log_fd = -1};
	run_view_init(&run);
	int rc = watch_signals(&run, &old, err);
	if (!rc) {
		run_emit(&run, EVENT_RUN_STARTED, SIZE_MAX, NULL, NULL);
		rc = loop(&run, err);
	}
	if (!rc) finish(&run, ret_result);
	if (run.signal_fd >= 0) (void)close(run.signal_fd);
	if (run.epoll_fd >= 0) (void)close(run.epoll_fd);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	run_view_clear(&run);
	free(run.steps);
	arena_clear(&run.arena);
	return rc;
}
