#include "recipe/builtin.h"

#include "recipe/recipe.h"

static const char *find(const struct builtin *table, const char *name, size_t *ret_len) {
	for (; table->name; table++) {
		if (!str_eq(table->name, name)) continue;
		if (ret_len) *ret_len = table->len;
		return table->data;
	}
	return NULL;
}

const char *recipe_builtin(const char *name, size_t *ret_len) { return find(builtin_recipes, name, ret_len); }

const char *recipe_builtin_set(const char *name, size_t *ret_len) { return find(builtin_sets, name, ret_len); }

void recipe_builtin_names(struct strs *ret_recipes, struct strs *ret_sets) {
	for (const struct builtin *b = builtin_recipes; ret_recipes && b->name; b++) strs_add(ret_recipes, b->name);
	for (const struct builtin *b = builtin_sets; ret_sets && b->name; b++) strs_add(ret_sets, b->name);
}
