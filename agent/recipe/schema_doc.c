#include "recipe/schema_impl.h"

#include "base/buf.h"
#include "fmt/js.h"

/* A scalar that holds a reference is typed when the plan is made: every typed field takes such a text too. */
#define REFERENCE_PATTERN "\\$\\{[a-z]+\\.[A-Za-z_][A-Za-z0-9_]*\\}"
/* Deepest nesting of shapes printed; a table deeper than that is a mistake. */
#define DOC_DEPTH_MAX 8

static struct js *type_of(const char *type) {
	struct js *js = js_object();
	js_set_str(js, "type", type);
	return js;
}

static struct js *pattern_of(const char *pattern) {
	struct js *js = type_of("string");
	js_set_str(js, "pattern", pattern);
	return js;
}

/* {"anyOf": [a, b]}; takes over both. */
static struct js *any_of(struct js *a, struct js *b) {
	struct js *js = js_object(), *list = js_array();
	js_push(list, a);
	js_push(list, b);
	js_set(js, "anyOf", list);
	return js;
}

/* Any scalar: an editor's YAML reader has typed 3.11 and true before the schema sees them. */
static struct js *json_text(void) {
	struct js *js = js_object(), *types = js_array();
	js_push_str(types, "string");
	js_push_str(types, "number");
	js_push_str(types, "boolean");
	js_set(js, "type", types);
	return js;
}

static struct js *json_list(struct js *items) {
	struct js *js = type_of("array");
	js_set(js, "items", items);
	return js;
}

static struct js *json_int(const struct field *field) {
	struct js *js = type_of("integer");
	if (field->min || field->max) {
		js_set_int(js, "minimum", field->min);
		if (field->max != INT64_MAX) js_set_int(js, "maximum", field->max);
	}
	return any_of(js, pattern_of("^-?[0-9]+$|" REFERENCE_PATTERN));
}

static struct js *json_number_or(const char *pattern) {
	struct js *js = type_of("integer");
	js_set_int(js, "minimum", 0);
	return any_of(js, pattern_of(pattern));
}

static struct js *json_choice(const struct field *field) {
	struct js *js = js_object(), *list = js_array();
	for (const char *const *c = field->choices; *c; c++) js_push_str(list, *c);
	js_set(js, "enum", list);
	return any_of(js, pattern_of(REFERENCE_PATTERN));
}

static struct js *json_map(void) {
	struct js *js = type_of("object");
	js_set(js, "additionalProperties", json_text());
	return js;
}

static struct js *json_kind(const struct field *field) {
	switch (field->kind) {
	case FIELD_TEXT: return json_text();
	case FIELD_TEXTS: return any_of(json_list(json_text()), json_text());
	case FIELD_BOOL:
		return any_of(type_of("boolean"),
			      pattern_of("^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$"
					 "|" REFERENCE_PATTERN));
	case FIELD_INT: return json_int(field);
	case FIELD_DURATION:
		return json_number_or(
			"^([0-9]+|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$|" REFERENCE_PATTERN);
	case FIELD_SIZE: return json_number_or("^[0-9]+([KMGTkmgt](iB)?)?B?$|" REFERENCE_PATTERN);
	case FIELD_MODE: return json_number_or("^0[oO]?[0-7]{1,4}$|" REFERENCE_PATTERN);
	case FIELD_CHOICE: return json_choice(field);
	case FIELD_MAP: return json_map();
	case FIELD_ITEMS: return any_of(json_list(schema_json(field->shape)), schema_json(field->shape));
	case FIELD_STRUCT: break;
	}
	return schema_json(field->shape);
}

static struct js *json_field(const struct field *field) {
	struct js *js = json_kind(field);
	js_set_str(js, "description", field->help);
	if (field->fallback) js_set_str(js, "default", field->fallback);
	return js;
}

static bool has_required(const struct shape *shape, const char *but) {
	for (const struct field *f = shape->fields; f->name; f++) {
		if (f->is_required && !str_eq(f->name, but)) return true;
	}
	return false;
}

void schema_json_fields(const struct shape *shape, struct js *properties) {
	for (const struct field *f = shape->fields; f->name; f++) js_set(properties, f->name, json_field(f));
}

static struct js *json_object(const struct shape *shape) {
	if (shape->map_field) return json_map();
	struct js *js = type_of("object"), *properties = js_object(), *required = js_array();
	schema_json_fields(shape, properties);
	for (const struct field *f = shape->fields; f->name; f++) {
		if (f->is_required) js_push_str(required, f->name);
	}
	js_set(js, "properties", properties);
	js_set(js, "required", required);
	js_set_bool(js, "additionalProperties", false);
	return js;
}

struct js *schema_json(const struct shape *shape) {
	struct js *list = js_array();
	js_push(list, json_object(shape));
	const struct field *scalar = schema_field(shape, shape->scalar_field);
	const struct field *items = schema_field(shape, shape->list_field);
	if (scalar && !has_required(shape, scalar->name)) js_push(list, json_kind(scalar));
	if (items && !has_required(shape, items->name) && items != scalar) js_push(list, json_kind(items));
	if (!has_required(shape, NULL)) js_push(list, type_of("null"));
	struct js *js = js_object();
	js_set(js, "anyOf", list);
	return js;
}

/* "text", "list of texts", …: the kind as the manual names it; map and lists of maps are explained below their key. */
static void add_kind(const struct field *field, struct buf *out) {
	switch (field->kind) {
	case FIELD_TEXT: buf_adds(out, "text"); return;
	case FIELD_TEXTS: buf_adds(out, "list of texts"); return;
	case FIELD_BOOL: buf_adds(out, "true or false"); return;
	case FIELD_INT: buf_adds(out, "number"); break;
	case FIELD_DURATION: buf_adds(out, "duration"); return;
	case FIELD_SIZE: buf_adds(out, "size"); return;
	case FIELD_MODE: buf_adds(out, "octal mode"); return;
	case FIELD_CHOICE:
		for (const char *const *c = field->choices; *c; c++) {
			buf_addf(out, "%s%s", c == field->choices ? "" : ", ", *c);
		}
		return;
	case FIELD_MAP: buf_adds(out, "map of texts"); return;
	case FIELD_ITEMS: buf_adds(out, field->shape->scalar_field ? "list of texts or maps" : "list of maps"); return;
	case FIELD_STRUCT: buf_adds(out, field->shape->scalar_field ? "text or map" : "map"); return;
	}
	if (!field->min && !field->max) return;
	if (field->max == INT64_MAX) {
		buf_addf(out, " from %lld", (long long)field->min);
	} else {
		buf_addf(out, " %lld to %lld", (long long)field->min, (long long)field->max);
	}
}

static size_t name_width(const struct shape *shape) {
	size_t width = 0;
	for (const struct field *f = shape->fields; f->name; f++) {
		if (strlen(f->name) > width) width = strlen(f->name);
	}
	return width;
}

static void help_shape(const struct shape *shape, int depth, struct buf *out) {
	int width = (int)name_width(shape);
	for (const struct field *f = shape->fields; f->name; f++) {
		buf_addf(out, "%*s%-*s  ", 2 + 4 * depth, "", width, f->name);
		add_kind(f, out);
		if (f->is_required) buf_adds(out, ", required");
		if (f->fallback) buf_addf(out, ", default %s", f->fallback);
		buf_addf(out, "\n%*s%s\n", 2 + 4 * depth + width + 2, "", f->help);
		if (f->shape && depth < DOC_DEPTH_MAX) help_shape(f->shape, depth + 1, out);
	}
}

void schema_print_help(const struct shape *shape, struct buf *out) { help_shape(shape, 0, out); }

/* In a table cell a bar would end the cell. */
static void add_cell(const char *text, struct buf *out) {
	for (; *text; text++) {
		if (*text == '|') buf_addc(out, '\\');
		buf_addc(out, *text);
	}
}

static void markdown_shape(const struct shape *shape, const char *prefix, int depth, struct buf *out) {
	for (const struct field *f = shape->fields; f->name; f++) {
		buf_addf(out, "| `%s%s` | ", prefix, f->name);
		add_kind(f, out);
		buf_adds(out, f->is_required ? ", required | " : " | ");
		if (f->fallback) buf_addf(out, "`%s`", f->fallback);
		buf_adds(out, f->fallback ? " | " : "| ");
		add_cell(f->help, out);
		buf_adds(out, " |\n");
		if (!f->shape || depth >= DOC_DEPTH_MAX) continue;
		AUTO_BUF struct buf inner = BUF_INIT(1000);
		buf_addf(&inner, "%s%s%s", prefix, f->name, f->kind == FIELD_ITEMS ? "[]." : ".");
		markdown_shape(f->shape, buf_str(&inner), depth + 1, out);
	}
}

void schema_print_markdown(const struct shape *shape, struct buf *out) {
	buf_adds(out, "| key | takes | default | |\n|---|---|---|---|\n");
	markdown_shape(shape, "", 0, out);
}
