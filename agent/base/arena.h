#pragma once
/*
 * Memory that lives and dies together: a recipe and its plan are one arena each. Nothing is freed singly.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct arena_block;

struct arena {
	struct arena_block *newest; /* all-zero is a valid empty arena */
};

/** size zeroed bytes, aligned for any type; never NULL. */
void *arena_alloc(struct arena *a, size_t size);

/** Copies: of a string (NULL stays NULL), of n bytes with a NUL added. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_dup(struct arena *a, const void *p, size_t n);

char *arena_printf(struct arena *a, const char *fmt, ...) FORMAT(2, 3);

/**
 * Room for one more item of size bytes in an array that lives in the arena: items itself while count < *cap, else a
 * larger copy, *cap raised. `v->items = arena_grow(a, v->items, v->count, &v->cap, sizeof *v->items)`, then write at
 * count.
 */
void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size);

/** Frees everything; the arena is empty and usable again. NULL is fine. */
void arena_clear(struct arena *a);

#define AUTO_ARENA AUTO(arena_clear)
