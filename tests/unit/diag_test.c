#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "fmt/diag.h"
#include "fmt/yml.h"

static const struct {
	const char *file;
	unsigned line, col;
	const char *message;
} given[] = {
	{"b.yaml", 9, 1, "last of b"},
	{"a.yaml", 3, 7, "second of a"},
	{"b.yaml", 2, 5, "twice, first"},
	{"a.yaml", 3, 1, "first of a"},
	{"b.yaml", 2, 5, "twice, second"},
	{"b.yaml", 2, 5, "twice, first"},
	{"a.yaml", 0, 0, "the whole file"},
	{"b.yaml", 10, 1, "line 10 is after line 9"},
	{NULL, 0, 0, "nowhere"},
	{"a.yaml", 4, 1, "tab\tline\nescape\x1b[31m del\x7f umlaut \xc3\xa4"},
};

static const char printed[] = "b.yaml:2:5: twice, first\n"
			      "b.yaml:2:5: twice, second\n"
			      "b.yaml:9:1: last of b\n"
			      "b.yaml:10:1: line 10 is after line 9\n"
			      "a.yaml: the whole file\n"
			      "a.yaml:3:1: first of a\n"
			      "a.yaml:3:7: second of a\n"
			      "a.yaml:4:1: tab\\tline\\nescape\\x1b[31m del\\x7f umlaut \xc3\xa4\n"
			      "nowhere\n";

static void sorts_and_prints(void **state) {
	struct arena arena AUTO_ARENA = {0};
	struct diags d AUTO_DIAGS = {.arena = &arena};
	for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
		diag_add_at(&d, given[i].file, given[i].line, given[i].col, "%s", given[i].message);
	}
	struct buf out AUTO_BUF = BUF_INIT(4096);
	diags_sort(&d);
	diags_print(&d, &out);
	assert_string_equal(buf_str(&out), printed);
}

static void takes_the_place_of_a_node(void **state) {
	struct arena arena AUTO_ARENA = {0};
	struct diags d AUTO_DIAGS = {.arena = &arena};
	struct yml_node node = {.file = "x.yaml", .line = 4, .col = 2};
	diag_add(&d, &node, "%s %d", "value", 7);
	diag_add(&d, NULL, "no place");
	struct buf out AUTO_BUF = BUF_INIT(4096);
	diags_print(&d, &out);
	assert_string_equal(buf_str(&out), "x.yaml:4:2: value 7\nno place\n");
}

static void counts_what_it_drops(void **state) {
	struct arena arena AUTO_ARENA = {0};
	struct diags d AUTO_DIAGS = {.arena = &arena};
	for (unsigned i = 0; i < DIAGS_MAX + 3; i++) diag_add_at(&d, "f", DIAGS_MAX + 3 - i, 1, "no %u", i);
	diags_sort(&d);
	assert_int_equal(d.count, DIAGS_MAX);
	assert_int_equal(d.dropped, 3);
	assert_int_equal(d.items[0].line, 4);
	assert_int_equal(d.items[DIAGS_MAX - 1].line, DIAGS_MAX + 3);
	struct buf out AUTO_BUF = BUF_INIT(65536);
	diags_print(&d, &out);
	const char *last = "\n3 more are not shown: mend these first\n";
	assert_string_equal(buf_str(&out) + out.len - strlen(last), last);
	diags_clear(&d);
	assert_int_equal(d.count + d.dropped, 0);
}

static void cuts_a_long_message(void **state) {
	struct arena arena AUTO_ARENA = {0};
	struct diags d AUTO_DIAGS = {.arena = &arena};
	char long_text[5000];
	memset(long_text, '\n', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	diag_add_at(&d, "f", 1, 1, "%s", long_text);
	assert_int_equal(strlen(d.items[0].message), 2 * 1023);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_and_prints),
		cmocka_unit_test(takes_the_place_of_a_node),
		cmocka_unit_test(counts_what_it_drops),
		cmocka_unit_test(cuts_a_long_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
