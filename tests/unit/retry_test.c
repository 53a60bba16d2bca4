#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "io/retry.h"

static const struct retry_policy plain = {.base_ms = 100, .cap_ms = 1000, .budget_ms = 5000, .attempts = 5};
static const struct retry_policy endless = {.base_ms = 100, .cap_ms = 1000};
static const struct retry_policy huge = {.base_ms = INT64_MAX / 2, .cap_ms = INT64_MAX};
static const struct retry_policy no_wait = {.attempts = 3};

static const struct {
	const char *name;
	const struct retry_policy *policy;
	unsigned attempt;
	int64_t elapsed_ms, hint_ms;
	uint64_t random;
	bool is_retryable;
	int64_t wait_ms;
} rows[] = {
	{"final error", &plain, 1, 0, 0, 50, false, RETRY_STOP},
	{"first wait: all of the jitter", &plain, 1, 0, 0, 100, true, 100},
	{"first wait: none of the jitter", &plain, 1, 0, 0, 101, true, 0},
	{"second doubles", &plain, 2, 0, 0, 200, true, 200},
	{"third", &plain, 3, 0, 0, 400, true, 400},
	{"fourth", &plain, 4, 0, 0, 800, true, 800},
	{"out of attempts", &plain, 5, 0, 0, 0, true, RETRY_STOP},
	{"capped", &endless, 5, 0, 0, 1000, true, 1000},
	{"never above the cap", &endless, 5, 0, 0, 1001, true, 0},
	{"attempt four thousand million", &endless, UINT32_MAX, 0, 0, 1000, true, 1000},
	{"no limit of time", &endless, 9, INT64_MAX, 0, 7, true, 7},
	{"ends just within the budget", &plain, 1, 4950, 0, 50, true, 50},
	{"would end after the budget", &plain, 1, 4951, 0, 50, true, RETRY_STOP},
	{"elapsed beyond the budget", &plain, 1, 6000, 0, 0, true, RETRY_STOP},
	{"the server's wish is a lower bound", &plain, 1, 0, 700, 20, true, 700},
	{"a smaller wish changes nothing", &plain, 1, 0, 10, 20, true, 20},
	{"the wish is capped", &plain, 1, 0, 86400000, 20, true, 1000},
	{"the wish must fit the budget", &plain, 1, 4500, 700, 20, true, RETRY_STOP},
	{"no overflow", &huge, 3, 0, 0, INT64_MAX, true, INT64_MAX},
	{"all-zero waits do not divide by zero", &no_wait, 1, 0, 0, 12345, true, 0},
	{"all-zero waits end", &no_wait, 3, 0, 0, 12345, true, RETRY_STOP},
};

static void waits(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {.code = ERR_NET, .is_retryable = rows[i].is_retryable};
		int64_t wait = retry_wait_ms(rows[i].policy, rows[i].attempt, rows[i].elapsed_ms, rows[i].hint_ms,
					     rows[i].random, &err);

		if (wait != rows[i].wait_ms)
			fail_msg("%s: %lld, not %lld", rows[i].name, (long long)wait, (long long)rows[i].wait_ms);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(waits)};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
