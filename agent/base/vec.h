#pragma once
/*
 * A growing array: declare `VEC(struct x) xs = {0};`, read `xs.items[i]` for i < xs.count. Items are moved when it
 * grows, so keep indices, not pointers, across a push.
 */
#include "base/mem.h"

#define VEC(type)                                                                                                      \
	struct {                                                                                                       \
		type *items;                                                                                           \
		size_t count, cap;                                                                                     \
	}

/** Appends item. */
#define vec_push(v, item)                                                                                              \
	do {                                                                                                           \
		if ((v)->count == (v)->cap) {                                                                          \
			(v)->cap = (v)->cap ? (v)->cap * 2 : 8;                                                        \
			(v)->items = mem_resize((v)->items, (v)->cap, sizeof *(v)->items);                             \
		}                                                                                                      \
		(v)->items[(v)->count++] = (item);                                                                     \
	} while (0)

/** Frees the array, not what its items own. */
#define vec_clear(v)                                                                                                   \
	do {                                                                                                           \
		free((v)->items);                                                                                      \
		(v)->items = NULL;                                                                                     \
		(v)->count = (v)->cap = 0;                                                                             \
	} while (0)
