#pragma once
/*
 * libyaml's words for what is wrong, in words that help whoever wrote the recipe.
 */
#include <stddef.h>

struct arena;

/** The byte at a 0-based line and column (in characters), '\0' past the end. */
char yml_char_at(const char *data, size_t len, size_t line, size_t column);

/**
 * A message for libyaml's problem and context (either may be NULL); context_line is where the context begins, at the
 * byte at which it went wrong. In the arena.
 */
const char *yml_problem(const char *problem, const char *context, unsigned context_line, char at, struct arena *arena);
