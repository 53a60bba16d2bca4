#include "recipe/schema_impl.h"

#include "base/arena.h"
#include "base/log.h"
#include "fmt/diag.h"
#include "fmt/subst.h"
#include "fmt/yml.h"

/* Longest piece of the user's text shown in a message, in characters. */
#define SHOWN_MAX 60

struct bind {
	enum schema_refs refs;
	struct arena *arena;
	struct diags *diags;
};

static bool bind_shape(const struct bind *b, const struct shape *shape, const struct yml_node *node,
		       const struct strs *others, void *out);

const struct field *schema_field(const struct shape *shape, const char *name) {
	for (const struct field *f = shape->fields; name && f->name; f++) {
		if (str_eq(f->name, name)) return f;
	}
	return NULL;
}

static void *slot_of(void *out, const struct field *field) { return (char *)out + field->offset; }

static bool is_open(const struct bind *b, const struct yml_node *node) {
	return b->refs == SCHEMA_REFS_OPEN && node->kind == YML_SCALAR && subst_has(node->text);
}

/* What was found, as a message shows it. */
static const char *found(const struct bind *b, const struct field *field, const struct yml_node *node) {
	if (node->kind != YML_SCALAR || yml_is_null(node)) return yml_kind_name(node);
	if (field && field->is_secret) return "another text";
	size_t shown = str_utf8_prefix(node->text, SHOWN_MAX);
	return arena_printf(b->arena, "'%.*s'%s", (int)shown, node->text, node->text[shown] ? "…" : "");
}

static bool mismatch(const struct bind *b, const struct field *field, const struct yml_node *node) {
	const char *hint = node->kind == YML_SCALAR ? schema_scalar_hint(field, node->text, b->arena) : "";
	diag_add(b->diags, node, "'%s' must be %s, found %s%s", field->name, schema_wants(field, b->arena),
		 found(b, field, node), hint);
	return false;
}

/* Lists live in the arena with room for the NULL that strs_argv() puts behind them. */
static void texts_init(struct strs *list, size_t count, struct arena *arena) {
	list->items = arena_alloc(arena, (count + 1) * sizeof *list->items);
	list->count = 0;
	list->cap = count + 1;
}

static bool bind_scalar(const struct bind *b, const struct field *field, const struct yml_node *node, void *slot) {
	if (node->kind != YML_SCALAR || yml_is_null(node)) return mismatch(b, field, node);
	if (field->kind != FIELD_TEXT && is_open(b, node)) return true;
	if (!schema_scalar(field, node->text, b->arena, slot)) return mismatch(b, field, node);
	if (field->is_secret && b->refs == SCHEMA_REFS_EXPANDED) log_secret_add(node->text);
	return true;
}

static bool bind_texts(const struct bind *b, const struct field *field, const struct yml_node *node,
		       struct strs *list) {
	if (node->kind == YML_MAP || yml_is_null(node)) return mismatch(b, field, node);
	size_t count = node->kind == YML_SEQ ? node->count : 1;
	bool is_ok = true;
	texts_init(list, count, b->arena);
	for (size_t i = 0; i < count; i++) {
		const struct yml_node *item = node->kind == YML_SEQ ? node->items[i] : node;
		if (item->kind != YML_SCALAR || yml_is_null(item)) {
			diag_add(b->diags, item, "'%s' must be a list of texts, found %s in it", field->name,
				 found(b, field, item));
			is_ok = false;
			continue;
		}
		list->items[list->count++] = arena_strdup(b->arena, item->text);
	}
	return is_ok;
}

static bool bind_map(const struct bind *b, const struct field *field, const struct yml_node *node,
		     struct field_map *map) {
	if (node->kind != YML_MAP) return mismatch(b, field, node);
	bool is_ok = true;
	map->keys = arena_alloc(b->arena, node->count * sizeof *map->keys);
	map->values = arena_alloc(b->arena, node->count * sizeof *map->values);
	for (size_t i = 0; i < node->count; i++) {
		const struct yml_node *item = node->items[i];
		if (item->kind != YML_SCALAR || yml_is_null(item)) {
			diag_add(b->diags, item, "'%s' in '%s' must be text, found %s; write \"\" for an empty one",
				 node->keys[i]->text, field->name, found(b, field, item));
			is_ok = false;
			continue;
		}
		map->keys[map->count] = arena_strdup(b->arena, node->keys[i]->text);
		map->values[map->count++] = arena_strdup(b->arena, item->text);
		if (field->is_secret && b->refs == SCHEMA_REFS_EXPANDED) log_secret_add(item->text);
	}
	return is_ok;
}

static bool bind_items(const struct bind *b, const struct field *field, const struct yml_node *node,
		       struct field_items *items) {
	if (yml_is_null(node)) return mismatch(b, field, node);
	size_t count = node->kind == YML_SEQ ? node->count : 1;
	bool is_ok = true;
	items->items = arena_alloc(b->arena, count * field->shape->size);
	items->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct yml_node *item = node->kind == YML_SEQ ? node->items[i] : node;
		void *out = (char *)items->items + i * field->shape->size;
		if (!bind_shape(b, field->shape, item, NULL, out)) is_ok = false;
	}
	return is_ok;
}

static bool bind_field(const struct bind *b, const struct field *field, const struct yml_node *node, void *out) {
	void *slot = slot_of(out, field);
	if (field->presence) *(bool *)((char *)out + field->presence) = true;
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_BOOL:
	case FIELD_INT:
	case FIELD_DURATION:
	case FIELD_SIZE:
	case FIELD_MODE:
	case FIELD_CHOICE: return bind_scalar(b, field, node, slot);
	case FIELD_TEXTS: return bind_texts(b, field, node, slot);
	case FIELD_MAP: return bind_map(b, field, node, slot);
	case FIELD_ITEMS: return bind_items(b, field, node, slot);
	case FIELD_STRUCT: break;
	}
	if (yml_is_null(node)) return mismatch(b, field, node);
	return bind_shape(b, field->shape, node, NULL, slot);
}

/* Defaults first, so that what is absent, open or wrong still holds a value of its kind. */
static void set_defaults(const struct bind *b, const struct shape *shape, void *out) {
	memset(out, 0, shape->size);
	for (const struct field *f = shape->fields; f->name; f++) {
		void *slot = slot_of(out, f);
		if (f->kind == FIELD_MODE) *(mode_t *)slot = FIELD_MODE_UNSET;
		if (f->kind == FIELD_STRUCT) set_defaults(b, f->shape, slot);
		if (!f->fallback) continue;
		if (f->kind == FIELD_TEXTS) {
			struct strs *list = slot;
			texts_init(list, 1, b->arena);
			list->items[list->count++] = f->fallback;
		} else {
			(void)schema_scalar(f, f->fallback, b->arena,
					    slot); /* a table's own constant: tests bind all */
		}
	}
}

/* A misspelt key has been named already, with what was meant: that one is not missing as well. */
static bool is_misspelt(const struct shape *shape, const struct yml_node *node, const char *name) {
	AUTO_STRS struct strs known = {0};
	for (const struct field *f = shape->fields; f->name; f++) strs_add(&known, f->name);
	for (size_t i = 0; node->kind == YML_MAP && i < node->count; i++) {
		const char *key = node->keys[i]->text;
		if (schema_field(shape, key)) continue;
		const char *ours = schema_foreign_word(key), *near = str_nearest(key, known.items, known.count);
		if (str_eq(ours, name) || (near && str_eq(near, name))) return true;
	}
	return false;
}

static bool check_required(const struct bind *b, const struct shape *shape, const struct yml_node *node,
			   const char *given) {
	bool is_ok = true;
	for (const struct field *f = shape->fields; f->name; f++) {
		if (!f->is_required || str_eq(f->name, given) || (node->kind == YML_MAP && yml_get(node, f->name)))
			continue;
		if (is_misspelt(shape, node, f->name)) continue;
		diag_add(b->diags, node, "missing key '%s': %s", f->name, f->help);
		is_ok = false;
	}
	return is_ok;
}

static bool bind_keys(const struct bind *b, const struct shape *shape, const struct yml_node *node,
		      const struct strs *others, void *out) {
	bool is_ok = true;
	for (size_t i = 0; i < node->count; i++) {
		const char *key = node->keys[i]->text;
		const struct field *field = schema_field(shape, key);
		if (field) {
			if (!bind_field(b, field, node->items[i], out)) is_ok = false;
			continue;
		}
		if (others && strs_has(others, key)) continue;
		AUTO_STRS struct strs known = {0};
		for (const struct field *f = shape->fields; f->name; f++) strs_add(&known, f->name);
		for (size_t k = 0; others && k < others->count; k++) strs_add(&known, others->items[k]);
		diag_add(b->diags, node->keys[i], "%s", schema_unknown_key(key, &known, b->arena));
		is_ok = false;
	}
	return check_required(b, shape, node, NULL) && is_ok;
}

/* A scalar or list where no short form takes it. */
static bool refuse(const struct bind *b, const struct shape *shape, const struct yml_node *node) {
	AUTO_STRS struct strs known = {0};
	for (const struct field *f = shape->fields; f->name; f++) strs_add(&known, f->name);
	const char *also = shape->scalar_field ? " or text" : shape->list_field ? " or a list" : "";
	diag_add(b->diags, node, "expected a map%s here, found %s; its keys: %s", also, found(b, NULL, node),
		 strs_join(&known, ", ", b->arena));
	return false;
}

static bool bind_shape(const struct bind *b, const struct shape *shape, const struct yml_node *node,
		       const struct strs *others, void *out) {
	set_defaults(b, shape, out);
	if (node->kind == YML_MAP && shape->map_field)
		return bind_field(b, schema_field(shape, shape->map_field), node, out);
	if (node->kind == YML_MAP) return bind_keys(b, shape, node, others, out);
	if (yml_is_null(node)) return check_required(b, shape, node, NULL); /* `reboot:` is a map without keys */
	const struct field *field =
		schema_field(shape, node->kind == YML_SEQ ? shape->list_field : shape->scalar_field);
	if (!field) return refuse(b, shape, node);
	bool is_ok = bind_field(b, field, node, out);
	return check_required(b, shape, node, field->name) && is_ok;
}

bool schema_bind(const struct shape *shape, const struct yml_node *node, enum schema_refs refs, void *out,
		 struct arena *arena, struct diags *diags) {
	struct bind b = {refs, arena, diags};
	return bind_shape(&b, shape, node, NULL, out);
}

bool schema_bind_among(const struct shape *shape, const struct yml_node *map, const struct strs *others,
		       enum schema_refs refs, void *out, struct arena *arena, struct diags *diags) {
	struct bind b = {refs, arena, diags};
	return bind_shape(&b, shape, map, others, out);
}
