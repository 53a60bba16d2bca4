#include "recipe/schema_impl.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"

/* Longest description of what a field takes. */
#define WANTS_MAX 1000

static const char *wants_int(const struct field *field, struct arena *arena) {
	if (field->min == 0 && field->max == 0) return "a whole number";
	if (field->max == INT64_MAX) return arena_printf(arena, "a whole number from %lld", (long long)field->min);
	return arena_printf(arena, "a whole number from %lld to %lld", (long long)field->min, (long long)field->max);
}

static const char *wants_choice(const struct field *field, struct arena *arena) {
	AUTO_BUF struct buf b = BUF_INIT(WANTS_MAX);
	buf_adds(&b, field->choices[1] ? "one of " : "");
	for (const char *const *c = field->choices; *c; c++) buf_addf(&b, "%s%s", c == field->choices ? "" : ", ", *c);
	return arena_strdup(arena, buf_str(&b));
}

const char *schema_wants(const struct field *field, struct arena *arena) {
	switch (field->kind) {
	case FIELD_TEXT: return "text";
	case FIELD_TEXTS: return "text or a list of texts";
	case FIELD_BOOL: return "true or false";
	case FIELD_INT: return wants_int(field, arena);
	case FIELD_DURATION: return "a duration such as 90s, 10m or 1h30m, at most 366d";
	case FIELD_SIZE: return "a size such as 512M or 10G";
	case FIELD_MODE: return "an octal file mode with its leading 0, such as 0644";
	case FIELD_CHOICE: return wants_choice(field, arena);
	case FIELD_MAP: return "a map of texts";
	case FIELD_ITEMS: return "a list";
	case FIELD_STRUCT: break;
	}
	if (field->shape->scalar_field && field->shape->list_field) return "a map, a list or text";
	if (field->shape->scalar_field) return "a map or text";
	return field->shape->list_field ? "a map or a list" : "a map";
}

static bool scalar_choice(const struct field *field, const char *text, int *ret_index) {
	for (int i = 0; field->choices[i]; i++) {
		if (!str_eq(field->choices[i], text)) continue;
		*ret_index = i;
		return true;
	}
	return false;
}

bool schema_scalar(const struct field *field, const char *text, struct arena *arena, void *slot) {
	struct err err;
	switch (field->kind) {
	case FIELD_TEXT: *(const char **)slot = arena_strdup(arena, text); return true;
	case FIELD_BOOL: return parse_bool(text, slot, &err) == 0;
	case FIELD_INT: {
		bool is_any = field->min == 0 && field->max == 0;
		return parse_i64(text, is_any ? INT64_MIN : field->min, is_any ? INT64_MAX : field->max, slot, &err) ==
		       0;
	}
	case FIELD_DURATION: return parse_duration(text, slot, &err) == 0;
	case FIELD_SIZE: return parse_size(text, slot, &err) == 0;
	case FIELD_MODE: return parse_mode(text, slot, &err) == 0;
	case FIELD_CHOICE: return scalar_choice(field, text, slot);
	case FIELD_TEXTS:
	case FIELD_MAP:
	case FIELD_ITEMS:
	case FIELD_STRUCT: break;
	}
	return false;
}

const char *schema_scalar_hint(const struct field *field, const char *text, struct arena *arena) {
	if (field->kind == FIELD_MODE) {
		mode_t mode;
		struct err err;
		const char *with_zero = arena_printf(arena, "0%s", text);
		bool is_whole = strlen(text) == 3 || strlen(text) == 4;
		if (is_whole && parse_mode(with_zero, &mode, &err) == 0) {
			return arena_printf(arena, "; did you mean %s?", with_zero);
		}
	}
	if (field->kind == FIELD_CHOICE) {
		size_t count = 0;
		while (field->choices[count]) count++;
		const char *near = str_nearest(text, field->choices, count);
		if (near) return arena_printf(arena, "; did you mean '%s'?", near);
	}
	return "";
}
