#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "report/beat.h"

#define NO_JITTER 0

static const struct beat_policy policy = {.interval_ms = 15000,
					  .interval_cap_ms = 60000,
					  .backoff_base_ms = 1000,
					  .backoff_cap_ms = 8000,
					  .final_budget_ms = 20000,
					  .refused_budget_ms = 60000};

static struct err refused(void) { return (struct err){.code = ERR_REMOTE, .is_retryable = true}; }

static void test_a_quiet_life(void **state) {
	struct beat b = {0};
	(void)state;
	assert_int_equal(beat_wait_ms(&b, false, 5000), 0); /* the first word goes at once */
	beat_sent(&b, &policy, 5000, NO_JITTER);
	assert_int_equal(beat_wait_ms(&b, false, 5000), 15000);
	assert_int_equal(beat_wait_ms(&b, true, 5000), 0); /* a change of state too */
	assert_int_equal(beat_wait_ms(&b, false, 20000), 0);
	beat_sent(&b, &policy, 0, 3000); /* jitter of up to a fifth */
	assert_int_equal(beat_wait_ms(&b, false, 0), 18000);
	beat_sent(&b, &policy, 0, 3001);
	assert_int_equal(beat_wait_ms(&b, false, 0), 15000);
}

static void test_refusals_lengthen_the_interval(void **state) {
	static const int64_t intervals[] = {30000, 60000, 60000};
	struct beat b = {0};
	struct err err = refused();
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_true(beat_failed(&b, &policy, 1000, UINT64_MAX, &err));
		assert_int_equal(b.interval_ms, intervals[i]);
		assert_true(beat_wait_ms(&b, true, 1000) == beat_wait_ms(&b, false, 1000)); /* nothing is urgent now */
		assert_in_range(beat_wait_ms(&b, true, 1000), 0, 8000);
	}
	beat_sent(&b, &policy, 2000, NO_JITTER); /* after failures it stays, */
	assert_int_equal(beat_wait_ms(&b, false, 2000), 60000);
	beat_sent(&b, &policy, 2000, NO_JITTER); /* and shrinks with every success */
	assert_int_equal(beat_wait_ms(&b, false, 2000), 45000);
	for (size_t i = 0; i < 10; i++) beat_sent(&b, &policy, 2000, NO_JITTER);
	assert_int_equal(beat_wait_ms(&b, false, 2000), 15000);
}

struct end_row {
	const char *name;
	struct err err;
	int64_t after_ms; /* the last word was known so long before */
	bool goes_on;
};

static void test_the_last_word(void **state) {
	const struct end_row rows[] = {
		{"refused, early", {.code = ERR_REMOTE, .is_retryable = true}, 100, true},
		{"refused, past the budget of silence", {.code = ERR_REMOTE, .is_retryable = true}, 21000, true},
		{"refused, past its own", {.code = ERR_REMOTE, .is_retryable = true}, 60001, false},
		{"nobody answers, early", {.code = ERR_NET, .is_retryable = true}, 100, true},
		{"nobody answers, for long", {.code = ERR_NET, .is_retryable = true}, 20001, false},
		{"a hang, for long", {.code = ERR_TIMEOUT, .is_retryable = true}, 20001, false},
		{"denied", {.code = ERR_DENIED}, 0, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct beat b = {0};
		beat_end(&b, &policy, 1000);
		beat_end(&b, &policy, 90000); /* counts from the first */
		bool goes_on = beat_failed(&b, &policy, 1000 + rows[i].after_ms, NO_JITTER, &rows[i].err);
		if (goes_on != rows[i].goes_on) fail_msg("%s", rows[i].name);
	}
}

static void test_a_long_wait_does_not_hold_the_last_word(void **state) {
	struct beat b = {.due_at_ms = 500000, .failures = 3};
	(void)state;
	beat_end(&b, &policy, 1000);
	assert_int_equal(beat_wait_ms(&b, true, 1000), 8000);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_quiet_life), cmocka_unit_test(test_refusals_lengthen_the_interval),
		cmocka_unit_test(test_the_last_word), cmocka_unit_test(test_a_long_wait_does_not_hold_the_last_word)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
