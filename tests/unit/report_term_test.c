#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "report/report.h"
#include "report/term.h"

#define T0 1795183800000LL /* 2026-11-20T14:10:00Z */
#define NO_STEP SIZE_MAX

static struct step_view steps[4];
static struct run_view view;

static void reset(void) {
	static const struct step_view fresh[4] = {
		{.id = "tools", .name = "Build tools", .type = "packages"},
		{.id = "python", .name = "Python 3.11", .type = "python", .log_path = "/l/02-python.log"},
		{.id = "r", .name = "R", .type = "r", .log_path = "/l/03-r.log"},
		{.id = "data", .name = "Data", .type = "sync"},
	};
	memcpy(steps, fresh, sizeof steps);
	view = (struct run_view){.run_id = "20261120-141000-3f9a",
				 .recipe = "daily-driver@3f9a1c2e",
				 .version = "0.1.0",
				 .started_at_ms = T0,
				 .updated_at_ms = T0,
				 .steps = steps,
				 .count = 4,
				 .total = 3};
}

static void tell(struct sink *sink, enum event_type type, size_t step, const char *text, const char *diff) {
	struct event event = {.type = type, .at_ms = T0, .step = step, .text = text, .diff = diff};
	sink->event(sink, &event, &view);
}

static void set_end(size_t step, enum step_status status, int64_t took_ms, const char *text, const char *error) {
	struct step_view *s = &steps[step];
	s->status = status;
	s->started_at_ms = T0;
	s->ended_at_ms = T0 + took_ms;
	(void)snprintf(s->text, sizeof s->text, "%s", text);
	(void)snprintf(s->error, sizeof s->error, "%s", error);
}

/* A whole run with everything that happens to one. */
static void play(struct sink *sink) {
	reset();
	tell(sink, EVENT_RUN_STARTED, NO_STEP, NULL, NULL);
	tell(sink, EVENT_STEP_STARTED, 0, NULL, NULL);
	set_end(0, STEP_OK, 20, "", "");
	tell(sink, EVENT_STEP_ENDED, 0, NULL, NULL);
	tell(sink, EVENT_STEP_STARTED, 1, NULL, NULL);
	steps[1].status = STEP_RUNNING;
	steps[1].started_at_ms = T0;
	tell(sink, EVENT_STEP_CHANGE, 1, "create the venv /opt/ds", "+/opt/ds\n+pip\n");
	(void)snprintf(steps[1].waiting_for, sizeof steps[1].waiting_for, "the dpkg lock (unattended-upgr, pid 1719)");
	steps[1].waiting_ms = 1000;
	tell(sink, EVENT_STEP_WAITING, 1, steps[1].waiting_for, NULL);
	steps[1].waiting_ms = 2000;
	tell(sink, EVENT_STEP_WAITING, 1, steps[1].waiting_for, NULL);
	steps[1].waiting_for[0] = '\0';
	(void)snprintf(steps[1].text, sizeof steps[1].text, "installing 14 of 61 wheels");
	tell(sink, EVENT_STEP_PROGRESS, 1, steps[1].text, NULL);
	tell(sink, EVENT_STEP_LINE, 1, "Collecting numpy", NULL);
	set_end(1, STEP_CHANGED, 38200, "installed 61 wheels", "");
	tell(sink, EVENT_STEP_ENDED, 1, NULL, NULL);
	tell(sink, EVENT_STEP_STARTED, 2, NULL, NULL);
	tell(sink, EVENT_STEP_CHANGE, 2, "install xgboost", NULL);
	tell(sink, EVENT_STEP_RETRY, 2, "attempt 1 of 2 failed, trying again in 5 s: no route", NULL);
	for (int i = 0; i < 12; i++) {
		char line[64];
		(void)snprintf(line, sizeof line, "line %d\t\033[31mred\033[0m", i);
		tell(sink, EVENT_STEP_LINE, 2, line, NULL);
	}
	set_end(2, STEP_FAILED, 60500, "", "package 'xgboost' did not load: libgomp.so.1 missing");
	(void)snprintf(view.error, sizeof view.error, "step 3 'R' failed: %s", steps[2].error);
	tell(sink, EVENT_STEP_ENDED, 2, steps[2].error, NULL);
	set_end(3, STEP_SKIPPED, 0, "not run: an earlier step failed", "");
	tell(sink, EVENT_STEP_ENDED, 3, steps[3].text, NULL);
	view.status = RUN_FAILED;
	view.ended_at_ms = T0 + 99000;
	tell(sink, EVENT_RUN_ENDED, NO_STEP, NULL, NULL);
	sink->close(sink);
}

/* Everything that a sink wrote to a pipe that holds it all. */
static void capture(enum term_mode mode, bool is_verbose, void (*fn)(struct sink *), char *text, size_t size) {
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fn(report_term(fds[1], mode, is_verbose));
	close(fds[1]);
	size_t at = 0;
	for (ssize_t n; (n = read(fds[0], text + at, size - 1 - at)) > 0;) at += (size_t)n;
	text[at] = '\0';
	close(fds[0]);
}

static void test_plain(void **state) {
	(void)state;
	char text[8192], expected[8192];
	(void)snprintf(
		expected, sizeof expected,
		"dsagent 0.1.0: daily-driver@3f9a1c2e, 4 steps, run 20261120-141000-3f9a\n"
		"[1/4] Build tools: in place\n"
		"[2/4] Python 3.11: started\n"
		"[2/4] Python 3.11: to do: create the venv /opt/ds\n"
		"[2/4] Python 3.11: waiting 1 s for the dpkg lock (unattended-upgr, pid 1719)\n"
		"[2/4] Python 3.11: changed in 38.2 s: installed 61 wheels\n"
		"[3/4] R: started\n"
		"[3/4] R: to do: install xgboost\n"
		"[3/4] R: attempt 1 of 2 failed, trying again in 5 s: no route\n"
		"[3/4] R: failed after 1 min 01 s: package 'xgboost' did not load: libgomp.so.1 missing\n"
		"    | line 2 red\n    | line 3 red\n    | line 4 red\n    | line 5 red\n    | line 6 red\n"
		"    | line 7 red\n    | line 8 red\n    | line 9 red\n    | line 10 red\n    | line 11 red\n"
		"    log: /l/03-r.log\n"
		"[4/4] Data: skipped: not run: an earlier step failed\n"
		"failed: step 3 'R': package 'xgboost' did not load: libgomp.so.1 missing\n"
		"  1 changed, 1 in place, 1 failed, 1 skipped\n"
		"  log: /l/03-r.log\n"
		"  next: `%sdsagent apply` with the same recipe tries again what failed; what is in place is left "
		"alone\n",
		geteuid() == 0 ? "sudo " : "");
	capture(TERM_PLAIN, false, play, text, sizeof text);
	assert_string_equal(text, expected);
}

static void play_in_place(struct sink *sink) {
	reset();
	tell(sink, EVENT_RUN_STARTED, NO_STEP, NULL, NULL);
	for (size_t i = 0; i < 4; i++) {
		set_end(i, i == 3 ? STEP_SKIPPED : STEP_OK, 2, i == 3 ? "`when` is false" : "", "");
		tell(sink, EVENT_STEP_ENDED, i, NULL, NULL);
	}
	view.status = RUN_READY;
	view.ended_at_ms = T0 + 31;
	tell(sink, EVENT_RUN_ENDED, NO_STEP, NULL, NULL);
	sink->close(sink);
}

static void test_nothing_to_do(void **state) {
	(void)state;
	char text[4096];
	capture(TERM_AUTO, false, play_in_place, text, sizeof text); /* a pipe: plain */
	assert_string_equal(text, "dsagent 0.1.0: daily-driver@3f9a1c2e, 4 steps, run 20261120-141000-3f9a\n"
				  "[1/4] Build tools: in place\n"
				  "[2/4] Python 3.11: in place\n"
				  "[3/4] R: in place\n"
				  "[4/4] Data: skipped: `when` is false\n"
				  "nothing to do: 3 steps in place, 1 skipped (31 ms)\n");
}

static void play_warned(struct sink *sink) {
	reset();
	view.count = 2;
	set_end(0, STEP_CHANGED, 1500, "", "");
	set_end(1, STEP_WARNED, 2500, "", "no such wheel");
	view.warnings = 1;
	view.status = RUN_READY_WITH_WARNINGS;
	view.ended_at_ms = T0 + 4000;
	tell(sink, EVENT_RUN_ENDED, NO_STEP, NULL, NULL);
	sink->close(sink);
}

static void test_json_and_warned(void **state) {
	(void)state;
	char text[4096];
	capture(TERM_PLAIN, false, play_warned, text, sizeof text);
	assert_string_equal(text, "ready with warnings in 4.0 s: 1 changed, 1 optional failed\n"
				  "  optional step 2 'Python 3.11' failed: no such wheel\n"
				  "    log: /l/02-python.log\n");
	capture(TERM_JSON, false, play_warned, text, sizeof text);
	assert_string_equal(text, "{\"type\":\"run-ended\",\"at\":\"2026-11-20T14:10:00Z\",\"at_ms\":1795183800000,"
				  "\"since_ms\":0,\"schema\":1,"
				  "\"run_id\":\"20261120-141000-3f9a\",\"recipe\":\"daily-driver@3f9a1c2e\","
				  "\"version\":\"0.1.0\",\"status\":\"ready-with-warnings\",\"done\":0,\"total\":3,"
				  "\"percent\":0,\"warnings\":1,\"error\":null}\n");
}

struct line_row {
	size_t width;
	bool is_utf8;
	struct step_view step;
	const char *expected;
};

static const struct line_row line_rows[] = {
	{79, true, {.name = "R", .status = STEP_RUNNING, .started_at_ms = T0}, "⠋ R  looking at what is there  40 s"},
	{79,
	 true,
	 {.name = "Python 3.11",
	  .status = STEP_RUNNING,
	  .started_at_ms = T0,
	  .text = "installing 14 of 61 wheels",
	  .done = 10,
	  .total = 40,
	  .attempt = 1},
	 "⠋ Python 3.11  ━━━━────────────  25%  installing 14 of 6  40 s, 2 min 00 s left"},
	{79,
	 false,
	 {.name = "Data",
	  .status = STEP_RUNNING,
	  .started_at_ms = T0,
	  .text = "copying",
	  .done = 40000000,
	  .total = 80000000,
	  .is_bytes = true,
	  .attempt = 2},
	 "- Data  [########........]  50%  copying, 40 of 80 MB (attempt 2)  40 s"},
	{50,
	 true,
	 {.name = "Python",
	  .status = STEP_RUNNING,
	  .started_at_ms = T0,
	  .waiting_for = "the dpkg lock (unattended-upgr, pid 1719)",
	  .waiting_ms = 143200,
	  .done = 1,
	  .total = 2},
	 "⠋ Python  waiting 143 s for the dpkg lock (u  40 s"},
	/* two columns each: the cut falls between characters */
	{20,
	 true,
	 {.name = "数据数据数据数据数据", .status = STEP_RUNNING, .started_at_ms = T0},
	 "⠋ 数据数据数据  40 s"},
};

static void test_running_lines(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof line_rows / sizeof line_rows[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		struct show_style style = {.width = line_rows[i].width, .is_utf8 = line_rows[i].is_utf8};
		show_running(&line_rows[i].step, &style, T0 + 40000, 0, &out);
		assert_string_equal(buf_str(&out), line_rows[i].expected);
		assert_true(show_columns(buf_str(&out)) <= line_rows[i].width);
	}
}

static void test_live_screen(void **state) {
	(void)state;
	reset();
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct show_style style = {.width = 40, .rows = 5};
	view.done = 1;
	view.percent = 33;
	for (size_t i = 0; i < 4; i++) {
		steps[i].status = STEP_RUNNING;
		steps[i].started_at_ms = T0;
	}
	assert_int_equal(term_live_lines(&view, &style, T0 + 182000, 1, &out), 4);
	assert_string_equal(buf_str(&out), "\\ Build tools  looking at wh  3 min 02 s\n"
					   "\\ Python 3.11  looking at wh  3 min 02 s\n"
					   "  and 2 more\n"
					   "  1/3 33%  3 min 02 s\n");
}

struct step_row {
	struct step_view step;
	const char *expected;
};

static void test_step_lines(void **state) {
	(void)state;
	static const struct step_row rows[] = {
		{{.name = "A"}, "· A"},
		{{.name = "A", .status = STEP_OK}, "✓ A  in place"},
		{{.name = "Python 3.11",
		  .status = STEP_CHANGED,
		  .started_at_ms = T0,
		  .ended_at_ms = T0 + 38200,
		  .text = "installed 61 wheels"},
		 "✓ Python 3.11  38.2 s  installed 61 wheels"},
		{{.name = "A", .status = STEP_FAILED, .started_at_ms = T0, .ended_at_ms = T0 + 7, .error = "no\nway"},
		 "✗ A  7 ms  no way"},
		{{.name = "A", .status = STEP_WARNED, .started_at_ms = T0, .ended_at_ms = T0 + 7, .error = "no"},
		 "! A  7 ms  no"},
		{{.name = "A", .status = STEP_SKIPPED, .text = "`when` is false"}, "– A  skipped: `when` is false"},
	};
	struct show_style style = {.width = 60, .is_utf8 = true};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		show_step(&rows[i].step, &style, T0, &out);
		assert_string_equal(buf_str(&out), rows[i].expected);
	}
}

static void test_clean(void **state) {
	(void)state;
	static const char *const rows[][2] = {
		{"plain", "plain"},
		{"a\tb\nc\rd\a", "a b c d"},
		{"\033[1;31mred\033[0m", "red"},
		{"\033]0;title\ax\033]8;;u\033\\y", "xy"},
		{"\033", ""},
		{"\033[12", ""},
		{"\xc2\x9b"
		 "31m",
		 "31m"},
		{"é…", "é…"},
		{"a\x9b"
		 "31m\xff\xe2\x82",
		 "a?31m???"},
		{"\xe2\x80\xae"
		 "evil\xe2\x81\xa6",
		 "evil"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(256);
		show_clean(rows[i][0], &out);
		assert_string_equal(buf_str(&out), rows[i][1]);
	}
}

/* A reader that has gone away: no signal, no error, the run goes on. */
static void test_reader_gone(void **state) {
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	struct sink *sink = report_term(fds[1], TERM_PLAIN, false);
	close(fds[0]);
	play(sink);
	close(fds[1]);
}

int main(void) {
	(void)unsetenv("JOURNAL_STREAM");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_json_and_warned), cmocka_unit_test(test_running_lines),
		cmocka_unit_test(test_live_screen),	cmocka_unit_test(test_step_lines),
		cmocka_unit_test(test_clean),		cmocka_unit_test(test_reader_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
