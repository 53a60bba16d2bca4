#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "steps/text_diff.h"

static void small_texts(void **state) {
	static const struct {
		const char *from, *to, *diff;
	} rows[] = {
		{"a\n", "a\n", ""},
		{"", "", ""},
		{NULL, "a\nb\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"a\nb\nc\n", "a\nx\nc\n", "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		{"a\n", "a", "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"},
		{"a\nb\n", "", "--- f\n+++ f\n@@ -1,2 +0,0 @@\n-a\n-b\n"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "0\n1\n2\n3\n4\n5\n6\n7\n8\nx\n",
		 "--- f\n+++ f\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -6,4 +7,4 @@\n 6\n 7\n 8\n-9\n+x\n"},
		{"a\nb\nc\nd\n", "b\nd\ne\n", "--- f\n+++ f\n@@ -1,4 +1,3 @@\n-a\n b\n-c\n d\n+e\n"},
		{"a\xff\n", "b\n", "binary content differs\n"},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *from = rows[i].from;
		assert_string_equal(
			text_diff("f", from, from ? strlen(from) : 0, rows[i].to, strlen(rows[i].to), &arena),
			rows[i].diff);
	}
}

static void nul_bytes_are_binary(void **state) {
	AUTO_ARENA struct arena arena = {0};
	assert_string_equal(text_diff("f", "a", 1, "a\0b", 3, &arena), "binary content differs\n");
}

static void output_is_capped(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf from = BUF_INIT(1 << 20), to = BUF_INIT(1 << 20);
	for (int i = 0; i < 5000; i++) {
		buf_addf(&from, "old %d\n", i);
		buf_addf(&to, "new %d\n", i);
	}
	const char *diff = text_diff("f", from.data, from.len, to.data, to.len, &arena);
	size_t lines = 0;
	for (const char *c = diff; *c; c++) lines += *c == '\n';
	assert_int_equal(lines, 2 + 1 + TEXT_DIFF_LINES_MAX + 1);
	assert_true(str_ends(diff, "-old 199\n... 9800 more lines\n"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_texts),
		cmocka_unit_test(nul_bytes_are_binary),
		cmocka_unit_test(output_is_capped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
