#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/lines.h"
#include "tree.h"

static void collect(const char *line, size_t len, void *arg) {
	if (line)
		buf_addf(arg, "%zu:%.20s|", len, line);
	else
		buf_adds(arg, "too long|");
}

/* a line of n characters x in front of text */
static const struct {
	const char *name;
	size_t long_line;
	const char *text, *expected;
} rows[] = {
	{"nothing", 0, "", ""},
	{"one", 0, "a\n", "1:a|"},
	{"no end", 0, "a\nbc", "1:a|2:bc|"},
	{"empty ones are none", 0, "\n\na\n\n", "1:a|"},
	{"as long as may be", LINES_BYTES_MAX - 1, "\nb\n", "524287:xxxxxxxxxxxxxxxxxxxx|1:b|"},
	{"too long", LINES_BYTES_MAX, "\nb\n", "too long|1:b|"},
	{"much too long, and no end", 3 * LINES_BYTES_MAX + 5, "", "too long|"},
};

static void put(const struct tree *t, size_t long_line, const char *text) {
	AUTO_BUF struct buf whole = BUF_INIT(8 * LINES_BYTES_MAX);
	for (size_t i = 0; i < long_line; i++) buf_addc(&whole, 'x');
	buf_adds(&whole, text);
	tree_write(t, "/file", buf_str(&whole), 0644);
}

static void test_lines(void **state) {
	struct tree *t = *state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		struct err err = {0};
		put(t, rows[i].long_line, rows[i].text);
		assert_int_equal(lines_read(&t->root, "/file", collect, &out, &err), 0);
		if (strcmp(buf_str(&out), rows[i].expected) != 0)
			fail_msg("%s: %s, not %s", rows[i].name, buf_str(&out), rows[i].expected);
	}
}

static void test_tail(void **state) {
	struct tree *t = *state;
	static const struct {
		const char *text;
		size_t max;
		const char *expected;
	} tails[] = {
		{"", 10, ""},
		{"one\ntwo\n", 100, "one\ntwo\n"},
		{"one\ntwo\n", 6, "two\n"},
		{"one line that is longer than all\n", 10, " than all\n"},
		{"first\nno end", 8, "no end"},
	};
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		struct err err = {0};
		put(t, 0, tails[i].text);
		assert_int_equal(lines_tail(&t->root, "/file", tails[i].max, &out, &err), 0);
		assert_string_equal(buf_str(&out), tails[i].expected);
	}
}

static void test_no_file(void **state) {
	struct tree *t = *state;
	AUTO_BUF struct buf out = BUF_INIT(4096);
	struct err err = {0};
	assert_int_equal(lines_read(&t->root, "/none", collect, &out, &err), -ERR_NOT_FOUND);
	tree_write(t, "/dir/file", "x", 0644);
	assert_int_equal(lines_read(&t->root, "/dir", collect, &out, &err), -ERR_STATE);
	assert_string_equal(buf_str(&out), "");
}

static int setup(void **state) {
	static struct tree t;
	tree_open(&t);
	*state = &t;
	return 0;
}

static int teardown(void **state) {
	tree_close(*state);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
