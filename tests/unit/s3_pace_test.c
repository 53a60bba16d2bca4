#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_pace.h"

#define WINDOW_MS 250

/** One window of so many requests of 4 KiB. */
static void window(struct s3_pace *pace, int64_t *now_ms, unsigned requests, bool is_full) {
	for (unsigned i = 0; i < requests; i++) s3_pace_done(pace, 4096);
	if (is_full) s3_pace_full(pace);
	*now_ms += WINDOW_MS;
	s3_pace_turn(pace, *now_ms);
}

/* A service whose latency is the limit: rate follows jobs. */
static void doubles_while_it_helps(void **state) {
	static const unsigned want[] = {32, 64, 128, 256, 256, 256};
	struct s3_pace pace;
	int64_t now_ms = 1000;

	(void)state;
	s3_pace_init(&pace, 0, 256, now_ms);
	assert_int_equal(pace.jobs, 16);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		window(&pace, &now_ms, 10 * pace.jobs, true);
		assert_int_equal(pace.jobs, want[i]);
	}
}

static void takes_back_what_brings_nothing(void **state) {
	struct s3_pace pace;
	int64_t now_ms = 1000;
	unsigned trials = 0;

	(void)state;
	s3_pace_init(&pace, 0, 256, now_ms);
	for (unsigned i = 0; i < 4 * 60; i++) {
		window(&pace, &now_ms, 500, true);
		assert_true(pace.jobs == 16 || pace.jobs == 32);
		trials += pace.jobs == 32;
	}
	assert_in_range(trials, 4, 6); /* in a minute: 2, 4, 8, 16 and 32 s apart */
}

static void grows_only_when_something_waits(void **state) {
	struct s3_pace pace;
	int64_t now_ms = 1000;

	(void)state;
	s3_pace_init(&pace, 0, 256, now_ms);
	for (unsigned i = 0; i < 8; i++) window(&pace, &now_ms, 100 * (i + 1), false);
	assert_int_equal(pace.jobs, 16);
}

/** Two refusals, with nothing done between them. */
static void refuse_two(struct s3_pace *pace, int64_t now_ms) {
	s3_pace_slow(pace, now_ms);
	s3_pace_slow(pace, now_ms);
}

static void halves_once_a_second_then_steps(void **state) {
	static const unsigned want[] = {3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 19, 22, 25, 29, 33, 38, 43, 49, 56, 64, 64};
	struct s3_pace pace;
	int64_t now_ms = 1000;

	(void)state;
	s3_pace_init(&pace, 64, 256, now_ms);
	assert_int_equal(pace.jobs, 64);
	refuse_two(&pace, now_ms);
	refuse_two(&pace, now_ms + 500);
	assert_int_equal(pace.jobs, 32);
	refuse_two(&pace, now_ms + 1000);
	assert_int_equal(pace.jobs, 16);
	for (unsigned i = 0; i < 10; i++) refuse_two(&pace, now_ms + 2000 + 1000 * i);
	assert_int_equal(pace.jobs, 2);
	now_ms += 20000;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		window(&pace, &now_ms, 10, true);
		assert_int_equal(pace.jobs, want[i]);
	}
}

/* One in 200 is what a healthy service gives; one in 10 is not. */
static void minds_the_share_of_refusals(void **state) {
	static const struct {
		unsigned successes;
		bool halves;
	} rows[] = {{200, false}, {50, false}, {16, false}, {10, true}, {0, true}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3_pace pace;

		s3_pace_init(&pace, 64, 256, 1000);
		for (unsigned n = 0; n < 5; n++) {
			for (unsigned k = 0; k < rows[i].successes; k++) s3_pace_done(&pace, 4096);
			s3_pace_slow(&pace, 2000);
		}
		assert_int_equal(pace.jobs, rows[i].halves ? 32 : 64);
	}
}

static void keeps_what_was_asked_for(void **state) {
	struct s3_pace pace;
	int64_t now_ms = 1000;

	(void)state;
	s3_pace_init(&pace, 4, 256, now_ms);
	for (unsigned i = 0; i < 8; i++) window(&pace, &now_ms, 100 * (i + 1), true);
	assert_int_equal(pace.jobs, 4);
	s3_pace_init(&pace, 500, 256, now_ms);
	assert_int_equal(pace.jobs, 256);
	s3_pace_init(&pace, 0, 5, now_ms);
	assert_int_equal(pace.jobs, 5);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_while_it_helps),	   cmocka_unit_test(takes_back_what_brings_nothing),
		cmocka_unit_test(grows_only_when_something_waits), cmocka_unit_test(halves_once_a_second_then_steps),
		cmocka_unit_test(minds_the_share_of_refusals),	   cmocka_unit_test(keeps_what_was_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
