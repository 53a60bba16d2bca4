#pragma once
/*
 * JSON by Jansson, behind few functions so that no other file sees it. Documents are capped in size and depth; a value
 * read from outside is typed strictly. Output is compact, keys in the order of insertion, UTF-8.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct buf;
struct err;

struct js; /* a value, reference-counted inside; js_free drops one reference */

#define JS_DEPTH_MAX 32

/** Parses exactly one document. ERR_INVALID with line and column, or ERR_LIMIT. Duplicate keys are refused. */
CHECK_RESULT int js_parse(const char *data, size_t len, struct js **ret_js, struct err *err);
void js_free(struct js *js); /* NULL is fine */
void js_free_p(struct js **js);
#define AUTO_JS AUTO(js_free_p)

struct js *js_object(void);
struct js *js_array(void);

/** Setters on an object; the value s NULL becomes null; js_set takes over the reference. Text that is not UTF-8 is
 *  repaired with U+FFFD. */
void js_set(struct js *object, const char *key, struct js *value);
void js_set_str(struct js *object, const char *key, const char *s);
void js_set_int(struct js *object, const char *key, int64_t n);
void js_set_bool(struct js *object, const char *key, bool b);

/** The member object of that name, made (instead of what is no object) if need be; borrowed. */
struct js *js_child(struct js *object, const char *key);

/** Appends to an array; takes over the reference. */
void js_push(struct js *array, struct js *value);
void js_push_str(struct js *array, const char *s);

/** Getters: borrowed; NULL / fallback when absent or of another type. */
const struct js *js_get(const struct js *object, const char *key);
const char *js_get_str(const struct js *object, const char *key);
int64_t js_get_int(const struct js *object, const char *key, int64_t fallback);
double js_get_real(const struct js *object, const char *key, double fallback); /* of any number */
bool js_get_bool(const struct js *object, const char *key, bool fallback);
size_t js_count(const struct js *array); /* items of an array or members of an object, 0 otherwise */
const struct js *js_at(const struct js *array, size_t i);
const char *js_str(const struct js *value); /* the text of a string value, or NULL */

/** Calls fn for each member of an object in order. */
typedef void (*js_member_fn)(const char *key, const struct js *value, void *arg);
void js_each(const struct js *object, js_member_fn fn, void *arg);

enum js_style { JS_COMPACT, JS_INDENTED };

/** Adds the text of value; no newline at the end. */
void js_print(const struct js *value, enum js_style style, struct buf *out);
