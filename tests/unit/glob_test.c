#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/glob.h"

static const struct {
	const char *pattern, *text;
	bool is_match;
} rows[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"*", "", true},
	{"**", "a/b", true},
	{"*.csv", "a/b/c.csv", true}, /* '*' passes '/' */
	{"*.csv", "c.csv.gz", false},
	{"data/*", "data/", true},
	{"data/*", "data", false},
	{"a?c", "abc", true},
	{"a?c", "ac", false},
	{"a?", "a\xc3\xa9", true}, /* one character, not one byte */
	{"a?", "a\xff", true},
	{"a*b*c", "aXbYbZc", true},
	{"a*b*c", "aXbYbZ", false},
	{"*aab", "aaaaab", true},
	{"[a-c]x", "bx", true},
	{"[a-c]x", "dx", false},
	{"[!a-c]x", "dx", true},
	{"[!a-c]x", "ax", false},
	{"[abc]", "b", true},
	{"[]]", "]", true}, /* first in a set it stands for itself */
	{"[!]]", "]", false},
	{"[!]]", "x", true},
	{"[a-]", "-", true},
	{"[-a]", "-", true},
	{"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
	{"[!a]", "", false},
	{"[ab", "[ab", true}, /* never closed: itself */
	{"[ab", "a", false},
	{"x[", "x[", true},
	{"x[!", "x[!", true},
	{"*[0-9]", "v12", true},
	{"*[0-9]", "v1x", false},
	{"A", "a", false},
	{"\\*", "\\x", true}, /* no escapes, as in Python's fnmatch */
};

static void matches(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (glob_match(rows[i].pattern, rows[i].text) != rows[i].is_match)
			fail_msg("'%s' against '%s' is %d", rows[i].pattern, rows[i].text, !rows[i].is_match);
}

/* Exponential matchers never come back from this. */
static void many_stars_end(void **state) {
	char pattern[401], text[4001];

	for (size_t i = 0; i < 400; i += 2) memcpy(pattern + i, "*a", 2);
	pattern[399] = 'b';
	pattern[400] = '\0';
	memset(text, 'a', 4000);
	text[4000] = '\0';
	assert_false(glob_match(pattern, text));
	text[3999] = 'b';
	assert_true(glob_match(pattern, text));
}

int main(void) {
	static const struct CMUnitTest tests[] = {cmocka_unit_test(matches), cmocka_unit_test(many_stars_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
