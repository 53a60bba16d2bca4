#pragma once
/*
 * YAML (libyaml) to nodes that know their line and column. Scalars stay text: the schema of the key types them,
 * so 3.10, no and 0644 mean what they look like. Refused with a place: anchors, aliases and tags, duplicate keys, more
 * than one document, depth, size and node count above the caps, NUL bytes, text that is not UTF-8. BOM and CRLF are
 * accepted.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct diags;
struct err;

#define YML_BYTES_MAX (1024 * 1024) /* a recipe of a megabyte is junk; user-data holds 16 KB */
#define YML_DEPTH_MAX 32
#define YML_NODES_MAX 50000

enum yml_kind { YML_SCALAR, YML_SEQ, YML_MAP };

struct yml_node {
	enum yml_kind kind;
	unsigned line, col; /* 1-based; columns count characters */
	const char *file;
	const char *text; /* scalar: its text, never NULL */
	bool is_quoted;	  /* scalar: quoted or block style: never null */
	size_t count;	  /* items of a sequence or pairs of a map */
	const struct yml_node **items;
	const struct yml_node **keys; /* map: keys[i] is a scalar, its value items[i] */
};

/**
 * Parses a whole document. Returns the root node, or NULL after adding at least one diagnosis. file is the name shown.
 * An empty document is an empty map.
 */
const struct yml_node *yml_parse(const char *file, const char *data, size_t len, struct arena *arena,
				 struct diags *diags);

/** The value of key in a map, or NULL. */
const struct yml_node *yml_get(const struct yml_node *map, const char *key);

/** True for an unquoted scalar that is empty, `~` or `null`. */
bool yml_is_null(const struct yml_node *node);

/** "a map", "a list", "text", "nothing": for messages. */
const char *yml_kind_name(const struct yml_node *node);
