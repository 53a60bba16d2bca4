#pragma once
/*
 * What recipe*.c and plan.c share among themselves.
 */
#include "base/vec.h"
#include "fmt/yml.h"
#include "recipe/recipe.h"

struct digest;
struct err;
struct facts;

/** The keys of a recipe but `vars` and `steps`; one variable. */
extern const struct shape recipe_top_shape, recipe_var_shape;

/** A recipe's text as it was found. */
struct recipe_doc {
	const char *file; /* as shown in messages */
	const char *key;  /* the same for the same thing however it is written: for include cycles */
	const char *base; /* what its relative includes stand beside: a folder or URL with its last '/'; "" = cwd */
	bool is_in_root;  /* base is below source->root (recipes.d) */
	bool is_builtin;
	const char *data;
	size_t len;
};

struct recipe_docs {
	struct recipe_doc *items;
	size_t count;
};

struct recipe_load {
	const struct recipe_source *source;
	struct arena *arena;
	struct diags *diags;
	VEC(struct recipe_var) vars;
	VEC(struct recipe_step) steps;
	VEC(struct recipe_text) texts;
	struct strs names;	     /* of the recipes that were asked for */
	struct strs seen, open_keys; /* documents loaded, and those being loaded (outermost first) */
	struct strs open_files;	     /* as shown, parallel to open_keys */
	const char *description;
	const struct yml_node *bundle; /* the last one wins: an including recipe comes after what it includes */
	const char *first_file;	       /* as shown: to say there what is true of the whole */
	struct digest *digest;
};

/**
 * Finds, reads and decodes what a name stands for. from: the including document, or NULL for the command line; at: the
 * place of the name. False after adding a diagnosis.
 */
bool recipe_read(struct recipe_load *load, const char *name, const struct recipe_doc *from, const struct yml_node *at,
		 struct recipe_docs *ret_docs);

/** The documents of /etc/dsagent/recipes.d/ in lexical order. */
bool recipe_read_default(struct recipe_load *load, struct recipe_docs *ret_docs);

/** Binds a step: common keys, its type, its parameters (*ret_params may be NULL). False after adding diagnoses. */
bool recipe_bind_step(const struct step_type *const *types, const struct yml_node *node, enum schema_refs refs,
		      struct arena *arena, struct diags *diags, struct recipe_step *ret_step, const void **ret_params);

/** Declares the variables of a `vars` map; later documents override earlier ones. */
void recipe_add_vars(struct recipe_load *load, const struct yml_node *vars);

/** Sets what --var gives and asks for what is missing. */
void recipe_set_vars(struct recipe_load *load);

/** Gives every step its id; then needs, cycles. */
void recipe_check_ids(struct recipe_load *load);
void recipe_check_needs(struct recipe_load *load);

/** `when` and every ${…}, in steps and in the defaults of variables. */
void recipe_check_refs(struct recipe_load *load);

/** The index of the step that step i waits for by the default order, or SIZE_MAX: the next one above that is not
 *  `background`. */
size_t recipe_step_above(const struct recipe_step *steps, size_t i);

/** What names stand for. facts NULL: names are checked, values are not known yet. */
struct recipe_names {
	const struct recipe_var *vars;
	size_t var_count;
	bool has_no_vars; /* in the default of a variable: facts and env only */
	const struct facts *facts;
	const char *const *env;
	struct arena *arena;
};

/** A subst_lookup_fn; arg is a struct recipe_names. */
const char *recipe_lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err);

/** True for the step keys that are never expanded: id, needs, when. */
bool recipe_key_is_literal(const char *key);

/** Adds a diagnosis at the byte offset of a scalar's text, as near as its style allows. */
void recipe_diag_in(struct diags *diags, const struct yml_node *node, size_t offset, const char *message);
