#pragma once
/*
 * Recipes: found (built-in name, path, "-", s3://, https://…#sha256=…), decoded (gzip, base64, MIME user-data), parsed
 * and checked, includes merged depth first. Nothing here looks at facts or touches the machine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recipe/step.h"

struct arena;
struct diags;
struct fetch;
struct fs_root;

/** What `apply` without a name runs: every *.yaml in it, in lexical order. */
#define RECIPE_DIR "/etc/dsagent/recipes.d/"
#define RECIPE_STEPS_MAX 500
#define RECIPE_INCLUDE_DEPTH_MAX 8

enum step_on_error { STEP_ON_ERROR_STOP, STEP_ON_ERROR_CONTINUE };
enum step_frequency { STEP_ON_CHANGE, STEP_PER_INSTANCE, STEP_PER_BOOT, STEP_ALWAYS };

/** The keys that every step may have. */
struct step_common {
	const char *name, *id; /* id: given, or a slug of name, or of the type; unique */
	struct strs needs;
	bool has_needs; /* `needs` was written: [] means at once */
	const char *when;
	bool is_background, is_optional, is_sensitive;
	int on_error;  /* enum step_on_error */
	int frequency; /* enum step_frequency */
	int64_t timeout_ms, retry_delay_ms, retries;
	bool has_timeout;
	const char *run_as, *creates, *unless;
	struct field_map env;
};

extern const struct shape step_common_shape;

struct recipe_var {
	const char *name, *help, *value; /* value NULL: required and not given */
	bool is_sensitive;
	bool is_literal; /* value came by --var: ${…} in it is plain text */
	const struct yml_node *node;
};

struct recipe_step {
	const struct yml_node *node;  /* the whole step */
	const struct yml_node *value; /* the type key's value */
	const struct step_type *type;
	struct step_common common; /* bound with references open; bound again by plan */
};

/** A document as it was read. */
struct recipe_text {
	const char *file, *data;
	size_t len;
};

struct recipe {
	struct recipe_text *texts; /* all documents, includes first come where they stand */
	size_t text_count;
	const char *name, *description;
	const struct yml_node *bundle; /* report.bundle with references open, or NULL */
	const char *hash;	       /* hex SHA-256 over all documents' bytes, includes in order */
	struct recipe_var *vars;
	size_t var_count;
	struct recipe_step *steps;
	size_t count;
};

struct recipe_source {
	const struct step_type *const *types;
	const struct fs_root *root; /* for recipes.d; other paths are the caller's own */
	struct fetch *fetch;	    /* NULL: remote recipes are refused */
	const struct strs *vars;    /* "k=v" of --var */
	bool is_inert;		    /* validate: required vars may be missing */
};

/**
 * Loads and merges the recipes named (none: /etc/dsagent/recipes.d/ in lexical order). All errors of all of them go to
 * diags; NULL if there is any. Checks: keys, types, ids, needs (unknown, cycles), `when` syntax, references, types' own
 * checks.
 */
const struct recipe *recipe_load(const struct recipe_source *source, const struct strs *names, struct arena *arena,
				 struct diags *diags);

/**
 * The bytes of a recipe in a file, or from standard input for "-", as they are: by the caller's own rights, at most
 * b->max. ERR_NOT_FOUND, ERR_INVALID (a folder), ERR_LIMIT, ERR_IO.
 */
CHECK_RESULT int recipe_bytes(const char *path, struct buf *b, struct err *err);

/** True for s3://bucket or s3://bucket/prefix: where bundles may go. */
bool recipe_is_bundle_url(const char *url);

/** Text of a built-in: recipe_builtin("quickstart"), recipe_builtin_set("science"); NULL if none. */
const char *recipe_builtin(const char *name, size_t *ret_len);
const char *recipe_builtin_set(const char *name, size_t *ret_len);
/** Their names, sorted. */
void recipe_builtin_names(struct strs *ret_recipes, struct strs *ret_sets);

/** JSON Schema of the whole recipe language. */
struct js *recipe_schema_json(const struct step_type *const *types);

/** The manual of one step type for the terminal, and of all as Markdown (recipes/STEPS.md). */
void recipe_explain(const struct step_type *type, struct buf *out);
void recipe_steps_markdown(const struct step_type *const *types, struct buf *out);
