/*
 * By libyaml's parser events, never its document API, which would expand aliases. The parser is told that the text is
 * UTF-8, so byte order marks and UTF-16 are dealt with here.
 */
#include "fmt/yml.h"

#include <yaml.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/diag.h"
#include "fmt/text.h"
#include "fmt/yml_words.h"

struct parse {
	yaml_parser_t parser;
	const char *file, *data;
	size_t len;
	struct arena *arena;
	struct diags *diags;
	size_t nodes;
};

struct children {
	const struct yml_node **items;
	size_t count, cap;
};

static void children_clear(struct children *c) { free(c->items); }

static void add_at_mark(struct parse *p, yaml_mark_t mark, const char *message) {
	diag_add_at(p->diags, p->file, (unsigned)mark.line + 1, (unsigned)mark.column + 1, "%s", message);
}

/* The place of a byte, for errors that are found before libyaml counts lines. */
static void add_at_offset(struct parse *p, size_t offset, const char *message) {
	unsigned line = 1;
	size_t start = 0;
	for (size_t i = 0; i < offset; i++) {
		if (p->data[i] != '\n' && (p->data[i] != '\r' || (i + 1 < p->len && p->data[i + 1] == '\n'))) continue;
		line++;
		start = i + 1;
	}
	char *before = arena_dup(p->arena, p->data + start, offset - start);
	unsigned col = (unsigned)str_utf8_count(before) + 1;
	diag_add_at(p->diags, p->file, line, col, "%s", message);
}

static bool check_bytes(struct parse *p) {
	if (p->len > YML_BYTES_MAX) {
		diag_add_at(p->diags, p->file, 0, 0, "%zu bytes of YAML: at most %d are read", p->len, YML_BYTES_MAX);
		return false;
	}
	const char *nul = memchr(p->data, 0, p->len);
	size_t valid = text_valid_prefix(p->data, p->len);
	if (nul && (size_t)(nul - p->data) <= valid) {
		add_at_offset(p, (size_t)(nul - p->data), "a NUL byte: this is not text");
		return false;
	}
	if (valid == p->len) return true;
	add_at_offset(p, valid,
		      arena_printf(p->arena, "byte 0x%02x is not UTF-8: save the file as UTF-8",
				   (unsigned char)p->data[valid]));
	return false;
}

static void add_parser_error(struct parse *p) {
	const yaml_parser_t *y = &p->parser;
	if (y->error == YAML_READER_ERROR) {
		add_at_offset(p, y->problem_offset < p->len ? y->problem_offset : p->len,
			      "a control character: write it as an escape (\"\\x1b\") in double quotes");
		return;
	}
	yaml_mark_t mark = y->problem_mark;
	char at = mark.index < p->len ? yml_char_at(p->data, p->len, mark.line, mark.column) : '\0';
	add_at_mark(p, mark, yml_problem(y->problem, y->context, (unsigned)y->context_mark.line + 1, at, p->arena));
}

/* The next event, or false after a diagnosis. The caller deletes it. */
static bool next(struct parse *p, yaml_event_t *ret_event) {
	if (yaml_parser_parse(&p->parser, ret_event)) return true;
	add_parser_error(p);
	return false;
}

static void refuse_properties(struct parse *p, const yaml_event_t *event, const yaml_char_t *anchor,
			      const yaml_char_t *tag) {
	if (anchor) add_at_mark(p, event->start_mark, "anchors and aliases are refused: write the value out");
	if (tag) add_at_mark(p, event->start_mark, "tags are refused: the key says what type its value has");
}

static struct yml_node *node_new(struct parse *p, enum yml_kind kind, yaml_mark_t mark) {
	struct yml_node *node = arena_alloc(p->arena, sizeof *node);
	node->kind = kind;
	node->line = (unsigned)mark.line + 1;
	node->col = (unsigned)mark.column + 1;
	node->file = p->file;
	node->text = "";
	return node;
}

static const struct yml_node *scalar(struct parse *p, const yaml_event_t *event) {
	struct yml_node *node = node_new(p, YML_SCALAR, event->start_mark);
	refuse_properties(p, event, event->data.scalar.anchor, event->data.scalar.tag);
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	if (memchr(text, 0, len))
		add_at_mark(p, event->start_mark, "a NUL character (\"\\0\") cannot be part of a text");
	node->text = arena_dup(p->arena, text, len);
	node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return node;
}

static const struct yml_node *value(struct parse *p, const yaml_event_t *event, unsigned depth);

static const struct yml_node **keep(struct parse *p, const struct children *c) {
	if (c->count == 0) return NULL;
	const struct yml_node **items = arena_alloc(p->arena, c->count * sizeof(*items));
	memcpy(items, c->items, c->count * sizeof(*items));
	return items;
}

static const struct yml_node *sequence(struct parse *p, const yaml_event_t *start, unsigned depth) {
	struct yml_node *node = node_new(p, YML_SEQ, start->start_mark);
	refuse_properties(p, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
	struct children items AUTO(children_clear) = {0};
	for (;;) {
		yaml_event_t event AUTO(yaml_event_delete);
		if (!next(p, &event)) return NULL;
		if (event.type == YAML_SEQUENCE_END_EVENT) break;
		const struct yml_node *item = value(p, &event, depth);
		if (!item) return NULL;
		vec_push(&items, item);
	}
	node->count = items.count;
	node->items = keep(p, &items);
	return node;
}

static int by_text_then_place(const void *a, const void *b) {
	const struct yml_node *x = *(const struct yml_node *const *)a, *y = *(const struct yml_node *const *)b;
	int order = strcmp(x->text, y->text);
	if (order) return order;
	if (x->line != y->line) return x->line < y->line ? -1 : 1;
	return x->col < y->col ? -1 : x->col > y->col;
}

/* Sorts a copy: comparing each with each would take minutes on a map of YML_NODES_MAX. */
static void refuse_duplicates(struct parse *p, const struct children *keys) {
	if (keys->count < 2) return;
	const struct yml_node **sorted AUTO_FREE = mem_resize(NULL, keys->count, sizeof *sorted);
	memcpy(sorted, keys->items, keys->count * sizeof *sorted);
	qsort(sorted, keys->count, sizeof *sorted, by_text_then_place);
	for (size_t i = 1; i < keys->count; i++) {
		if (!str_eq(sorted[i]->text, sorted[i - 1]->text)) continue;
		diag_add(p->diags, sorted[i], "duplicate key '%s': it stands on line %u already", sorted[i]->text,
			 sorted[i - 1]->line);
	}
}

static const struct yml_node *map(struct parse *p, const yaml_event_t *start, unsigned depth) {
	struct yml_node *node = node_new(p, YML_MAP, start->start_mark);
	refuse_properties(p, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
	struct children keys AUTO(children_clear) = {0}, values AUTO(children_clear) = {0};
	for (;;) {
		yaml_event_t key_event AUTO(yaml_event_delete);
		if (!next(p, &key_event)) return NULL;
		if (key_event.type == YAML_MAPPING_END_EVENT) break;
		const struct yml_node *key = value(p, &key_event, depth);
		yaml_event_t value_event AUTO(yaml_event_delete) = {0};
		if (!key || !next(p, &value_event)) return NULL;
		const struct yml_node *item = value(p, &value_event, depth);
		if (!item) return NULL;
		if (key->kind != YML_SCALAR)
			diag_add(p->diags, key, "a key must be text, found %s", yml_kind_name(key));
		else if (!key->is_quoted && !*key->text)
			diag_add(p->diags, key, "a key is missing before ':'");
		vec_push(&keys, key);
		vec_push(&values, item);
	}
	refuse_duplicates(p, &keys);
	node->count = keys.count;
	node->keys = keep(p, &keys);
	node->items = keep(p, &values);
	return node;
}

/* The node that begins with event, or NULL when parsing cannot go on (a diagnosis was added). */
static const struct yml_node *value(struct parse *p, const yaml_event_t *event, unsigned depth) {
	if (++p->nodes > YML_NODES_MAX) {
		diag_add_at(p->diags, p->file, 0, 0, "more than %d values: this is no recipe", YML_NODES_MAX);
		return NULL;
	}
	if (depth >= YML_DEPTH_MAX) {
		char message[80];
		snprintf(message, sizeof message, "lists and maps are nested more than %d deep", YML_DEPTH_MAX);
		add_at_mark(p, event->start_mark, message);
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT) return scalar(p, event);
	if (event->type == YAML_SEQUENCE_START_EVENT) return sequence(p, event, depth + 1);
	if (event->type == YAML_MAPPING_START_EVENT) return map(p, event, depth + 1);
	add_at_mark(p, event->start_mark, "anchors and aliases are refused: write the value out");
	struct yml_node *stand_in = node_new(p, YML_SCALAR, event->start_mark);
	stand_in->is_quoted = true; /* so that it is not taken for nothing */
	return stand_in;
}

/* The root of the one document; an empty map if there is none. */
static const struct yml_node *document(struct parse *p) {
	const struct yml_node *root = NULL;
	for (;;) {
		yaml_event_t event AUTO(yaml_event_delete);
		if (!next(p, &event)) return NULL;
		if (event.type == YAML_STREAM_END_EVENT) break;
		if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT) continue;
		if (event.type == YAML_DOCUMENT_START_EVENT) {
			if (!root) continue;
			add_at_mark(p, event.start_mark, "a second document: one file holds one recipe");
			return NULL;
		}
		root = value(p, &event, 0);
		if (!root) return NULL;
	}
	bool is_empty = !root || (root->kind == YML_SCALAR && !root->is_quoted && !*root->text);
	return is_empty ? node_new(p, YML_MAP, (yaml_mark_t){0}) : root;
}

const struct yml_node *yml_parse(const char *file, const char *data, size_t len, struct arena *arena,
				 struct diags *diags) {
	struct parse p = {.file = file, .data = data, .len = len, .arena = arena, .diags = diags};
	size_t before = diags->count + diags->dropped;
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		p.data += 3;
		p.len -= 3;
	}
	if (!check_bytes(&p)) return NULL;
	if (!yaml_parser_initialize(&p.parser)) abort(); /* fails for want of memory alone */
	yaml_parser_set_encoding(&p.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.parser, (const unsigned char *)p.data, p.len);
	const struct yml_node *root = document(&p);
	yaml_parser_delete(&p.parser);
	return diags->count + diags->dropped == before ? root : NULL;
}

const struct yml_node *yml_get(const struct yml_node *node, const char *key) {
	if (!node || node->kind != YML_MAP) return NULL;
	for (size_t i = 0; i < node->count; i++) {
		if (str_eq(node->keys[i]->text, key)) return node->items[i];
	}
	return NULL;
}

bool yml_is_null(const struct yml_node *node) {
	if (node->kind != YML_SCALAR || node->is_quoted) return false;
	return !*node->text || str_eq(node->text, "~") || str_eq(node->text, "null");
}

const char *yml_kind_name(const struct yml_node *node) {
	switch (node->kind) {
	case YML_SEQ: return "a list";
	case YML_MAP: return "a map";
	case YML_SCALAR: break;
	}
	return yml_is_null(node) ? "nothing" : "text";
}
