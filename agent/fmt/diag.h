#pragma once
/*
 * Diagnoses: everything that is wrong with a document, each with its place, gathered before any is shown.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct yml_node;

struct diag {
	const char *file;
	unsigned line, col; /* 1-based; 0, 0: the whole file */
	const char *message;
};

/** Most diagnoses kept; later ones are only counted. A hundred is more than anyone mends at once. */
#define DIAGS_MAX 100

/** All-zero but for arena is the empty list; texts live in the arena. */
struct diags {
	struct arena *arena;
	struct diag *items;
	size_t count, cap, dropped;
};

/** Adds a message at a node's place (NULL: no place), or at the place given. */
void diag_add(struct diags *d, const struct yml_node *at, const char *fmt, ...) FORMAT(3, 4);
void diag_add_at(struct diags *d, const char *file, unsigned line, unsigned col, const char *fmt, ...) FORMAT(5, 6);

/** Sorts by place within each file, files in order of first appearance; equal ones are kept once. */
void diags_sort(struct diags *d);

/** One "file:line:col: message\n" each. */
void diags_print(const struct diags *d, struct buf *out);

void diags_clear(struct diags *d);
#define AUTO_DIAGS AUTO(diags_clear)
