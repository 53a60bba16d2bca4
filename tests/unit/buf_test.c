#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void adds(void **state) {
	struct buf b AUTO_BUF = BUF_INIT(64);

	assert_string_equal(buf_str(&b), "");
	buf_adds(&b, "one");
	buf_addc(&b, ' ');
	buf_addf(&b, "%d-%s", 2, "two");
	buf_add(&b, "\0x", 2);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "one 2-two\0x", 12);
	buf_cut(&b, 3);
	assert_string_equal(buf_str(&b), "one");
	buf_cut(&b, 50);
	assert_int_equal(b.len, 3);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
}

static void stops_at_its_maximum(void **state) {
	struct buf b AUTO_BUF = BUF_INIT(5);
	struct err err = {0};

	buf_adds(&b, "12345");
	assert_int_equal(buf_check(&b, "the answer", &err), 0);
	buf_addc(&b, '6');
	buf_reset(&b);
	assert_false(b.has_overflowed);
	buf_addf(&b, "%s", "123");
	buf_addf(&b, "%s", "456"); /* does not fit: dropped whole */
	buf_addc(&b, '4');	   /* would fit, but all later ones are dropped too */
	assert_string_equal(buf_str(&b), "123");
	assert_int_equal(buf_check(&b, "the answer", &err), -ERR_LIMIT);
	assert_string_equal(err.msg, "the answer is larger than 5 bytes");
	assert_int_equal(err.code, ERR_LIMIT);
}

static void grows_over_all_sizes(void **state) {
	enum { TOTAL = 300000 };
	struct buf b AUTO_BUF = BUF_INIT(TOTAL);

	for (size_t i = 0; i < TOTAL; i++) buf_addc(&b, (char)('a' + i % 26));
	assert_false(b.has_overflowed);
	assert_int_equal(b.len, TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		if (b.data[i] != (char)('a' + i % 26)) fail_msg("byte %zu was lost", i);
	assert_int_equal(b.data[TOTAL], 0);
	buf_addc(&b, 'x');
	assert_true(b.has_overflowed);
}

static void gives_away(void **state) {
	struct buf b AUTO_BUF = BUF_INIT(10);
	char *taken AUTO_FREE = buf_take(&b);
	char *second AUTO_FREE = NULL;

	assert_string_equal(taken, "");
	buf_adds(&b, "abc");
	second = buf_take(&b);
	assert_string_equal(second, "abc");
	assert_null(b.data);
	assert_int_equal(b.max, 10);
	buf_adds(&b, "0123456789");
	assert_false(b.has_overflowed);
}

static void empty_ones_are_fine(void **state) {
	struct buf zero = {0};

	buf_clear(NULL);
	buf_wipe(NULL);
	buf_clear(&zero);
	buf_adds(&zero, "");
	assert_false(zero.has_overflowed);
	buf_adds(&zero, "x"); /* no maximum given: nothing fits */
	assert_true(zero.has_overflowed);
	buf_wipe(&zero);
	assert_null(zero.data);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds),
		cmocka_unit_test(stops_at_its_maximum),
		cmocka_unit_test(grows_over_all_sizes),
		cmocka_unit_test(gives_away),
		cmocka_unit_test(empty_ones_are_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
