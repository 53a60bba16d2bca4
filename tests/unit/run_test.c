/*
 * The supervisor with real workers: step types of the test's own that do what their params say, whole transcripts of
 * events compared.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "engine/run.h"
#include "engine/state.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

enum act { IN_PLACE, CHANGE, FAIL, CRASH, HANG, FLAKY, LIE, TALK, REBOOT, STRAY, STRAY_HANG, NO_STATE };

struct params {
	enum act act;
	const char *mark; /* a file that the step makes when it is done, below the root */
};

static bool has_mark(const struct params *p, const struct step_ctx *ctx) {
	return p->mark && fs_exists(ctx->machine.root, p->mark);
}

static int probe(const void *params, struct step_ctx *ctx, struct changes *ret_changes, struct err *err) {
	const struct params *p = params;
	if (p->act == IN_PLACE || has_mark(p, ctx)) return 0;
	if (p->act == NO_STATE && fs_remove(ctx->machine.root, "/state", true, err)) return -(int)err->code;
	changes_add(ret_changes, ctx->arena, NULL, "make %s", p->mark ? p->mark : "it so");
	return 0;
}

static int make_mark(const struct params *p, const struct step_ctx *ctx, struct err *err) {
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	return fs_write(ctx->machine.root, p->mark, "x", 1, &how, err);
}

static int apply_flaky(const struct params *p, const struct step_ctx *ctx, struct err *err) {
	struct params first = {.mark = "/flaky"};
	if (fs_exists(ctx->machine.root, first.mark)) return make_mark(p, ctx, err);
	int rc = make_mark(&first, ctx, err);
	return rc ? rc : err_set(err, ERR_NET, "not yet");
}

/* A child outside the step's session that holds the worker's socket, for half a minute or until the test has gone. */
static void leave_stray(const struct step_ctx *ctx) {
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) return;
	struct params end = {.mark = "/stray-ended"};
	struct err err;
	(void)setsid();
	for (int i = 0; i < 300; i++) {
		clock_sleep_ms(100);
		if (!fs_exists(ctx->machine.root, "/state")) _exit(0);
	}
	(void)make_mark(&end, ctx, &err);
	_exit(0);
}

static int apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct params *p = params;
	(void)changes;
	switch (p->act) {
	case IN_PLACE:
	case NO_STATE:
	case CHANGE: return make_mark(p, ctx, err);
	case FAIL: return err_set(err, ERR_COMMAND, "no luck");
	case CRASH: (void)raise(SIGKILL); return 0;
	case HANG:
		for (;;) clock_sleep_ms(1000);
	case STRAY: leave_stray(ctx); return make_mark(p, ctx, err);
	case STRAY_HANG:
		leave_stray(ctx);
		for (;;) clock_sleep_ms(1000);
	case FLAKY: return apply_flaky(p, ctx, err);
	case LIE: return 0;
	case REBOOT: machine_publish(&ctx->machine, "reboot", "a new kernel"); return 0;
	case TALK:
		ctx->machine.on_line(EXEC_STDOUT, "hello", ctx->machine.arg);
		machine_note(&ctx->machine, 1, 2, "half way");
		return make_mark(p, ctx, err);
	}
	return 0;
}

static const struct step_type test_type = {.name = "test", .probe = probe, .apply = apply};

/* One step of a plan under test. */
struct row {
	const char *id;
	struct params params;
	size_t needs; /* bit per index */
	bool has_needs, is_optional, is_background, goes_on;
	int64_t retries, timeout_ms;
	const char *skip_reason, *resource;
};

struct recorder {
	struct sink sink;
	struct buf text;
	int64_t most_running;
};

static void on_event(struct sink *sink, const struct event *event, const struct run_view *view) {
	struct recorder *r = (struct recorder *)(void *)sink;
	int64_t running = 0;
	for (size_t i = 0; i < view->count; i++) running += view->steps[i].status == STEP_RUNNING;
	if (running > r->most_running) r->most_running = running;
	buf_adds(&r->text, event_type_name(event->type));
	if (event->step != SIZE_MAX) {
		const struct step_view *s = &view->steps[event->step];
		buf_addf(&r->text, " %s", s->id);
		if (event->type == EVENT_STEP_ENDED) buf_addf(&r->text, " %s", step_status_name(s->status));
	}
	if (event->text) buf_addf(&r->text, ": %s", event->text);
	if (event->type == EVENT_RUN_ENDED || event->type == EVENT_RUN_READY)
		buf_addf(&r->text, " %s %d%%", run_status_name(view->status), view->percent);
	buf_addc(&r->text, '\n');
}

struct fixture {
	char dir[64];
	struct fs_root root;
	struct facts facts;
	struct arena arena;
};

static int set_up(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	struct err err;
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/dsagent-run-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(fs_root_open(f->dir, &f->root, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	struct fs_root host;
	struct err err;
	assert_int_equal(fs_root_open(NULL, &host, &err), 0);
	assert_int_equal(fs_remove(&host, f->dir, true, &err), 0);
	fs_root_clear(&host);
	fs_root_clear(&f->root);
	arena_clear(&f->arena);
	free(f);
	return 0;
}

static const struct plan *make_plan(struct arena *arena, const struct row *rows, size_t count) {
	struct plan *plan = arena_alloc(arena, sizeof *plan);
	*plan = (struct plan){.recipe_name = "r", .hash = "0123456789abcdef", .count = count};
	plan->steps = arena_alloc(arena, (count + 1) * sizeof *plan->steps);
	for (size_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		struct plan_step *s = &plan->steps[i];
		size_t *needs = arena_alloc(arena, count * sizeof *needs);
		for (size_t k = 0; k < i; k++)
			if (r->needs & (1U << k)) needs[s->needs_count++] = k;
		s->index = i;
		s->type = &test_type;
		s->params = &r->params;
		s->hash = r->id;
		s->needs = needs;
		s->skip_reason = r->skip_reason;
		s->common.name = s->common.id = r->id;
		s->common.has_needs = r->has_needs;
		s->common.is_optional = r->is_optional;
		s->common.is_background = r->is_background;
		s->common.on_error = r->goes_on ? STEP_ON_ERROR_CONTINUE : STEP_ON_ERROR_STOP;
		s->common.retries = r->retries;
		s->common.timeout_ms = r->timeout_ms ? r->timeout_ms : 60000;
		if (r->resource) strs_add(&s->resources, r->resource);
	}
	return plan;
}

static struct run_result run_rows(struct fixture *f, const struct row *rows, size_t count, struct recorder *rec) {
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	struct err err = {0};
	struct state *state = NULL;
	bool was_damaged = false;
	struct run_result result;
	*rec = (struct recorder){.sink = {.event = on_event}, .text = BUF_INIT(64 * 1024)};
	struct sink *sinks[] = {&rec->sink, NULL};
	const struct plan *plan = make_plan(&f->arena, rows, count);
	assert_int_equal(fs_mkdirs(&f->root, "/state", 0700, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(
		state_open(&f->root, "/state", &(struct state_machine){"i-1", "b-1"}, &state, &was_damaged, &err), 0);
	struct run_options options = {.plan = plan,
				      .facts = &f->facts,
				      .root = &f->root,
				      .state = state,
				      .env = env,
				      .sinks = sinks,
				      .run_id = "run",
				      .version = "0",
				      .log_dir = "/log"};
	assert_int_equal(run_plan(&options, &result, &err), 0);
	state_free(state);
	for (size_t i = 0; i < count; i++) strs_clear(&plan->steps[i].resources);
	return result;
}

static void expect(struct fixture *f, const struct row *rows, size_t count, enum run_status status,
		   const char *transcript) {
	struct recorder rec;
	struct run_result result = run_rows(f, rows, count, &rec);
	assert_string_equal(buf_str(&rec.text), transcript);
	assert_int_equal(result.status, status);
	buf_clear(&rec.text);
}

static void test_in_place(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {IN_PLACE, NULL}},
					  {.id = "b", .params = {IN_PLACE, NULL}, .needs = 1}};
	expect(*state, rows, 2, RUN_READY,
	       "run-started\nstep-started a\nstep-ended a ok\nstep-started b\nstep-ended b ok\nrun-ended ready 100%\n");
	struct fixture *f = *state;
	assert_false(fs_exists(&f->root, "/state/state.json")); /* nothing to do leaves nothing behind */
	assert_false(fs_exists(&f->root, "/log"));
}

static void test_change_then_nothing(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {TALK, "/a"}}};
	expect(*state, rows, 1, RUN_READY,
	       "run-started\nstep-started a\nstep-change a: make /a\nstep-line a: hello\nstep-progress a: half way\n"
	       "step-ended a changed\nrun-ended ready 100%\n");
	expect(*state, rows, 1, RUN_READY, "run-started\nstep-started a\nstep-ended a ok\nrun-ended ready 100%\n");
}

static void test_failure_stops(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FAIL, NULL}},
					  {.id = "b", .params = {CHANGE, "/b"}, .needs = 1}};
	expect(*state, rows, 2, RUN_FAILED,
	       "run-started\nstep-started a\nstep-change a: make it so\nstep-ended a failed: no luck\n"
	       "step-ended b skipped: not run: an earlier step failed\nrun-ended failed 0%\n");
}

static void test_failure_goes_on(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FAIL, NULL}, .goes_on = true},
					  {.id = "b", .params = {CHANGE, "/b"}, .needs = 1},
					  {.id = "c", .params = {CHANGE, "/c"}, .needs = 1, .has_needs = true}};
	struct recorder rec;
	struct run_result result = run_rows(*state, rows, 3, &rec);
	assert_int_equal(result.status, RUN_FAILED);
	assert_non_null(strstr(buf_str(&rec.text), "step-ended b changed\n"));
	assert_non_null(strstr(buf_str(&rec.text), "step-ended c skipped: it needs 'a', which did not end well\n"));
	buf_clear(&rec.text);
}

static void test_optional_warns(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FAIL, NULL}, .is_optional = true, .goes_on = true},
					  {.id = "b", .params = {IN_PLACE, NULL}, .needs = 1}};
	expect(*state, rows, 2, RUN_READY_WITH_WARNINGS,
	       "run-started\nstep-started a\nstep-change a: make it so\nstep-ended a warned: no luck\n"
	       "step-started b\nstep-ended b ok\nrun-ended ready-with-warnings 100%\n");
}

static void test_retry(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FLAKY, "/a"}, .retries = 1}};
	expect(*state, rows, 1, RUN_READY,
	       "run-started\nstep-started a\nstep-change a: make /a\n"
	       "step-retry a: attempt 1 of 2 failed, trying again at once: not yet\n"
	       "step-started a\nstep-change a: make /a\nstep-ended a changed\nrun-ended ready 100%\n");
}

static void test_crash(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {CRASH, NULL}}};
	expect(*state, rows, 1, RUN_FAILED,
	       "run-started\nstep-started a\nstep-change a: make it so\n"
	       "step-ended a failed: its process was killed from outside (signal 9), perhaps for memory: see dmesg\n"
	       "run-ended failed 0%\n");
}

/* What it has not been able to write down, it has not begun; and it says that, not what it did to its worker. */
static void test_state_not_writable(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {NO_STATE, "/a"}},
					  {.id = "b", .params = {CHANGE, "/b"}, .needs = 1}};
	struct fixture *f = *state;
	char *text = mem_printf(
		"run-started\nstep-started a\nstep-change a: make /a\n"
		"step-ended a failed: writing down that step 'a' is running: cannot write %s/state/state.json: cannot "
		"open %s/state: No such file or directory\n"
		"step-ended b skipped: not run: dsagent cannot keep its own state\nrun-ended failed 0%%\n",
		f->root.path, f->root.path);
	expect(f, rows, 2, RUN_FAILED, text);
	free(text);
	assert_false(fs_exists(&f->root, "/a"));
}

static void test_lie(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {LIE, "/a"}}};
	expect(*state, rows, 1, RUN_FAILED,
	       "run-started\nstep-started a\nstep-change a: make /a\n"
	       "step-ended a failed: it ended well, but it is still necessary to make /a\nrun-ended failed 0%\n");
}

static void test_background_after_ready(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FLAKY, "/a"}, .is_background = true, .retries = 1},
					  {.id = "b", .params = {IN_PLACE, NULL}}};
	struct recorder rec;
	struct run_result result = run_rows(*state, rows, 2, &rec);
	const char *ready = strstr(buf_str(&rec.text), "run-ready ready"),
		   *end = strstr(buf_str(&rec.text), "step-ended a changed");
	assert_int_equal(result.status, RUN_READY);
	assert_true(end != NULL);
	(void)ready; /* whether b ends before a is the kernel's choice; that a's end makes the run ready is not */
	buf_clear(&rec.text);
}

/* What has not begun waits for the run after the reboot; three of them without being ready in between are enough. */
static void test_reboot(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {REBOOT, NULL}},
					  {.id = "b", .params = {CHANGE, "/b"}, .needs = 1}};
	static const struct row cured[] = {{.id = "a", .params = {IN_PLACE, NULL}}};
	for (int i = 0; i < 3; i++)
		expect(*state, rows, 2, RUN_REBOOTING,
		       "run-started\nstep-started a\nstep-change a: make it so\nstep-ended a pending\n"
		       "run-ended rebooting 0%\n");
	static const char looped[] = "run-started\nstep-started a\nstep-change a: make it so\n"
				     "step-ended a failed: the machine was rebooted 3 times for this recipe and it is "
				     "still necessary: a new "
				     "kernel. It counts anew when the recipe was ready once, or has changed\n"
				     "step-ended b skipped: not run: an earlier step failed\nrun-ended failed 0%\n";
	expect(*state, rows, 2, RUN_FAILED, looped);
	expect(*state, rows, 2, RUN_FAILED, looped);
	expect(*state, cured, 1, RUN_READY, "run-started\nstep-started a\nstep-ended a ok\nrun-ended ready 100%\n");
	expect(*state, rows, 2, RUN_REBOOTING,
	       "run-started\nstep-started a\nstep-change a: make it so\nstep-ended a pending\n"
	       "run-ended rebooting 0%\n");
}

static void test_a_failure_forbids_the_reboot(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FAIL, NULL}, .goes_on = true},
					  {.id = "b", .params = {REBOOT, NULL}, .needs = 1}};
	struct recorder rec;
	assert_int_equal(run_rows(*state, rows, 2, &rec).status, RUN_FAILED);
	buf_clear(&rec.text);
}

static void test_skip(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {FAIL, NULL}, .skip_reason = "when: false"},
					  {.id = "b", .params = {IN_PLACE, NULL}, .needs = 1, .has_needs = true}};
	expect(*state, rows, 2, RUN_READY,
	       "run-started\nstep-ended a skipped: when: false\nstep-started b\nstep-ended b ok\nrun-ended ready "
	       "100%\n");
}

static void test_resources_exclude(void **state) {
	static const struct row rows[] = {
		{.id = "a", .params = {CHANGE, "/a"}, .has_needs = true, .resource = "packages"},
		{.id = "b", .params = {CHANGE, "/b"}, .has_needs = true, .resource = "packages"},
		{.id = "c", .params = {CHANGE, "/c"}, .has_needs = true, .resource = "packages"}};
	struct recorder rec;
	struct run_result result = run_rows(*state, rows, 3, &rec);
	assert_int_equal(result.status, RUN_READY);
	assert_int_equal(rec.most_running, 1);
	buf_clear(&rec.text);
}

static void test_parallel(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {CHANGE, "/a"}, .has_needs = true},
					  {.id = "b", .params = {CHANGE, "/b"}, .has_needs = true}};
	struct recorder rec;
	struct run_result result = run_rows(*state, rows, 2, &rec);
	assert_int_equal(result.status, RUN_READY);
	assert_int_equal(result.changed, 2);
	assert_int_equal(rec.most_running, 2);
	buf_clear(&rec.text);
}

/* From a process of its own: asks this one to stop once the step is at work, then takes it down at once. */
static void interrupt_twice(const struct fixture *f) {
	pid_t self = getpid(), killer = fork();
	assert_true(killer >= 0);
	if (killer > 0) return;
	while (!fs_exists(&f->root, "/state/state.json")) clock_sleep_ms(10);
	clock_sleep_ms(50);
	(void)kill(self, SIGTERM);
	(void)kill(self, SIGTERM);
	clock_sleep_ms(200);
	(void)kill(self, SIGINT);
	_exit(0);
}

/* Whoever holds the worker's socket, the step has ended when it has said its last word. */
static void test_stray_child_is_not_waited_for(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {STRAY, "/a"}}};
	struct fixture *f = *state;
	expect(f, rows, 1, RUN_READY,
	       "run-started\nstep-started a\nstep-change a: make /a\nstep-ended a changed\nrun-ended ready 100%\n");
	assert_false(fs_exists(&f->root, "/stray-ended"));
}

/* … and when it was killed and its end of file does not come. */
static void test_killed_step_is_left_behind(void **state) {
	static const struct row rows[] = {{.id = "a", .params = {STRAY_HANG, NULL}}};
	struct fixture *f = *state;
	struct recorder rec;
	interrupt_twice(f);
	struct run_result result = run_rows(f, rows, 1, &rec);
	assert_int_equal(result.status, RUN_INTERRUPTED);
	assert_false(fs_exists(&f->root, "/stray-ended"));
	buf_clear(&rec.text);
}

/* The supervisor's own end: SIGTERM while a step hangs. The step is taken down, the state still says "running". */
static void test_signal(void **state) {
	struct fixture *f = *state;
	static const struct row rows[] = {{.id = "a", .params = {HANG, NULL}}};
	struct recorder rec;
	interrupt_twice(f);
	struct run_result result = run_rows(f, rows, 1, &rec);
	assert_int_equal(result.status, RUN_INTERRUPTED);
	assert_non_null(strstr(buf_str(&rec.text), "run-ended interrupted"));
	buf_clear(&rec.text);
	struct buf text AUTO_BUF = BUF_INIT(4096);
	struct err err;
	assert_int_equal(fs_read(&f->root, "/state/state.json", &text, &err), 0);
	assert_non_null(strstr(buf_str(&text), "\"running\""));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {T(in_place),
					   T(stray_child_is_not_waited_for),
					   T(killed_step_is_left_behind),
					   T(change_then_nothing),
					   T(failure_stops),
					   T(failure_goes_on),
					   T(optional_warns),
					   T(retry),
					   T(crash),
					   T(state_not_writable),
					   T(lie),
					   T(background_after_ready),
					   T(reboot),
					   T(a_failure_forbids_the_reboot),
					   T(skip),
					   T(resources_exclude),
					   T(parallel),
					   T(signal)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
