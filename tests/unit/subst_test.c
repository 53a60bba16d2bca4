#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/subst.h"

static const struct {
	const char *name, *text;
	bool has_reference;
	const char *expected; /* the text, or the error */
	size_t offset;	      /* of the error */
} rows[] = {
	{"plain", "nothing here", false, "nothing here", 0},
	{"empty", "", false, "", 0},
	{"one", "s3://${vars.bucket}/data/", true, "s3://data-1/data/", 0},
	{"several", "${vars.bucket}${facts.os} ${vars.bucket}", true, "data-1ubuntu data-1", 0},
	{"empty value", "[${vars.none}]", true, "[]", 0},
	{"a value is not expanded again", "${vars.nested}", true, "${vars.bucket}", 0},
	{"dollar", "$HOME $ $$ $1 $", false, "$HOME $ $$ $1 $", 0},
	{"escaped", "$${HOME} $${vars.bucket}", false, "${HOME} ${vars.bucket}", 0},
	{"dollar before an escape", "$$${HOME}", false, "$${HOME}", 0},
	{"escape before a reference", "$${x} ${facts.os}", true, "${x} ubuntu", 0},
	{"known later", "a ${vars.later} b", true, "a ${vars.later} b", 0},
	{"unknown", "ab ${vars.bukket}", true, "there is no 'vars.bukket'", 3},
	{"not closed", "a ${vars.x", true, "'${vars.x' has no closing brace; write $${ for a literal ${", 2},
	{"not closed on its line", "${vars.x\n}", true, "'${vars.x' has no closing brace; write $${ for a literal ${",
	 0},
	{"shell variable", "echo ${HOME}", true,
	 "'${HOME}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; write $${HOME} to leave it to the "
	 "shell",
	 5},
	{"shell default", "${x:-y}", true,
	 "'${x:-y}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; write $${x:-y} to leave it to the "
	 "shell",
	 0},
	{"empty name", "${}", true,
	 "'${}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; write $${} to leave it to the shell", 0},
	{"no name after the scope", "${vars.}", true,
	 "'${vars.}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; write $${vars.} to leave it to the "
	 "shell",
	 0},
	{"white space", "${ vars.x }", true,
	 "'${ vars.x }' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; "
	 "write $${ vars.x } to leave it to the shell",
	 0},
	{"nested", "${vars.${vars.x}}", true,
	 "'${vars.${vars.x}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; "
	 "write $${vars.${vars.x} to leave it to the shell",
	 0},
};

static const char *lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err) {
	if (str_eq(name, "vars.bucket")) return "data-1";
	if (str_eq(name, "vars.none")) return "";
	if (str_eq(name, "vars.nested")) return "${vars.bucket}";
	if (str_eq(name, "facts.os")) return "ubuntu";
	if (str_eq(name, "vars.big")) return arg;
	*ret_is_known_later = str_eq(name, "vars.later");
	if (!*ret_is_known_later) (void)err_set(err, ERR_INVALID, "there is no '%s'", name);
	return NULL;
}

static void expands(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena AUTO_ARENA = {0};
		struct err err = {0};
		const char *text = NULL;
		size_t offset = 0;
		int rc = subst_expand(rows[i].text, lookup, NULL, &arena, &text, &offset, &err);
		const char *got = rc < 0 ? err.msg : text;
		if (strcmp(got, rows[i].expected) != 0) fail_msg("%s: %s", rows[i].name, got);
		if (offset != rows[i].offset) fail_msg("%s: offset %zu", rows[i].name, offset);
		if (subst_has(rows[i].text) != rows[i].has_reference) fail_msg("%s: subst_has", rows[i].name);
	}
}

static void keeps_its_limit(void **state) {
	struct arena arena AUTO_ARENA = {0};
	struct buf big AUTO_BUF = BUF_INIT(600000);
	for (size_t i = 0; i < 600000; i++) buf_addc(&big, 'x');
	struct err err = {0};
	const char *text = NULL;
	assert_int_equal(subst_expand("${vars.big}", lookup, big.data, &arena, &text, NULL, &err), 0);
	assert_int_equal(strlen(text), 600000);
	assert_int_equal(subst_expand("${vars.big}${vars.big}", lookup, big.data, &arena, &text, NULL, &err),
			 -ERR_LIMIT);
	assert_string_equal(err.msg, "the text with its references expanded is larger than 1048576 bytes");
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(expands), cmocka_unit_test(keeps_its_limit)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
