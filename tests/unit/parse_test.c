#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/parse.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define BAD_DURATION(s) "'" s "' is not a duration: write it like 90s, 10m, 1h30m, 500ms or 2d, at most 366d"
#define BAD_SIZE(s) "'" s "' is not a size: write whole bytes, or like 512K, 4M, 2G, 1T or 8GiB"
#define BAD_MODE(s) "'" s "' is not a file mode: write it in octal with a leading 0, like 0644"
#define BAD_TIME(s) "'" s "' is not a time: write it in UTC like 2026-11-20T13:00:00Z"

/* One row: what is parsed, then its value or the message of its refusal. */
struct row {
	const char *text;
	int64_t value;
	const char *msg;
};

static const struct row integers[] = {
	{"0", 0, NULL},
	{"-0", 0, NULL},
	{"007", 7, NULL},
	{"9223372036854775807", INT64_MAX, NULL},
	{"-9223372036854775808", INT64_MIN, NULL},
	{"9223372036854775808", 0,
	 "9223372036854775808 is out of range: between -9223372036854775808 and 9223372036854775807 is accepted"},
	{"-9223372036854775809", 0,
	 "-9223372036854775809 is out of range: between -9223372036854775808 and 9223372036854775807 is accepted"},
	{"", 0, "'' is not a whole number"},
	{"-", 0, "'-' is not a whole number"},
	{"+1", 0, "'+1' is not a whole number"},
	{" 1", 0, "' 1' is not a whole number"},
	{"1 ", 0, "'1 ' is not a whole number"},
	{"0x10", 0, "'0x10' is not a whole number"},
	{"1.5", 0, "'1.5' is not a whole number"},
};

static const struct row ports[] = {
	{"1", 1, NULL},
	{"65535", 65535, NULL},
	{"0", 0, "0 is out of range: between 1 and 65535 is accepted"},
	{"65536", 0, "65536 is out of range: between 1 and 65535 is accepted"},
};

static const struct row durations[] = {
	{"0", 0, NULL},
	{"90", 90000, NULL},
	{"90s", 90000, NULL},
	{"10m", 600000, NULL},
	{"1h30m", 5400000, NULL},
	{"500ms", 500, NULL},
	{"2d", 172800000, NULL},
	{"1d2h3m4s5ms", 93784005, NULL},
	{"366d", INT64_C(31622400000), NULL},
	{"366d1ms", 0, "duration '366d1ms' is above 366 days"},
	{"367d", 0, "duration '367d' is above 366 days"},
	{"99999999999999999999", 0, BAD_DURATION("99999999999999999999")},
	{"", 0, BAD_DURATION("")},
	{"s", 0, BAD_DURATION("s")},
	{"-1s", 0, BAD_DURATION("-1s")},
	{"1h30", 0, BAD_DURATION("1h30")},
	{"30m1h", 0, BAD_DURATION("30m1h")},
	{"1m1m", 0, BAD_DURATION("1m1m")},
	{"1 m", 0, BAD_DURATION("1 m")},
	{"1M", 0, BAD_DURATION("1M")},
	{"1.5h", 0, BAD_DURATION("1.5h")},
	{"1mss", 0, BAD_DURATION("1mss")},
};

static const struct row sizes[] = {
	{"0", 0, NULL},
	{"512", 512, NULL},
	{"512B", 512, NULL},
	{"10K", 10240, NULL},
	{"10k", 10240, NULL},
	{"4MB", 4194304, NULL},
	{"2GiB", INT64_C(2147483648), NULL},
	{"1T", INT64_C(1099511627776), NULL},
	{"9223372036854775807", INT64_MAX, NULL},
	{"8388607T", INT64_C(9223370937343148032), NULL},
	{"8388608T", 0, "size '8388608T' is too large"},
	{"9223372036854775808", 0, "size '9223372036854775808' is too large"},
	{"", 0, BAD_SIZE("")},
	{"G", 0, BAD_SIZE("G")},
	{"1.5G", 0, BAD_SIZE("1.5G")},
	{"-1", 0, BAD_SIZE("-1")},
	{"1iB", 0, BAD_SIZE("1iB")},
	{"1Gi", 0, BAD_SIZE("1Gi")},
	{"1GG", 0, BAD_SIZE("1GG")},
	{"1 G", 0, BAD_SIZE("1 G")},
};

static const struct row modes[] = {
	{"0644", 0644, NULL},
	{"0o755", 0755, NULL},
	{"0O755", 0755, NULL},
	{"07777", 07777, NULL},
	{"0", 0, NULL},
	{"644", 0, BAD_MODE("644")},
	{"010000", 0, BAD_MODE("010000")},
	{"0o", 0, BAD_MODE("0o")},
	{"0888", 0, BAD_MODE("0888")},
	{"", 0, BAD_MODE("")},
	{"0644 ", 0, BAD_MODE("0644 ")},
};

static const struct row bools[] = {
	{"true", 1, NULL},
	{"Yes", 1, NULL},
	{"ON", 1, NULL},
	{"false", 0, NULL},
	{"no", 0, NULL},
	{"Off", 0, NULL},
	{"1", 0, "'1' is neither true nor false: write true, false, yes, no, on or off"},
	{"", 0, "'' is neither true nor false: write true, false, yes, no, on or off"},
	{"truee", 0, "'truee' is neither true nor false: write true, false, yes, no, on or off"},
};

static const struct row times[] = {
	{"1970-01-01T00:00:00Z", 0, NULL},
	{"2000-02-29T12:00:00Z", 951825600, NULL},
	{"2000-03-01T00:00:00Z", 951868800, NULL},
	{"2026-11-20T13:00:00Z", 1795179600, NULL},
	{"2026-11-20T13:00:00.123456Z", 1795179600, NULL},
	{"2100-03-01T00:00:00Z", INT64_C(4107542400), NULL},
	{"9999-12-31T23:59:59Z", INT64_C(253402300799), NULL},
	{"2100-02-29T00:00:00Z", 0, BAD_TIME("2100-02-29T00:00:00Z")},
	{"2026-13-01T00:00:00Z", 0, BAD_TIME("2026-13-01T00:00:00Z")},
	{"2026-00-01T00:00:00Z", 0, BAD_TIME("2026-00-01T00:00:00Z")},
	{"2026-04-31T00:00:00Z", 0, BAD_TIME("2026-04-31T00:00:00Z")},
	{"2026-01-01T24:00:00Z", 0, BAD_TIME("2026-01-01T24:00:00Z")},
	{"1969-12-31T23:59:59Z", 0, BAD_TIME("1969-12-31T23:59:59Z")},
	{"2026-11-20T13:00:00", 0, BAD_TIME("2026-11-20T13:00:00")},
	{"2026-11-20T13:00:00+01:00", 0, BAD_TIME("2026-11-20T13:00:00+01:00")},
	{"2026-11-20T13:00:00.Z", 0, BAD_TIME("2026-11-20T13:00:00.Z")},
	{"2026-11-20 13:00:00Z", 0, BAD_TIME("2026-11-20 13:00:00Z")},
	{"2026", 0, BAD_TIME("2026")},
	{"", 0, BAD_TIME("")},
};

typedef int (*parser)(const char *text, int64_t *value, struct err *err);

static int an_integer(const char *s, int64_t *v, struct err *err) { return parse_i64(s, INT64_MIN, INT64_MAX, v, err); }

static int a_port(const char *s, int64_t *v, struct err *err) { return parse_i64(s, 1, 65535, v, err); }

static int a_mode(const char *s, int64_t *v, struct err *err) {
	mode_t mode = 012345;
	int rc = parse_mode(s, &mode, err);

	*v = rc < 0 && mode == 012345 ? *v : (int64_t)mode;
	return rc;
}

static int a_bool(const char *s, int64_t *v, struct err *err) {
	bool value = true;
	int rc = parse_bool(s, &value, err);

	if (rc == 0) *v = value;
	return rc;
}

static void check(const struct row *rows, size_t count, parser parse) {
	for (size_t i = 0; i < count; i++) {
		struct err err = {0};
		int64_t value = -77;
		int rc = parse(rows[i].text, &value, &err);

		if (rc != (rows[i].msg ? -ERR_INVALID : 0)) fail_msg("'%s' gives %d: %s", rows[i].text, rc, err.msg);
		assert_int_equal(value, rows[i].msg ? -77 : rows[i].value); /* untouched on failure */
		assert_string_equal(err.msg, rows[i].msg ? rows[i].msg : "");
	}
}

static void scalars(void **state) {
	check(integers, COUNT(integers), an_integer);
	check(ports, COUNT(ports), a_port);
	check(durations, COUNT(durations), parse_duration);
	check(sizes, COUNT(sizes), parse_size);
	check(modes, COUNT(modes), a_mode);
	check(bools, COUNT(bools), a_bool);
	check(times, COUNT(times), parse_time);
}

static void hexadecimal(void **state) {
	static const unsigned char want[] = {0x00, 0xfF, 0x1a};
	unsigned char bytes[3] = {9, 9, 9};
	struct err err = {0};

	assert_int_equal(parse_hex("00fF1", bytes, 3, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "'00fF1' has 5 characters: 6 hexadecimal digits are needed");
	assert_int_equal(parse_hex("00fF1g", bytes, 3, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "'00fF1g' is not hexadecimal");
	assert_int_equal(bytes[0], 9);
	assert_int_equal(parse_hex("00fF1a", bytes, 3, &err), 0);
	assert_memory_equal(bytes, want, 3);
}

int main(void) {
	static const struct CMUnitTest tests[] = {cmocka_unit_test(scalars), cmocka_unit_test(hexadecimal)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
