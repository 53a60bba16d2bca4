#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static const struct {
	int64_t ms;
	const char *text;
} stamps[] = {
	{0, "1970-01-01T00:00:00Z"},
	{999, "1970-01-01T00:00:00Z"},
	{-1, "1969-12-31T23:59:59Z"},
	{INT64_C(1795179600123), "2026-11-20T13:00:00Z"},
	{INT64_C(253402300799999), "9999-12-31T23:59:59Z"},
	{INT64_C(253402300800000), "?"},
	{INT64_MAX, "?"},
};

static void is_pinned(void **state) {
	assert_int_equal(clock_now_ms(), INT64_C(1795179600000));
	(void)setenv("DSAGENT_NOW", "5", 1); /* read once */
	assert_int_equal(clock_now_ms(), INT64_C(1795179600000));
}

static void shows_iso8601(void **state) {
	for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
		char text[CLOCK_ISO8601_SIZE];

		assert_string_equal(clock_iso8601(stamps[i].ms, text), stamps[i].text);
	}
}

static void sleeps_on_a_clock_that_only_rises(void **state) {
	int64_t before = clock_mono_ms();

	clock_sleep_ms(-5);
	clock_sleep_ms(0);
	clock_sleep_ms(20);
	assert_true(clock_mono_ms() >= before + 19);
}

static void random_numbers_keep_their_bound(void **state) {
	unsigned seen = 0;

	for (int i = 0; i < 2000; i++) {
		uint64_t value = clock_random(5);

		assert_true(value < 5);
		seen |= 1U << value;
	}
	assert_int_equal(seen, 0x1F); /* a value missing in 2000 draws: 10^-193 */
	assert_int_equal(clock_random(1), 0);
	assert_true(clock_random(UINT64_MAX) != clock_random(UINT64_MAX));
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_pinned),
		cmocka_unit_test(shows_iso8601),
		cmocka_unit_test(sleeps_on_a_clock_that_only_rises),
		cmocka_unit_test(random_numbers_keep_their_bound),
	};

	(void)setenv("DSAGENT_NOW", "1795179600", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
