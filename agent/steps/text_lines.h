#pragma once
/*
 * Settings files of which a step owns single lines (fstab, hosts, drop-ins that several steps share): a line is known
 * by its key, the rest of the file is left as it is.
 */
#include <stdbool.h>

#include "base/arena.h"
#include "base/cleanup.h"

struct changes;
struct err;
struct step_ctx;
struct strs;

/** The key of a line, in the arena; NULL for comments and the like. */
typedef const char *(*text_key_fn)(const char *line, struct arena *arena);

/** "key = value" and "KEY=value": up to the '='. */
const char *text_key_assign(const char *line, struct arena *arena);
/** The first word. */
const char *text_key_word(const char *line, struct arena *arena);
/** The whole line, a comment sign in front left out. */
const char *text_key_line(const char *line, struct arena *arena);

/** The text with each of the lines in the place of the first one of its key, or at the end; later ones go. */
const char *text_lines_set(const char *text, const struct strs *lines, text_key_fn key_of, struct arena *arena);

struct text_lines {
	const char *path;
	const char *head; /* first line of a file that is made; may be NULL */
	text_key_fn key_of;
};

/** Probe and apply of the file with these lines in it; its mode and owner are kept. */
CHECK_RESULT int text_lines_probe(const struct text_lines *file, const struct strs *lines, struct step_ctx *ctx,
				  struct changes *changes, struct err *err);
CHECK_RESULT int text_lines_apply(const struct text_lines *file, const struct strs *lines, struct step_ctx *ctx,
				  bool *ret_has_written, struct err *err);
