#pragma once
/*
 * recipe + facts → plan: conditions decided, references expanded, parameters typed, order and resources fixed. A plan
 * is const from here on and lives in the run's arena.
 */
#include <stdbool.h>
#include <stddef.h>

#include "recipe/recipe.h"

struct plan_step {
	size_t index; /* 0-based place in the recipe */
	const struct step_type *type;
	const void *params;
	struct step_common common;
	const char *hash;	 /* hex SHA-256 of type and expanded content */
	const char *skip_reason; /* `when` is false, or --only / --from left it out; NULL: to be run */
	bool is_left_out;	 /* by --only or --from */
	const size_t *needs;	 /* indices of the steps that must have ended */
	size_t needs_count;
	struct strs resources;
};

struct plan {
	const char *recipe_name; /* "daily-driver", or several joined by "+" */
	const char *hash;	 /* recipe->hash */
	struct plan_step *steps;
	size_t count;
	const char *bundle; /* s3://bucket/prefix/ for a bundle of a failed run; NULL: the recipe names none */
};

struct plan_options {
	const struct facts *facts;
	const char *const *env; /* for ${env.X} */
	struct strs only;	/* --only ID…; empty: all */
	const char *from;	/* --from ID, or NULL */
};

/** The plan, or NULL after adding to diags (bad expansion, unknown id in --only). */
const struct plan *plan_build(const struct recipe *recipe, const struct plan_options *options, struct arena *arena,
			      struct diags *diags);
