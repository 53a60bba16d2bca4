#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "fmt/yml.h"
#include "recipe/schema.h"

#define TEXT_MAX (256 * 1024)

struct item {
	const char *name;
	int64_t level;
};

static const struct field item_fields[] = {
	{.name = "name",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct item, name),
	 .help = "its name",
	 .is_required = true},
	{.name = "level",
	 .kind = FIELD_INT,
	 .offset = offsetof(struct item, level),
	 .min = 1,
	 .max = 9,
	 .fallback = "3",
	 .help = "how high | how low"},
	{0},
};
static const struct shape item_shape = {.fields = item_fields, .size = sizeof(struct item), .scalar_field = "name"};

struct box {
	const char *text, *key;
	struct strs texts;
	bool flag, has_mode;
	int64_t number, wait_ms, bytes;
	mode_t mode;
	int choice;
	struct field_map map;
	struct field_items items;
	struct item one;
};

static const char *const colours[] = {"red", "green", "blue", NULL};

#define F(n, k, m) .name = n, .kind = k, .offset = offsetof(struct box, m), .help = "the " n

static const struct field box_fields[] = {
	{F("text", FIELD_TEXT, text)},
	{F("key", FIELD_TEXT, key), .is_secret = true},
	{F("texts", FIELD_TEXTS, texts), .fallback = "a"},
	{F("flag", FIELD_BOOL, flag), .fallback = "yes"},
	{F("number", FIELD_INT, number)},
	{F("wait", FIELD_DURATION, wait_ms), .fallback = "2s"},
	{F("bytes", FIELD_SIZE, bytes)},
	{F("mode", FIELD_MODE, mode), .presence = offsetof(struct box, has_mode)},
	{F("colour", FIELD_CHOICE, choice), .choices = colours, .fallback = "green"},
	{F("map", FIELD_MAP, map)},
	{F("items", FIELD_ITEMS, items), .shape = &item_shape},
	{F("one", FIELD_STRUCT, one), .shape = &item_shape},
	{0},
};
static const struct shape box_shape = {
	.fields = box_fields, .size = sizeof(struct box), .scalar_field = "text", .list_field = "items"};
static const struct shape strict_shape = {.fields = item_fields, .size = sizeof(struct item)};

struct bound {
	struct arena arena;
	struct diags diags;
	struct box box;
	bool is_ok;
};

static void bind(struct bound *b, const struct shape *shape, const char *yaml, enum schema_refs refs) {
	*b = (struct bound){0};
	b->diags.arena = &b->arena;
	const struct yml_node *node = yml_parse("t", yaml, strlen(yaml), &b->arena, &b->diags);
	assert_non_null(node);
	b->is_ok = schema_bind(shape, node, refs, &b->box, &b->arena, &b->diags);
}

static void unbind(struct bound *b) {
	diags_clear(&b->diags);
	arena_clear(&b->arena);
}

static void test_types(void **state) {
	struct bound b;
	bind(&b, &box_shape,
	     "text: 3.10\ntexts: [no, 0644]\nflag: No\nnumber: -7\nwait: 1h30m\nbytes: 2G\nmode: 0640\ncolour: blue\n"
	     "map: {A: 1, B: yes}\nitems: [x, {name: y, level: 9}]\none: z\n",
	     SCHEMA_REFS_EXPANDED);
	assert_true(b.is_ok);
	assert_string_equal(b.box.text, "3.10");
	assert_int_equal(b.box.texts.count, 2);
	assert_string_equal(b.box.texts.items[0], "no");
	assert_string_equal(b.box.texts.items[1], "0644");
	assert_null(strs_argv(&b.box.texts)[2]); /* there is room: the list is the arena's */
	assert_false(b.box.flag);
	assert_int_equal(b.box.number, -7);
	assert_int_equal(b.box.wait_ms, 5400000);
	assert_int_equal(b.box.bytes, 2147483648);
	assert_int_equal(b.box.mode, 0640);
	assert_true(b.box.has_mode);
	assert_int_equal(b.box.choice, 2);
	assert_int_equal(b.box.map.count, 2);
	assert_string_equal(b.box.map.keys[1], "B");
	assert_string_equal(b.box.map.values[1], "yes");
	const struct item *items = b.box.items.items;
	assert_int_equal(b.box.items.count, 2);
	assert_string_equal(items[0].name, "x");
	assert_int_equal(items[0].level, 3);
	assert_int_equal(items[1].level, 9);
	assert_string_equal(b.box.one.name, "z");
	unbind(&b);
}

static void test_defaults_and_short_forms(void **state) {
	static const char *const nothing[] = {"{}", "~", ""};
	struct bound b;
	for (size_t i = 0; i < 3; i++) {
		bind(&b, &box_shape, nothing[i], SCHEMA_REFS_EXPANDED);
		assert_true(b.is_ok);
		assert_null(b.box.text);
		assert_int_equal(b.box.texts.count, 1);
		assert_true(b.box.flag);
		assert_int_equal(b.box.wait_ms, 2000);
		assert_int_equal(b.box.mode, FIELD_MODE_UNSET);
		assert_false(b.box.has_mode);
		assert_int_equal(b.box.choice, 1);
		assert_int_equal(b.box.one.level, 3);
		unbind(&b);
	}
	bind(&b, &box_shape, "just text", SCHEMA_REFS_EXPANDED);
	assert_string_equal(b.box.text, "just text");
	unbind(&b);
	bind(&b, &box_shape, "[p, q]", SCHEMA_REFS_EXPANDED);
	assert_int_equal(b.box.items.count, 2);
	unbind(&b);
}

static void test_open_references(void **state) {
	struct bound b;
	const char *yaml =
		"{number: \"${vars.n}\", mode: \"${vars.m}\", flag: \"${vars.f}\", one: {name: \"${vars.x}\"}}";
	bind(&b, &box_shape, yaml, SCHEMA_REFS_OPEN);
	assert_true(b.is_ok);
	assert_true(b.box.flag); /* the default, until it is known */
	unbind(&b);
	bind(&b, &box_shape, yaml, SCHEMA_REFS_EXPANDED);
	assert_false(b.is_ok);
	assert_int_equal(b.diags.count, 3);
	unbind(&b);
}

static const struct {
	const char *yaml, *expected;
} wrong[] = {
	{"number: ten\n", "t:1:9: 'number' must be a whole number, found 'ten'\n"},
	{"items: {name: x, level: 10}\n", "t:1:25: 'level' must be a whole number from 1 to 9, found '10'\n"},
	{"wait: soon\n", "t:1:7: 'wait' must be a duration such as 90s, 10m or 1h30m, at most 366d, found 'soon'\n"},
	{"bytes: many\n", "t:1:8: 'bytes' must be a size such as 512M or 10G, found 'many'\n"},
	{"mode: 644\n", "t:1:7: 'mode' must be an octal file mode with its leading 0, such as 0644, found '644'; did "
			"you mean 0644?\n"},
	{"mode: rw-r--r--\n",
	 "t:1:7: 'mode' must be an octal file mode with its leading 0, such as 0644, found 'rw-r--r--'\n"},
	{"flag: maybe\n", "t:1:7: 'flag' must be true or false, found 'maybe'\n"},
	{"colour: gren\n", "t:1:9: 'colour' must be one of red, green, blue, found 'gren'; did you mean 'green'?\n"},
	{"colour: 5\n", "t:1:9: 'colour' must be one of red, green, blue, found '5'\n"},
	{"text: [a]\n", "t:1:7: 'text' must be text, found a list\n"},
	{"text:\n", "t:1:6: 'text' must be text, found nothing\n"},
	{"texts: {a: b}\n", "t:1:8: 'texts' must be text or a list of texts, found a map\n"},
	{"texts: [a, [b]]\n", "t:1:12: 'texts' must be a list of texts, found a list in it\n"},
	{"map: text\n", "t:1:6: 'map' must be a map of texts, found 'text'\n"},
	{"map: {A: }\n", "t:1:10: 'A' in 'map' must be text, found nothing; write \"\" for an empty one\n"},
	{"one: [a]\n", "t:1:6: expected a map or text here, found a list; its keys: name, level\n"},
	{"one: {}\n", "t:1:6: missing key 'name': its name\n"},
	{"key: [hunter22]\n", "t:1:6: 'key' must be text, found a list\n"},
	{"one: {nam: a}\n", "t:1:7: unknown key 'nam'; did you mean 'name'?\n"},
	{"colr: red\n", "t:1:1: unknown key 'colr'; did you mean 'colour'?\n"},
	{"needs: red\n", "t:1:1: unknown key 'needs' here; it is one of the common keys of a step\n"},
	{"finally: red\n",
	 "t:1:1: unknown key 'finally'; there is no such thing: a step whose 'needs' failed does not run\n"},
	{"one: {name: a, zzzzzz: b}\n", "t:1:16: unknown key 'zzzzzz'; known here: name, level\n"},
	{"number: x\nmode: 1\nzz: 1\n",
	 "t:1:9: 'number' must be a whole number, found 'x'\n"
	 "t:2:7: 'mode' must be an octal file mode with its leading 0, such as 0644, found '1'\n"
	 "t:3:1: unknown key 'zz'; known here: text, key, texts, flag, number, wait, bytes, mode, colour, map, items, "
	 "one\n"},
};

static void test_messages(void **state) {
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct bound b;
		AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
		bind(&b, &box_shape, wrong[i].yaml, SCHEMA_REFS_EXPANDED);
		assert_false(b.is_ok);
		diags_sort(&b.diags);
		diags_print(&b.diags, &out);
		assert_string_equal(buf_str(&out), wrong[i].expected);
		unbind(&b);
	}
}

static void test_without_short_form(void **state) {
	static const char *const yaml[] = {"text", "[a]", "{}"};
	static const char *const expected[] = {
		"t:1:1: expected a map here, found 'text'; its keys: name, level\n",
		"t:1:1: expected a map here, found a list; its keys: name, level\n",
		"t:1:1: missing key 'name': its name\n",
	};
	for (size_t i = 0; i < 3; i++) {
		struct bound b;
		AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
		bind(&b, &strict_shape, yaml[i], SCHEMA_REFS_EXPANDED);
		diags_print(&b.diags, &out);
		assert_string_equal(buf_str(&out), expected[i]);
		unbind(&b);
	}
}

static void test_secrets_are_registered(void **state) {
	struct bound b;
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	bind(&b, &box_shape, "key: hunter22", SCHEMA_REFS_EXPANDED);
	log_redact("the key is hunter22.", &out);
	assert_string_equal(buf_str(&out), "the key is ***.");
	log_secrets_clear();
	unbind(&b);
}

static void test_among(void **state) {
	struct arena arena = {0};
	struct diags diags = {.arena = &arena};
	AUTO_STRS struct strs others = {0};
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	struct item item;
	const char *yaml = "{name: x, packages: [a], pakages: [b]}";
	const struct yml_node *node = yml_parse("t", yaml, strlen(yaml), &arena, &diags);
	strs_add(&others, "packages");
	assert_false(schema_bind_among(&item_shape, node, &others, SCHEMA_REFS_EXPANDED, &item, &arena, &diags));
	diags_print(&diags, &out);
	assert_string_equal(buf_str(&out), "t:1:26: unknown key 'pakages'; did you mean 'packages'?\n");
	assert_string_equal(item.name, "x");
	diags_clear(&diags);
	arena_clear(&arena);
}

static const struct {
	const char *foreign, *ours;
} words[] = {
	{"if", "when"},
	{"depends_on", "needs"},
	{"script", "run"},
	{"become_user", "run_as"},
	{"RunAsUser", "run_as"},
	{"ignore_errors", "on_error"},
	{"timeout-minutes", "timeout"},
	{"onlyif", "when"},
	{"executionPolicy", "frequency"},
	{"no_log", "sensitive"},
	{"envs", "env"},
	{"file_mounts", "sync"},
	{"write_files", "file"},
	{"users", "user"},
	{"mounts", "volume"},
	{"register", NULL},
	{"needs", NULL},
	{"", NULL},
};

static void test_foreign_words(void **state) {
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		const char *ours = schema_foreign_word(words[i].foreign);
		if (words[i].ours) {
			assert_non_null(ours);
			assert_string_equal(ours, words[i].ours);
		} else {
			assert_null(ours);
		}
	}
}

static void test_documents(void **state) {
	AUTO_BUF struct buf help = BUF_INIT(TEXT_MAX);
	AUTO_BUF struct buf markdown = BUF_INIT(TEXT_MAX);
	AUTO_BUF struct buf json = BUF_INIT(TEXT_MAX);
	AUTO_JS struct js *js = schema_json(&item_shape);
	schema_print_help(&item_shape, &help);
	assert_string_equal(buf_str(&help), "  name   text, required\n         its name\n"
					    "  level  number 1 to 9, default 3\n         how high | how low\n");
	schema_print_markdown(&item_shape, &markdown);
	assert_string_equal(buf_str(&markdown), "| key | takes | default | |\n|---|---|---|---|\n"
						"| `name` | text, required | | its name |\n"
						"| `level` | number 1 to 9 | `3` | how high \\| how low |\n");
	js_print(js, JS_COMPACT, &json);
	assert_string_equal(
		buf_str(&json),
		"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"name\":{\"type\":[\"string\",\"number\","
		"\"boolean\"],\"description\":\"its name\"},\"level\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1,"
		"\"maximum\":9},{\"type\":\"string\",\"pattern\":\"^-?[0-9]+$|\\\\$\\\\{[a-z]+\\\\.[A-Za-z_]"
		"[A-Za-z0-9_]*\\\\}\"}],\"description\":\"how high | how low\",\"default\":\"3\"}},\"required\":"
		"[\"name\"],\"additionalProperties\":false},{\"type\":[\"string\",\"number\",\"boolean\"]}]}");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_defaults_and_short_forms),
		cmocka_unit_test(test_open_references),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_without_short_form),
		cmocka_unit_test(test_secrets_are_registered),
		cmocka_unit_test(test_among),
		cmocka_unit_test(test_foreign_words),
		cmocka_unit_test(test_documents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
