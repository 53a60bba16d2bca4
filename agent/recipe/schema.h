#pragma once
/*
 * Field tables (the idea of mpv's m_option.h): one table binds YAML nodes into a struct, checks types, knows the
 * defaults and prints the manual and the JSON Schema, so that none can disagree with another.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct arena;
struct buf;
struct diags;
struct js;
struct yml_node;

enum field_kind {
	FIELD_TEXT,	/* const char *; NULL when absent */
	FIELD_TEXTS,	/* struct strs; a single scalar is a list of one */
	FIELD_BOOL,	/* bool */
	FIELD_INT,	/* int64_t within min..max */
	FIELD_DURATION, /* int64_t milliseconds */
	FIELD_SIZE,	/* int64_t bytes */
	FIELD_MODE,	/* mode_t; FIELD_MODE_UNSET when absent */
	FIELD_CHOICE,	/* int: index into choices */
	FIELD_MAP,	/* struct field_map: text to text */
	FIELD_ITEMS,	/* struct field_items: list of structs by shape; a single one is a list of one */
	FIELD_STRUCT,	/* struct by shape, in place */
};

#define FIELD_MODE_UNSET ((mode_t)-1)

struct field_map {
	const char **keys, **values;
	size_t count;
};

struct field_items {
	void *items; /* count structs of shape->size bytes */
	size_t count;
};

struct shape;

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	const char *help;	    /* one line for people; ends without a full stop */
	const char *fallback;	    /* default as recipe text, applied when the key is absent; NULL: zero */
	const char *const *choices; /* FIELD_CHOICE: NULL-terminated */
	const struct shape *shape;  /* FIELD_ITEMS, FIELD_STRUCT */
	int64_t min, max;	    /* FIELD_INT; both 0: any */
	bool is_required, is_secret;
	size_t presence; /* offset of a bool that is set when the key is there; 0: none */
};

/**
 * A struct as recipes write it: a map of fields, or in short a scalar or a list that goes into one field. With
 * map_field its map has no keys of ours: all of it goes into that one FIELD_MAP.
 */
struct shape {
	const struct field *fields; /* ends with name NULL */
	size_t size;
	const char *scalar_field; /* NULL: a scalar is refused */
	const char *list_field;	  /* NULL: a list is refused */
	const char *map_field;	  /* NULL: a map holds the fields */
};

enum schema_refs {
	SCHEMA_REFS_EXPANDED, /* text is final: type everything */
	SCHEMA_REFS_OPEN,     /* validate: scalars that hold ${…} are typed later */
};

/**
 * Binds node by shape into out (shape->size bytes, zeroed here). Every error goes to diags with its place: unknown keys
 * with the nearest known one (foreign words of other tools by their table), wrong types with what was found, missing
 * required keys. Returns true if nothing was added.
 */
bool schema_bind(const struct shape *shape, const struct yml_node *node, enum schema_refs refs, void *out,
		 struct arena *arena, struct diags *diags);

/** Like schema_bind for a map that holds keys of others too: keys in `others` are left alone (common keys + type key).
 */
bool schema_bind_among(const struct shape *shape, const struct yml_node *map, const struct strs *others,
		       enum schema_refs refs, void *out, struct arena *arena, struct diags *diags);

/** The word of this language for a word of another tool ("depends_on" → "needs"), or NULL. */
const char *schema_foreign_word(const char *word);

/** JSON Schema (2020-12) of a shape. */
struct js *schema_json(const struct shape *shape);

/** "  key   text, required  what it is" lines for the terminal, or a Markdown table. */
void schema_print_help(const struct shape *shape, struct buf *out);
void schema_print_markdown(const struct shape *shape, struct buf *out);
