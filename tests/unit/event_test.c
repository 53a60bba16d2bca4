#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/event.h"

static void test_names(void **state) {
	(void)state;
	static const char *const runs[] = {"running", "ready",	   "ready-with-warnings",
					   "failed",  "rebooting", "interrupted"};
	static const char *const steps[] = {"pending", "running", "ok", "changed", "failed", "warned", "skipped"};
	static const char *const events[] = {"run-started",   "step-started", "step-change", "step-line",
					     "step-progress", "step-waiting", "step-retry",  "step-ended",
					     "warning",	      "run-ready",    "run-ended"};
	for (int i = RUN_RUNNING; i <= (int)RUN_INTERRUPTED; i++)
		assert_string_equal(run_status_name((enum run_status)i), runs[i]);
	for (int i = STEP_PENDING; i <= (int)STEP_SKIPPED; i++)
		assert_string_equal(step_status_name((enum step_status)i), steps[i]);
	for (int i = EVENT_RUN_STARTED; i <= (int)EVENT_RUN_ENDED; i++)
		assert_string_equal(event_type_name((enum event_type)i), events[i]);
}

struct row {
	const char *expected;
	enum run_status status;
	size_t done, total;
	int percent;
	struct step_view steps[3];
	size_t size;
};

static const struct row rows[] = {
	{"0/3 0%", RUN_RUNNING, 0, 3, 0, {{.name = "A"}, {.name = "B"}, {.name = "C"}}, 256},
	{"7/12 58% Python 3.11: installing 14 of 61 wheels",
	 RUN_RUNNING,
	 7,
	 12,
	 58,
	 {{.name = "A", .status = STEP_OK},
	  {.name = "Python 3.11", .status = STEP_RUNNING, .text = "installing 14 of 61 wheels"},
	  {.name = "C"}},
	 256},
	{"7/12 58% Python 3.11: waiting 143 s for the dpkg lock (unattended-upgr, pid 1719)",
	 RUN_RUNNING,
	 7,
	 12,
	 58,
	 {{.name = "A", .status = STEP_OK},
	  {.name = "Python 3.11",
	   .status = STEP_RUNNING,
	   .text = "installing",
	   .waiting_for = "the dpkg lock (unattended-upgr, pid 1719)",
	   .waiting_ms = 143999},
	  {.name = "C"}},
	 256},
	{"1/3 40% B (+1 more)",
	 RUN_RUNNING,
	 1,
	 3,
	 40,
	 {{.name = "A", .status = STEP_CHANGED},
	  {.name = "B", .status = STEP_RUNNING},
	  {.name = "C", .status = STEP_RUNNING, .text = "copying"}},
	 256},
	{"1/3 65% Data: 41 of 63 GB, 480 MB/s, 46 s left",
	 RUN_RUNNING,
	 1,
	 3,
	 65,
	 {{.name = "A", .status = STEP_OK},
	  {.name = "Data",
	   .status = STEP_RUNNING,
	   .done = 41000000000,
	   .total = 63000000000,
	   .is_bytes = true,
	   .bytes_per_s = 480000000},
	  {.name = "C"}},
	 256},
	{"3/3 100% ready",
	 RUN_READY,
	 3,
	 3,
	 100,
	 {{.name = "A", .status = STEP_OK}, {.name = "B", .status = STEP_OK}, {.name = "C", .status = STEP_OK}},
	 256},
	{"1/3 33% failed",
	 RUN_FAILED,
	 1,
	 3,
	 33,
	 {{.name = "A", .status = STEP_OK}, {.name = "B", .status = STEP_FAILED}, {.name = "C"}},
	 256},
	/* cut between characters: the three bytes of the euro sign do not fit */
	{"1/3 33% B: 5 ",
	 RUN_RUNNING,
	 1,
	 3,
	 33,
	 {{.name = "A"}, {.name = "B", .status = STEP_RUNNING, .text = "5 € or more"}, {.name = "C"}},
	 16},
};

static void test_progress(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct step_view steps[3];
		memcpy(steps, rows[i].steps, sizeof steps);
		struct run_view view = {.status = rows[i].status,
					.steps = steps,
					.count = 3,
					.done = rows[i].done,
					.total = rows[i].total,
					.percent = rows[i].percent};
		char text[256];
		assert_ptr_equal(run_view_progress(&view, text, rows[i].size), text);
		assert_string_equal(text, rows[i].expected);
	}
}

static void test_doing(void **state) {
	(void)state;
	static const struct {
		struct step_view step;
		const char *expected;
		int64_t left_ms;
	} steps[] = {
		{{.text = "installing 14 of 61 wheels", .done = 14, .total = 61}, "installing 14 of 61 wheels", -1},
		{{.text = "loading", .done = 14, .total = 61}, "loading, 14 of 61", -1},
		{{.name = "A"}, "", -1},
		/* nothing is known of the rate, of the end, of either */
		{{.text = "downloading x.zip", .done = 12000000, .total = 80000000, .is_bytes = true},
		 "downloading x.zip, 12 of 80 MB",
		 -1},
		{{.done = 12000000, .is_bytes = true, .bytes_per_s = 4000000}, "12 MB, 4.0 MB/s", -1},
		{{.text = "copying", .is_bytes = true}, "copying", -1},
		{{.done = 12000000, .total = 80000000, .is_bytes = true, .bytes_per_s = 4000000},
		 "12 of 80 MB, 4.0 MB/s, 17 s left",
		 17000},
		{{.done = 80000000, .total = 80000000, .is_bytes = true, .bytes_per_s = 4000000},
		 "80 of 80 MB, 4.0 MB/s",
		 0},
		/* no promise while nothing comes */
		{{.done = 12000000, .total = 80000000, .is_bytes = true, .bytes_per_s = 4000000, .stalled_ms = 75400},
		 "12 of 80 MB, nothing for 1 min 15 s",
		 -1},
		{{.done = 1, .total = 2, .is_bytes = true, .waiting_for = "the disk", .waiting_ms = 3100},
		 "waiting 3 s for the disk",
		 -1},
	};
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		char text[STEP_DOING_SIZE];
		assert_string_equal(step_view_doing(&steps[i].step, text), steps[i].expected);
		assert_int_equal(step_view_left_ms(&steps[i].step), steps[i].left_ms);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_progress),
					   cmocka_unit_test(test_doing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
