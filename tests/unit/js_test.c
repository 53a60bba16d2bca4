#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "fmt/js.h"

static const struct {
	const char *name, *json, *expected; /* printed compactly, or the error */
} rows[] = {
	{"insertion order", "{\"z\": 1, \"a\": [true, null, \"x\"], \"m\": {}}",
	 "{\"z\":1,\"a\":[true,null,\"x\"],\"m\":{}}"},
	{"a scalar", " 42 ", "42"},
	{"largest integer", "9223372036854775807", "9223372036854775807"},
	{"short real", "[0.1, 1e3]", "[0.1,1000.0]"},
	{"escapes", "\"\\u00e4\\n\\\"\"", "\"\xc3\xa4\\n\\\"\""},
	{"empty", " \r\n", "the JSON document is empty"},
	{"two documents", "{} {}", "JSON, line 1, column 4: end of file expected"},
	{"duplicate key", "{\"a\": 1,\n \"a\": 2}", "JSON, line 2, column 4: duplicate object key"},
	{"secrets stay out of errors", "{\"Token\": \"abcdef\" \"ghi\"}", "JSON, line 1, column 24: '}' expected"},
	{"not UTF-8", "\"\xff\"", "JSON, line 1, column 1: unable to decode byte 0xff"},
	{"escaped NUL", "\"\\u0000\"", "JSON, line 1, column 8: \\u0000 is not allowed without JSON_ALLOW_NUL"},
	{"too large integer", "9223372036854775808", "JSON, line 1, column 19: too big integer"},
	{"deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
	{"too deep", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
	 "JSON is nested more than 32 deep"},
	{"too deep in objects",
	 "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
	 "\"a\":{\"a\":[[[[[[["
	 "[[[[[[[[[[1]]]]]]]]]]]]]]]]]}}}}}}}}}}}}}}}}}",
	 "JSON is nested more than 32 deep"},
};

static void parses(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct js *js AUTO_JS = NULL;
		struct err err = {0};
		struct buf out AUTO_BUF = BUF_INIT(65536);
		if (js_parse(rows[i].json, strlen(rows[i].json), &js, &err) == 0)
			js_print(js, JS_COMPACT, &out);
		else
			buf_adds(&out, err.msg);
		if (strcmp(buf_str(&out), rows[i].expected) != 0) fail_msg("%s: %s", rows[i].name, buf_str(&out));
	}
}

static void builds_and_prints(void **state) {
	struct js *js AUTO_JS = js_object(), *list = js_array();
	js_push_str(list, "a");
	js_push_str(list, NULL);
	js_push(list, js_object());
	js_push(list, NULL);
	js_set(js, "list", list);
	js_set_str(js, "bad", "x\xff\xc3y\xed\xa0\x80");
	js_set_str(js, "none", NULL);
	js_set_int(js, "int", INT64_MIN);
	js_set_bool(js, "bool", true);
	js_set_str(js, "key\xff", "v");
	js_set_int(js, "int", 7); /* replaced in place */
	struct buf out AUTO_BUF = BUF_INIT(65536);
	js_print(js, JS_COMPACT, &out);
	assert_string_equal(buf_str(&out), "{\"list\":[\"a\",null,{},null],\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbdy"
					   "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"none\":null,\"int\":7,"
					   "\"bool\":true,\"key\xef\xbf\xbd\":\"v\"}");
	buf_reset(&out);
	js_print(js_get(js, "list"), JS_INDENTED, &out);
	assert_string_equal(buf_str(&out), "[\n  \"a\",\n  null,\n  {},\n  null\n]");
}

static void children_are_made_once(void **state) {
	AUTO_JS struct js *js = js_object();
	AUTO_BUF struct buf text = BUF_INIT(256);
	js_set_str(js, "b", "no object");
	js_set_int(js_child(js, "a"), "x", 1);
	js_set_int(js_child(js, "a"), "y", 2);
	js_set_int(js_child(js_child(js, "b"), "c"), "z", 3);
	js_print(js, JS_COMPACT, &text);
	assert_string_equal(buf_str(&text), "{\"b\":{\"c\":{\"z\":3}},\"a\":{\"x\":1,\"y\":2}}");
}

static void add_member(const char *key, const struct js *value, void *arg) {
	buf_addf(arg, "%s=", key);
	js_print(value, JS_COMPACT, arg);
	buf_addc(arg, ' ');
}

static void reads(void **state) {
	static const char json[] =
		"{\"s\": \"x\", \"i\": 5, \"b\": true, \"l\": [1, \"two\"], \"n\": null, \"r\": 1.5}";
	struct js *js AUTO_JS = NULL;
	struct err err;
	assert_int_equal(js_parse(json, strlen(json), &js, &err), 0);
	assert_string_equal(js_get_str(js, "s"), "x");
	assert_null(js_get_str(js, "i"));
	assert_null(js_get_str(js, "n"));
	assert_null(js_get(js, "absent"));
	assert_null(js_get(js_get(js, "l"), "s"));
	assert_int_equal(js_get_int(js, "i", -1), 5);
	assert_int_equal(js_get_int(js, "s", -1), -1);
	assert_int_equal(js_get_int(js, "r", -1), -1);
	assert_true(js_get_bool(js, "b", false));
	assert_true(js_get_bool(js, "i", true));
	assert_false(js_get_bool(NULL, "b", false));
	assert_int_equal(js_count(js), 6);
	assert_int_equal(js_count(js_get(js, "l")), 2);
	assert_int_equal(js_count(js_get(js, "s")), 0);
	assert_int_equal(js_count(NULL), 0);
	assert_string_equal(js_str(js_at(js_get(js, "l"), 1)), "two");
	assert_null(js_at(js_get(js, "l"), 2));
	assert_null(js_str(js_at(js_get(js, "l"), 0)));
	struct buf out AUTO_BUF = BUF_INIT(4096);
	js_each(js, add_member, &out);
	assert_string_equal(buf_str(&out), "s=\"x\" i=5 b=true l=[1,\"two\"] n=null r=1.5 ");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(builds_and_prints),
		cmocka_unit_test(children_are_made_once),
		cmocka_unit_test(reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
