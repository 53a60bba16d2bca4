#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "fmt/diag.h"
#include "fmt/yml.h"

#define REFUSED "anchors and aliases are refused: write the value out\n"

/* Expected: the nodes as text@line:col, or the diagnoses of file f. */
static const struct {
	const char *name, *yaml, *expected;
} rows[] = {
	{"empty", "", "{}@1:1"},
	{"comment", "# nothing\n", "{}@1:1"},
	{"only a document start", "---\n", "{}@1:1"},
	{"shebang", "#!/usr/bin/dsagent boot\nrecipe: x\n", "{recipe@2:1: x@2:9}@2:1"},
	{"scalars stay text", "a: 3.10\nb: no\nc: 0644\nd: ~\n",
	 "{a@1:1: 3.10@1:4, b@2:1: no@2:4, c@3:1: 0644@3:4, d@4:1: ~@4:4}@1:1"},
	{"quotes", "a: 'x ''y'\nb: \"\\t\\u00e4\"\nc: |\n  1\n  2\nd:\n",
	 "{a@1:1: \"x 'y\"@1:4, b@2:1: \"\t\xc3\xa4\"@2:4, c@3:1: \"1\n2\n\"@3:4, d@6:1: @6:3}@1:1"},
	{"nesting", "a:\n  - b: 1\n  - [c, {d: e}]\n  - {}\n",
	 "{a@1:1: [{b@2:5: 1@2:8}@2:5, [c@3:6, {d@3:10: e@3:13}@3:9]@3:5, {}@4:5]@2:3}@1:1"},
	{"columns count characters", "\xc3\xa4\xc3\xb6: x\n", "{\xc3\xa4\xc3\xb6@1:1: x@1:5}@1:1"},
	{"byte order mark",
	 "\xef\xbb\xbf"
	 "a: 1\n",
	 "{a@1:1: 1@1:4}@1:1"},
	{"CRLF", "a: 1\r\nb:\r\n  - 2\r\n", "{a@1:1: 1@1:4, b@2:1: [2@3:5]@3:3}@1:1"},
	{"a scalar document", "hello\n", "hello@1:1"},
	{"an empty quoted document", "''\n", "\"\"@1:1"},
	{"complex but scalar key", "? a\n: b\n", "{a@1:3: b@2:3}@1:1"},
	{"empty quoted key", "\"\": b\n", "{\"\"@1:1: b@1:5}@1:1"},

	{"anchor", "a: &x 1\n", "f:1:4: " REFUSED},
	{"anchor on a map", "a: &x\n  b: 1\n", "f:1:4: " REFUSED},
	{"alias of nothing", "a: *x\n", "f:1:4: " REFUSED},
	{"alias as key", "*x : 1\n", "f:1:1: " REFUSED},
	{"merge key", "a: &x {b: 1}\nc:\n  <<: *x\n", "f:1:4: " REFUSED "f:3:7: " REFUSED},
	{"tags", "a: !!str 1\nb: !x [c]\n",
	 "f:1:4: tags are refused: the key says what type its value has\n"
	 "f:2:4: tags are refused: the key says what type its value has\n"},
	{"duplicate keys", "a: 1\nb: 2\na: 3\n\"b\": 4\na: 5\n",
	 "f:3:1: duplicate key 'a': it stands on line 1 already\n"
	 "f:4:1: duplicate key 'b': it stands on line 2 already\n"
	 "f:5:1: duplicate key 'a': it stands on line 3 already\n"},
	{"the same key in two maps is fine", "a: {k: 1}\nb: {k: 2}\n",
	 "{a@1:1: {k@1:5: 1@1:8}@1:4, b@2:1: {k@2:5: 2@2:8}@2:4}@1:1"},
	{"list as key", "? [a]\n: b\n", "f:1:3: a key must be text, found a list\n"},
	{"empty key", ": b\n", "f:1:1: a key is missing before ':'\n"},
	{"explicit empty key", "?\n: b\n", "f:1:2: a key is missing before ':'\n"},
	{"empty key in a flow map", "{: b}\n", "f:1:2: a key is missing before ':'\n"},
	{"several documents", "a: 1\n---\nb: 2\n", "f:2:1: a second document: one file holds one recipe\n"},
	{"tab indents", "a:\n\tb: 1\n", "f:2:1: a tab cannot indent YAML: use spaces\n"},
	{"tab indents after spaces", "a:\n  b: 1\n  \tc: 1\n", "f:3:3: a tab cannot indent YAML: use spaces\n"},
	{"tab in a block scalar's indentation", "a: |\n\tb\n", "f:2:1: a tab cannot indent YAML: use spaces\n"},
	{"at sign", "a: @b\n", "f:1:4: text cannot begin with '@': put it in quotes\n"},
	{"second colon", "a: b: c\n",
	 "f:1:5: ':' is not allowed here: put text that holds ': ' in quotes, or mend the indentation\n"},
	{"no colon", "a: 1\nb\nc: 2\n",
	 "f:3:1: there is no ':' after this key, or the line before is not indented alike\n"},
	{"indentation of a map", "a:\n    b: 1\n  c: 2\n",
	 "f:3:3: expected a key in line with the others of this map: mend the indentation "
	 "(while parsing a block mapping that begins on line 1)\n"},
	{"open quote", "a: \"x\nb: 1\n",
	 "f:3:1: a quote is never closed (while scanning a quoted scalar that begins on line 1)\n"},
	{"open list", "a: [b,\n  c\nd: 1\n",
	 "f:3:2: expected ',' or ']' to go on with or end a list "
	 "(while parsing a flow sequence that begins on line 1)\n"},
	{"escape", "a: \"\\d\"\n",
	 "f:1:5: no such escape: in double quotes a backslash is written \\\\, in single quotes it stands for "
	 "itself\n"},
	{"control character", "a: 1\nb: \xc3\xa4\x01\n",
	 "f:2:5: a control character: write it as an escape (\"\\x1b\") in double quotes\n"},
	{"not UTF-8", "a: 1\nb: \xc3\xa4\xff\n", "f:2:5: byte 0xff is not UTF-8: save the file as UTF-8\n"},
	{"UTF-16",
	 "\xff\xfe"
	 "a",
	 "f:1:1: byte 0xff is not UTF-8: save the file as UTF-8\n"},
	{"cut character", "a: \xc3", "f:1:4: byte 0xc3 is not UTF-8: save the file as UTF-8\n"},
	{"escaped NUL", "a: \"x\\0y\"\n", "f:1:4: a NUL character (\"\\0\") cannot be part of a text\n"},
};

static void dump(const struct yml_node *n, struct buf *out) {
	if (n->kind == YML_SCALAR)
		buf_addf(out, n->is_quoted ? "\"%s\"" : "%s", n->text);
	else
		buf_addc(out, n->kind == YML_SEQ ? '[' : '{');
	for (size_t i = 0; i < n->count; i++) {
		if (i) buf_adds(out, ", ");
		if (n->kind == YML_MAP) {
			dump(n->keys[i], out);
			buf_adds(out, ": ");
		}
		dump(n->items[i], out);
	}
	if (n->kind != YML_SCALAR) buf_addc(out, n->kind == YML_SEQ ? ']' : '}');
	buf_addf(out, "@%u:%u", n->line, n->col);
}

static void parse(const char *data, size_t len, struct buf *out) {
	struct arena arena AUTO_ARENA = {0};
	struct diags diags AUTO_DIAGS = {.arena = &arena};
	const struct yml_node *root = yml_parse("f", data, len, &arena, &diags);
	if ((root != NULL) != (diags.count == 0)) fail_msg("a root and diagnoses exclude each other");
	if (root) dump(root, out);
	diags_sort(&diags);
	diags_print(&diags, out);
}

static void parses(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out AUTO_BUF = BUF_INIT(65536);
		parse(rows[i].yaml, strlen(rows[i].yaml), &out);
		if (strcmp(buf_str(&out), rows[i].expected) != 0) {
			fail_msg("%s:\ngot      %s\nexpected %s", rows[i].name, buf_str(&out), rows[i].expected);
		}
	}
}

/* prefix, then unit repeated, then suffix. */
static const struct {
	const char *name, *prefix, *unit;
	size_t times;
	const char *suffix, *expected; /* NULL: it is accepted */
} limits[] = {
	{"as deep as allowed", "", "[", YML_DEPTH_MAX, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL},
	{"too deep", "", "[", YML_DEPTH_MAX + 1, "", "f:1:33: lists and maps are nested more than 32 deep\n"},
	{"far too deep", "", "[", 100000, "", "f:1:33: lists and maps are nested more than 32 deep\n"},
	{"as many nodes as allowed", "", "- a\n", YML_NODES_MAX - 1, "", NULL},
	{"too many nodes", "", "- a\n", YML_NODES_MAX, "", "f: more than 50000 values: this is no recipe\n"},
	{"as large as allowed", "", "#", YML_BYTES_MAX, "", NULL},
	{"too large", "", "#", YML_BYTES_MAX, "#", "f: 1048577 bytes of YAML: at most 1048576 are read\n"},
};

static void keeps_its_limits(void **state) {
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct buf yaml AUTO_BUF = BUF_INIT(2 * YML_BYTES_MAX), out AUTO_BUF = BUF_INIT(2 * YML_BYTES_MAX);
		buf_adds(&yaml, limits[i].prefix);
		for (size_t k = 0; k < limits[i].times; k++) buf_adds(&yaml, limits[i].unit);
		buf_adds(&yaml, limits[i].suffix);
		parse(yaml.data, yaml.len, &out);
		const char *expected = limits[i].expected;
		bool is_as_expected = expected ? strncmp(buf_str(&out), expected, strlen(expected)) == 0
					       : strncmp(buf_str(&out), "f:", 2) != 0;
		if (!is_as_expected) fail_msg("%s: %.200s", limits[i].name, buf_str(&out));
	}
}

static void refuses_nul_bytes(void **state) {
	struct buf out AUTO_BUF = BUF_INIT(4096);
	parse("a: 1\nb: \0c\n", 11, &out);
	assert_string_equal(buf_str(&out), "f:2:4: a NUL byte: this is not text\n");
}

static void finds_and_names(void **state) {
	static const char yaml[] = "a: x\nb: ''\nc:\nd: null\ne: [1]\nf: {g: h}\n";
	static const struct {
		const char *key, *kind_name;
		bool is_null;
	} nodes[] = {{"a", "text", false},   {"b", "text", false},   {"c", "nothing", true},
		     {"d", "nothing", true}, {"e", "a list", false}, {"f", "a map", false}};
	struct arena arena AUTO_ARENA = {0};
	struct diags diags AUTO_DIAGS = {.arena = &arena};
	const struct yml_node *root = yml_parse("f", yaml, strlen(yaml), &arena, &diags);
	assert_non_null(root);
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
		const struct yml_node *node = yml_get(root, nodes[i].key);
		assert_non_null(node);
		assert_int_equal(yml_is_null(node), nodes[i].is_null);
		assert_string_equal(yml_kind_name(node), nodes[i].kind_name);
	}
	assert_null(yml_get(root, "g"));
	assert_null(yml_get(yml_get(root, "e"), "1"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(refuses_nul_bytes),
		cmocka_unit_test(finds_and_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
