#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_patience.h"

static void answer(struct s3_patience *p, unsigned count, int64_t ms) {
	for (unsigned i = 0; i < count; i++) s3_patience_answered(p, ms);
}

static void knows_nothing_at_first(void **state) {
	struct s3_patience p;

	(void)state;
	s3_patience_init(&p);
	answer(&p, 15, 30);
	assert_true(s3_patience_ms(&p, 0) == INT64_MAX);
	answer(&p, 1, 30);
	assert_int_equal(s3_patience_ms(&p, 0), 1030);
}

static void is_longer_where_answers_take_long(void **state) {
	static const struct { int64_t ms, want; } rows[] = {{10, 1010}, {100, 1100}, {2000, 4000}, {10000, 20000}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3_patience p;

		s3_patience_init(&p);
		answer(&p, 100, rows[i].ms);
		assert_int_equal(s3_patience_ms(&p, 0), rows[i].want);
	}
}

/* Answers between 0.5 and 3 s: none of them is slow. */
static void minds_how_far_they_spread(void **state) {
	struct s3_patience p;

	(void)state;
	s3_patience_init(&p);
	for (int64_t i = 0; i < 200; i++) s3_patience_answered(&p, 500 + i * 977 % 2500);
	assert_in_range(s3_patience_ms(&p, 0), 3000, 8000);
}

static void doubles_for_one_that_was_hurried(void **state) {
	struct s3_patience p;

	(void)state;
	s3_patience_init(&p);
	answer(&p, 16, 30);
	assert_int_equal(s3_patience_ms(&p, 1), 2060);
	assert_int_equal(s3_patience_ms(&p, 4), 16480);
	assert_int_equal(s3_patience_ms(&p, 100), 16480);
}

/* A service that has stopped answering: a few are sent again, no more. With answers come others: two in a hundred. */
static void sends_few_again(void **state) {
	struct s3_patience p;
	unsigned sent = 0;

	(void)state;
	s3_patience_init(&p);
	answer(&p, 16, 30);
	for (; s3_patience_ms(&p, 0) != INT64_MAX; sent++) s3_patience_spend(&p);
	assert_int_equal(sent, 4);
	answer(&p, 49, 30);
	assert_int_not_equal(s3_patience_ms(&p, 0), INT64_MAX);
	s3_patience_spend(&p);
	assert_int_equal(s3_patience_ms(&p, 0), INT64_MAX);
	answer(&p, 100000, 30);
	for (sent = 0; s3_patience_ms(&p, 0) != INT64_MAX; sent++) s3_patience_spend(&p);
	assert_int_equal(sent, 32);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_nothing_at_first),    cmocka_unit_test(is_longer_where_answers_take_long),
		cmocka_unit_test(minds_how_far_they_spread), cmocka_unit_test(doubles_for_one_that_was_hurried),
		cmocka_unit_test(sends_few_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
