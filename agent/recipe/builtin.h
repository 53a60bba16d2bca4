#pragma once
/*
 * What agent/embed.sh compiles in: recipes (recipes/NAME.yaml) and pip sets (recipes/sets/NAME.txt).
 */
#include <stddef.h>

struct builtin {
	const char *name;
	const char *data; /* NUL-terminated, len without the NUL */
	size_t len;
};

/** Sorted by name, ending in a NULL name. */
extern const struct builtin builtin_recipes[], builtin_sets[];
