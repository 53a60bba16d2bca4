#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "recipe/cond.h"

static const struct {
	const char *name, *value; /* value NULL: known later */
} names[] = {
	{"vars.bucket", "data-1"},
	{"vars.empty", ""},
	{"vars.zero", "0"},
	{"vars.no", "false"},
	{"vars.n", "10"},
	{"vars.word", "no"},
	{"facts.os", "ubuntu"},
	{"facts.os_version", "22.04"},
	{"facts.cpus", "4"},
	{"facts.is_ec2", "true"},
	{"facts.kernel", "6.8.0-1021-aws"},
	{"vars.later", NULL},
	{"env.HOME", "/root"},
};

static const struct {
	const char *text;
	bool value;
} rows[] = {
	/* alone */
	{"vars.bucket", true},
	{"vars.empty", false},
	{"vars.zero", false},
	{"vars.no", false},
	{"vars.word", true},
	{"true", true},
	{"false", false},
	{"1", true},
	{"0", false},
	{"0.0", false},
	{"-1", true},
	{"''", false},
	{"\"x\"", true},
	{"!vars.empty", true},
	{"!!vars.empty", false},
	{"  true  ", true},
	/* texts */
	{"vars.bucket != \"\"", true},
	{"facts.os == 'ubuntu'", true},
	{"facts.os=='Ubuntu'", false},
	{"facts.os != \"ubuntu\"", false},
	{"'a' == 'a '", false},
	{"env.HOME == '/root'", true},
	/* versions */
	{"'22.04' < '24.04'", true},
	{"'3.9' < '3.10'", true},
	{"'3.10' > '3.9'", true},
	{"'3.10' < '3.10.1'", true},
	{"'3.10' <= '3.10'", true},
	{"'3.010' >= '3.10'", true},
	{"'3.010' == '3.10'", false},
	{"'3.10' > '3.10'", false},
	{"'100000000000000000001' > '100000000000000000000'", true},
	{"facts.kernel >= '6.8'", true},
	{"'a' < 'b'", true},
	{"'a' < 'ab'", true},
	{"'' < 'a'", true},
	{"'1.' > '1'", true},
	{"'1.0' > '1'", true},
	/* numbers */
	{"facts.cpus >= 4", true},
	{"facts.cpus == 4.0", true},
	{"facts.cpus > 10", false},
	{"vars.n > 9", true},
	{"vars.n > '9'", true},
	{"facts.os_version >= 22.04", true},
	{"facts.os_version < 24", true},
	{"3.9 < 3.10", false},
	{"1 == 1", true},
	{"-2 < -1", true},
	{"facts.os == 1", false},
	{"facts.os != 1", true},
	{"'1e3' == 1000", false},
	{"'0x10' == 16", false},
	{"'1.' == 1", false},
	/* truth values */
	{"facts.is_ec2 == true", true},
	{"facts.is_ec2 != false", true},
	{"facts.os == true", false},
	{"true == true", true},
	{"(1 < 2) == true", true},
	/* lists */
	{"facts.os in ['debian', 'ubuntu']", true},
	{"facts.os in ['debian']", false},
	{"facts.os in []", false},
	{"facts.cpus in [2, 4, 8]", true},
	{"!(facts.os in ['debian'])", true},
	{"facts.os in[vars.bucket,'ubuntu']", true},
	{"'a' in ['b', 'a' ] && true", true},
	/* precedence: ! before comparison before && before || */
	{"!vars.empty == true", true},
	{"true || false && false", true},
	{"(true || false) && false", false},
	{"false && true || true", true},
	{"!false && false", false},
	{"1 == 1 && 2 == 3 || 4 == 4", true},
	{"!(1 == 2)", true},
	{"true && true && false", false},
	{"false || false || true", true},
	/* what is decided is not compared */
	{"vars.empty != '' && vars.empty > 3", false},
	{"vars.empty == '' || vars.empty > 3", true},
	{"false && (true || vars.os_is_not_reached == 1) || true", true},
};

static const struct {
	const char *text;
	size_t offset;
	const char *error;
	bool is_eval_only; /* cond_check is content */
} errors[] = {
	{"", 0, "the condition is empty", false},
	{"   ", 0, "the condition is empty", false},
	{"vars.bukket == 'x'", 0, "there is no 'vars.bukket'", false},
	{"true || vars.bukket", 8, "there is no 'vars.bukket'", false},
	{"false && vars.bukket", 9, "there is no 'vars.bukket'", false},
	{"facts.os == ubuntu", 12,
	 "'ubuntu' is neither a name (vars.x, facts.x, env.X) nor a number; put text in quotes", false},
	{"facts.os in [ubuntu]", 13,
	 "'ubuntu' is neither a name (vars.x, facts.x, env.X) nor a number; put text in quotes", false},
	{"${vars.bucket} == ''", 0, "a condition takes names as they are: vars.x, not ${vars.x}", false},
	{"facts.os = 'ubuntu'", 9, "'=' is written ==", false},
	{"true & true", 5, "'&' is written &&", false},
	{"true | true", 5, "'|' is written ||", false},
	{"true and true", 5, "'and' is written &&", false},
	{"true or true", 5, "'or' is written ||", false},
	{"not true", 0, "'not' is written !", false},
	{"facts.os not in ['a']", 9, "'a not in [b]' is written !(a in [b])", false},
	{"facts.os is 'a'", 9, "'is' is written ==", false},
	{"1 < 2 < 3", 6, "comparisons do not chain: join them with &&", false},
	{"facts.os == 'ubuntu", 12, "the quote ' is never closed", false},
	{"(true && (false)", 0, "the parenthesis '(' is never closed", false},
	{"true)", 4, "a ')' without its '('", false},
	{"true &&", 7, "a value is missing at the end", false},
	{"facts.os ==", 11, "a value is missing at the end", false},
	{"!", 1, "a value is missing at the end", false},
	{"facts.os in 'a'", 12, "expected a list [a, b] after 'in'", false},
	{"facts.os in ['a'", 12, "the list '[' is never closed", false},
	{"facts.os in ['a' 'b']", 17, "expected ',' or ']' in the list", false},
	{"facts.os in ['a',]", 17, "expected a value, found ']'", false},
	{"['a']", 0, "a list can only stand after 'in'", false},
	{"true 'x'", 5, "expected an operator or the end, found ''x''", false},
	{"#", 0, "expected a value, found '#'", false},
	{"1.2.3 > 1", 0, "'1.2.3' is neither a name (vars.x, facts.x, env.X) nor a number; put text in quotes", false},
	{"facts.os > 3", 9, "the text 'ubuntu' and the number 3 cannot be compared that way", true},
	{"1 <= facts.os", 2, "the number 1 and the text 'ubuntu' cannot be compared that way", true},
	{"true < false", 5, "true and false cannot be compared that way", true},
	{"true == 1", 5, "true and the number 1 cannot be compared that way", true},
	{"vars.later == ''", 0, "'vars.later' has no value", true},
};

static const char *lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err) {
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!str_eq(name, names[i].name)) continue;
		*ret_is_known_later = !names[i].value;
		return names[i].value;
	}
	if (str_eq(name, "vars.os_is_not_reached")) return "text";
	(void)err_set(err, ERR_INVALID, "there is no '%s'", name);
	return NULL;
}

static void evaluates(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		bool value = !rows[i].value;
		size_t offset = 0;
		if (cond_check(rows[i].text, lookup, NULL, &offset, &err) < 0) {
			fail_msg("check %s: %s", rows[i].text, err.msg);
		}
		if (cond_eval(rows[i].text, lookup, NULL, &value, &offset, &err) < 0) {
			fail_msg("eval %s: %s", rows[i].text, err.msg);
		}
		if (value != rows[i].value) fail_msg("%s is %d", rows[i].text, value);
	}
}

static void refuses(void **state) {
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		struct err err = {0}, check_err = {0};
		bool value;
		size_t offset = 0, check_offset = 0;
		int rc = cond_eval(errors[i].text, lookup, NULL, &value, &offset, &err);
		if (rc != -ERR_INVALID || !str_eq(err.msg, errors[i].error) || offset != errors[i].offset) {
			fail_msg("eval %s: %d at %zu: %s", errors[i].text, rc, offset, err.msg);
		}
		rc = cond_check(errors[i].text, lookup, NULL, &check_offset, &check_err);
		if (errors[i].is_eval_only)
			assert_int_equal(rc, 0);
		else if (!str_eq(check_err.msg, errors[i].error) || check_offset != errors[i].offset) {
			fail_msg("check %s: %d at %zu: %s", errors[i].text, rc, check_offset, check_err.msg);
		}
	}
}

static const struct {
	const char *unit;
	size_t times;
	const char *after, *error; /* error NULL: fine */
} limits[] = {
	{"!", COND_DEPTH_MAX, "true", NULL},
	{"!", COND_DEPTH_MAX + 1, "true", "nested more than 32 deep"},
	{"(", COND_DEPTH_MAX + 1, "true", "nested more than 32 deep"},
	{" ", COND_LENGTH_MAX - 4, "true", NULL},
	{" ", COND_LENGTH_MAX - 3, "true", "a condition of 1001 bytes: at most 1000"},
	{"true || ", 100, "true", NULL},
};

static void keeps_its_limits(void **state) {
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct buf text AUTO_BUF = BUF_INIT(65536);
		struct err err = {0};
		bool value = false;
		for (size_t k = 0; k < limits[i].times; k++) buf_adds(&text, limits[i].unit);
		buf_adds(&text, limits[i].after);
		int rc = cond_eval(text.data, lookup, NULL, &value, NULL, &err);
		assert_string_equal(err.msg, limits[i].error ? limits[i].error : "");
		assert_int_equal(rc == 0, !limits[i].error);
		assert_int_equal(value, !limits[i].error);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evaluates),
		cmocka_unit_test(refuses),
		cmocka_unit_test(keeps_its_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
