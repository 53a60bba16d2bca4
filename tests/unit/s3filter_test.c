#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/s3filter.h"

/* "-" excludes, "+" includes. The rows with a comment are those of the AWS CLI's own manual and tests. */
static const struct {
	const char *rules[4], *path;
	bool is_kept, is_pruned; /* path as a folder */
} rows[] = {
	{{NULL}, "a", true, false},
	{{"-*.txt"}, "a.txt", false, false},
	{{"-*.txt"}, "b.png", true, false},
	{{"-*.txt"}, "d/e/a.txt", false, false},  /* '*' crosses '/' */
	{{"-*", "+*.txt"}, "a.txt", true, false}, /* "exclude all, then include": the last that matches counts */
	{{"-*", "+*.txt"}, "a.png", false, false},
	{{"+*.txt", "-*"}, "a.txt", false, false}, /* the other way round nothing is left */
	{{"-foo/*", "+foo/bar/*", "-foo/bar/x"}, "foo/a", false, false},
	{{"-foo/*", "+foo/bar/*", "-foo/bar/x"}, "foo/bar/y", true, false},
	{{"-foo/*", "+foo/bar/*", "-foo/bar/x"}, "foo/bar/x", false, false},
	{{"+*.txt", "-*"}, "d/", false, true},
	{{"-.git/*"}, ".git/", false, true},
	{{"-.git/*"}, ".git/config", false, false},
	{{"-.git/*"}, "x/.git/", true, false}, /* the pattern is of the whole path */
	{{"-*.git/*"}, "x/.git/", false, true},
	{{"-.git"}, ".git/", true, false},
	{{"-.git/*", "+*.keep"}, ".git/", false, false}, /* something below may be taken in again */
	{{"+*", "-d?/*"}, "d1/", false, true},
	{{"-[ab]*"}, "b1", false, false},
	{{"-[!ab]*"}, "b1", true, false},
	{{"-"}, "", false, false},
};

static void rules_decide(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3rule rules[4];
		struct s3filter filter = {rules, 0};
		for (; filter.count < 4 && rows[i].rules[filter.count]; filter.count++)
			rules[filter.count] =
				(struct s3rule){rows[i].rules[filter.count] + 1, rows[i].rules[filter.count][0] == '+'};
		if (s3filter_keeps(&filter, rows[i].path) != rows[i].is_kept)
			fail_msg("row %zu: '%s' is %s", i, rows[i].path, rows[i].is_kept ? "not kept" : "kept");
		/* Of files the answer is of no use: they are not folders. */
		size_t len = strlen(rows[i].path);
		bool is_folder = len && rows[i].path[len - 1] == '/';
		if (is_folder && s3filter_prunes(&filter, rows[i].path) != rows[i].is_pruned)
			fail_msg("row %zu: pruned is %d", i, !rows[i].is_pruned);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(rules_decide)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
