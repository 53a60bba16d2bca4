#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/meter.h"

#define T0 7000
#define MB 1000000LL

/* At such a speed for so long, told every 100 ms. */
struct stretch {
	int64_t seconds, bytes_per_s;
};

struct row {
	const char *name;
	struct stretch stretches[4];
	int64_t first, at_least, at_most, stalled_ms;
};

static const struct row rows[] = {
	{"too early to say", {{2, 100 * MB}}, 0, 0, 0, 0},
	{"steady", {{60, 100 * MB}}, 0, 99 * MB, 101 * MB, 0},
	{"what was there already is no speed", {{20, 10 * MB}}, 50000 * MB, 9900000, 10100000, 0},
	{"a link that slows down is believed within a minute", {{60, 100 * MB}, {60, 10 * MB}}, 0, 9 * MB, 13 * MB, 0},
	{"a pause is no end", {{60, 100 * MB}, {4, 0}}, 0, 70 * MB, 80 * MB, 0},
	{"a stall is", {{60, 100 * MB}, {40, 0}}, 0, 0, 8 * MB, 40000},
	{"and is over", {{60, 100 * MB}, {40, 0}, {60, 100 * MB}}, 0, 97 * MB, 101 * MB, 0},
};

static void test_rates(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct meter m = {0};
		int64_t now = T0, bytes = rows[i].first;
		meter_add(&m, now, bytes);
		for (const struct stretch *s = rows[i].stretches; s->seconds; s++)
			for (int64_t k = 0; k < 10 * s->seconds; k++) {
				now += 100;
				bytes += s->bytes_per_s / 10;
				meter_add(&m, now, bytes);
			}
		if (meter_rate(&m) < rows[i].at_least || meter_rate(&m) > rows[i].at_most ||
		    meter_stalled_ms(&m) != rows[i].stalled_ms)
			fail_msg("%s: %lld B/s, stalled %lld ms", rows[i].name, (long long)meter_rate(&m),
				 (long long)meter_stalled_ms(&m));
	}
}

/* Another file, or the same once more: what was seen of the one before says nothing. */
static void test_begins_anew(void **state) {
	(void)state;
	struct meter m = {0};
	for (int64_t s = 0; s < 20; s++) meter_add(&m, T0 + s * 1000, s * 500 * MB);
	assert_true(meter_rate(&m) > 490 * MB);
	meter_add(&m, T0 + 21000, 3 * MB);
	assert_int_equal(meter_rate(&m), 0);
	for (int64_t s = 0; s < 20; s++) meter_add(&m, T0 + 21000 + s * 1000, 3 * MB + s * MB);
	assert_int_equal(meter_rate(&m), MB);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates), cmocka_unit_test(test_begins_anew)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
