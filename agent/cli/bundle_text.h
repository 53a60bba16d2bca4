#pragma once
/*
 * Making text fit for the eyes of strangers.
 */
#include <stddef.h>

struct arena;
struct buf;

/**
 * Adds text[from..len) without registered secrets and what looks like one. The whole text is looked at, so that a
 * secret which begins before `from` is hidden too. NUL bytes become spaces.
 */
void bundle_scrub(const char *text, size_t len, size_t from, struct buf *out);

/**
 * Adds a recipe without the steps that are `sensitive` and the values of sensitive variables, line by line: what stands
 * on their lines goes, and so does all of a recipe that cannot be parsed.
 */
void bundle_recipe(const char *text, size_t len, struct arena *arena, struct buf *out);
