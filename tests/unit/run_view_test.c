/*
 * The view by itself: what the clock does to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/run_internal.h"

#define HOUR_MS (3600LL * 1000)

/* The clock is set by so much; then every time has moved with it and no duration has changed. */
static void test_clock(void **state) {
	(void)state;
	static const struct {
		int64_t by_ms;
		bool is_seen;
	} rows[] = {{0, false},	     {300, false},     {-300, false},
		    {HOUR_MS, true}, {-HOUR_MS, true}, {30 * 24 * HOUR_MS, true}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct step_view steps[2] = {{.started_at_ms = 1000, .ended_at_ms = 5000}, {.started_at_ms = 6000}};
		struct run run = {.view = {.steps = steps, .count = 2, .started_at_ms = 900, .ready_at_ms = 5500}};
		run_view_clock(&run); /* finds out what the clock says */
		int64_t before = steps[0].started_at_ms, moved = rows[i].is_seen ? rows[i].by_ms : 0;
		run.clock_offset_ms -= rows[i].by_ms;
		run_view_clock(&run);
		int64_t off = steps[0].started_at_ms - before - moved;
		assert_true(off > -50 && off < 50); /* the real clock goes on */
		assert_int_equal(steps[0].ended_at_ms - steps[0].started_at_ms, 4000);
		assert_int_equal(steps[1].started_at_ms - steps[0].started_at_ms, 5000);
		assert_int_equal(run.view.ready_at_ms - run.view.started_at_ms, 4600);
		assert_int_equal(steps[1].ended_at_ms, 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_clock)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
