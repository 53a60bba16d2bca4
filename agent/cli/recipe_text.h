#pragma once
/*
 * Recipes that dsagent writes itself: what `boot` keeps and `userdata` carries for names, settings and several recipes.
 */
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf;
struct diags;
struct strs;
struct userdata_doc;

/** A recipe that is nothing but another one, by a name that is known everywhere: built-in, s3:// or https://. */
void recipe_text_include(const char *name, struct buf *out);

/** Values for variables, "k=v" as --var has them: to be read after the recipe that declares them. */
void recipe_text_vars(const struct strs *vars, struct buf *out);

/** Several recipes as one MIME document; their texts are NUL-terminated and stay as they are. */
void recipe_text_mime(const char *const *texts, size_t count, struct arena *arena, struct buf *out);

/**
 * A diagnosis for each include of a recipe that will not be found where the text goes: files beside it and, unless
 * has_files, any file. remedy ends the message.
 */
void recipe_text_check_includes(const char *file, const struct userdata_doc *doc, const char *remedy, bool has_files,
				struct arena *arena, struct diags *diags);
