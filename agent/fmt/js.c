#include "fmt/js.h"

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "fmt/text.h"

/** Largest document: a run's events and S3 indices are far below, and what a service answers is capped before. */
#define JS_BYTES_MAX (16 * 1024 * 1024)

/** Digits of a real number: as many as every double keeps, so that 0.1 is printed as 0.1. */
#define JS_REAL_DIGITS 15

/* Every struct js is a json_t. */
static json_t *of(struct js *js) { return (json_t *)js; }
static const json_t *of_const(const struct js *js) { return (const json_t *)js; }

/* Jansson fails where this is used for want of memory alone, and memory never fails (base/mem.h). */
static json_t *must(json_t *json) {
	if (!json) abort();
	return json;
}

static void must_be_zero(int rc) {
	if (rc != 0) abort();
}

/* s as UTF-8: each byte that does not belong becomes U+FFFD. NULL when s is fine as it is. */
static char *repaired(const char *s) {
	size_t n = strlen(s), valid = text_valid_prefix(s, n);
	if (valid == n) return NULL;
	struct buf b = BUF_INIT(3 * n);
	for (;;) {
		buf_add(&b, s, valid);
		s += valid;
		n -= valid;
		if (n == 0) return buf_take(&b);
		buf_adds(&b, "\xef\xbf\xbd");
		s++;
		n--;
		valid = text_valid_prefix(s, n);
	}
}

static json_t *text_new(const char *s) {
	if (!s) return must(json_null());
	char *clean AUTO_FREE = repaired(s);
	return must(json_string_nocheck(clean ? clean : s));
}

static bool is_too_deep(const json_t *json, unsigned depth) {
	if (!json_is_object(json) && !json_is_array(json)) return false;
	if (depth >= JS_DEPTH_MAX) return true;
	for (size_t i = 0; i < json_array_size(json); i++) {
		if (is_too_deep(json_array_get(json, i), depth + 1)) return true;
	}
	json_t *object = (json_t *)json; /* the iterator's type only: nothing is changed */
	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
		if (is_too_deep(json_object_iter_value(at), depth + 1)) return true;
	}
	return false;
}

/* Jansson's text without its "near '…'": a document may hold credentials. */
static int parse_error(const json_error_t *error, struct err *err) {
	const char *near = strstr(error->text, " near ");
	int len = near ? (int)(near - error->text) : (int)strlen(error->text);
	return err_set(err, ERR_INVALID, "JSON, line %d, column %d: %.*s", error->line, error->column, len,
		       error->text);
}

static bool is_blank(const char *data, size_t len) {
	while (len > 0 && data[len - 1] && strchr(" \t\r\n", data[len - 1])) len--;
	return len == 0;
}

int js_parse(const char *data, size_t len, struct js **ret_js, struct err *err) {
	if (len > JS_BYTES_MAX)
		return err_set(err, ERR_LIMIT, "JSON of %zu bytes: at most %d are read", len, JS_BYTES_MAX);
	if (is_blank(data, len)) return err_set(err, ERR_INVALID, "the JSON document is empty");
	json_error_t error;
	json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!json) return parse_error(&error, err);
	if (is_too_deep(json, 0)) {
		json_decref(json);
		return err_set(err, ERR_LIMIT, "JSON is nested more than %d deep", JS_DEPTH_MAX);
	}
	*ret_js = (struct js *)json;
	return 0;
}

void js_free(struct js *js) { json_decref(of(js)); }

void js_free_p(struct js **js) {
	js_free(*js);
	*js = NULL;
}

struct js *js_object(void) {
	return (struct js *)must(json_object());
}
struct js *js_array(void) {
	return (struct js *)must(json_array());
}

static void set(struct js *object, const char *key, json_t *value) {
	char *clean AUTO_FREE = repaired(key);
	must_be_zero(json_object_set_new_nocheck(of(object), clean ? clean : key, value));
}

void js_set(struct js *object, const char *key, struct js *value) { set(object, key, value ? of(value) : json_null()); }
void js_set_str(struct js *object, const char *key, const char *s) { set(object, key, text_new(s)); }
void js_set_int(struct js *object, const char *key, int64_t n) { set(object, key, must(json_integer(n))); }
void js_set_bool(struct js *object, const char *key, bool b) { set(object, key, json_boolean(b)); }

struct js *js_child(struct js *object, const char *key) {
	const struct js *child = js_get(object, key);
	if (!json_is_object(of_const(child))) js_set(object, key, js_object());
	return (struct js *)json_object_get(of(object), key);
}

void js_push(struct js *array, struct js *value) {
	must_be_zero(json_array_append_new(of(array), value ? of(value) : json_null()));
}

void js_push_str(struct js *array, const char *s) { must_be_zero(json_array_append_new(of(array), text_new(s))); }

const struct js *js_get(const struct js *object, const char *key) {
	return (const struct js *)json_object_get(of_const(object), key);
}

const char *js_get_str(const struct js *object, const char *key) { return js_str(js_get(object, key)); }

int64_t js_get_int(const struct js *object, const char *key, int64_t fallback) {
	const json_t *value = of_const(js_get(object, key));
	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double js_get_real(const struct js *object, const char *key, double fallback) {
	const json_t *value = of_const(js_get(object, key));
	return json_is_number(value) ? json_number_value(value) : fallback;
}

bool js_get_bool(const struct js *object, const char *key, bool fallback) {
	const json_t *value = of_const(js_get(object, key));
	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

size_t js_count(const struct js *array) {
	const json_t *json = of_const(array);
	return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

const struct js *js_at(const struct js *array, size_t i) {
	return (const struct js *)json_array_get(of_const(array), i);
}

const char *js_str(const struct js *value) { return json_string_value(of_const(value)); }

void js_each(const struct js *object, js_member_fn fn, void *arg) {
	json_t *json = (json_t *)object; /* the iterator's type only: nothing is changed */
	for (void *at = json_object_iter(json); at; at = json_object_iter_next(json, at)) {
		fn(json_object_iter_key(at), (const struct js *)json_object_iter_value(at), arg);
	}
}

static int add_piece(const char *piece, size_t len, void *out) {
	buf_add(out, piece, len);
	return 0;
}

void js_print(const struct js *value, enum js_style style, struct buf *out) {
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(JS_REAL_DIGITS);
	flags |= style == JS_INDENTED ? JSON_INDENT(2) : JSON_COMPACT;
	must_be_zero(json_dump_callback(of_const(value), add_piece, out, flags));
}
