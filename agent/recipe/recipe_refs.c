#include "recipe/recipe_impl.h"

#include "base/arena.h"
#include "base/err.h"
#include "fmt/diag.h"
#include "recipe/cond.h"
#include "recipe/facts.h"

static const char *const env_names[] = {
	"HOME", "USER", "LANG", "PATH", "TMPDIR", "AWS_REGION", "AWS_DEFAULT_REGION", "SUDO_USER"};
#define ENV_COUNT (sizeof env_names / sizeof *env_names)

/* "no variable 'x'; did you mean 'y'?", or with the list of what there is. */
static int unknown(const char *what, const char *name, const struct strs *known, struct arena *arena, struct err *err) {
	const char *near = str_nearest(name, known->items, known->count);
	if (near) return err_set(err, ERR_INVALID, "there is no %s '%s'; did you mean '%s'?", what, name, near);
	if (known->count == 0) return err_set(err, ERR_INVALID, "there is no %s '%s', nor any other", what, name);
	return err_set(err, ERR_INVALID, "there is no %s '%s'; known: %s", what, name, strs_join(known, ", ", arena));
}

static const char *expand_default(const struct recipe_names *names, const struct recipe_var *var, struct err *err) {
	struct recipe_names inner = *names;
	const char *text = NULL;
	inner.has_no_vars = true;
	if (subst_expand(var->value, recipe_lookup, &inner, names->arena, &text, NULL, err) < 0) return NULL;
	return text;
}

static const char *lookup_var(const struct recipe_names *names, const char *name, bool *ret_is_known_later,
			      struct err *err) {
	AUTO_STRS struct strs known = {0};
	if (names->has_no_vars) {
		(void)err_set(err, ERR_INVALID, "the default of a variable cannot refer to another variable");
		return NULL;
	}
	for (size_t i = 0; i < names->var_count; i++) {
		const struct recipe_var *var = &names->vars[i];
		strs_add(&known, var->name);
		if (!str_eq(var->name, name)) continue;
		*ret_is_known_later = !names->facts || !var->value;
		if (*ret_is_known_later) return NULL;
		return var->is_literal ? var->value : expand_default(names, var, err);
	}
	(void)unknown("variable", name, &known, names->arena, err);
	return NULL;
}

/* Metadata should have answered here and did not: an empty text would be taken for the truth. */
static bool is_lost(const struct facts *facts, const struct fact_field *field) {
	size_t begin = offsetof(struct facts, instance), end = begin + sizeof facts->instance;
	return facts->metadata_error[0] && field->offset >= begin && field->offset < end;
}

static const char *lookup_fact(const struct recipe_names *names, const char *name, bool *ret_is_known_later,
			       struct err *err) {
	AUTO_STRS struct strs known = {0};
	for (size_t i = 0; i < facts_fields_count; i++) {
		strs_add(&known, facts_fields[i].name);
		if (!str_eq(facts_fields[i].name, name)) continue;
		*ret_is_known_later = !names->facts;
		if (!names->facts) return NULL;
		if (!is_lost(names->facts, &facts_fields[i])) return facts_get(names->facts, name, names->arena);
		(void)err_set(err, ERR_NET, "facts.%s is not known, instance metadata did not answer: %s", name,
			      names->facts->metadata_error);
		return NULL;
	}
	(void)unknown("fact", name, &known, names->arena, err);
	return NULL;
}

/* What stands in for a variable that a bare service environment lacks; the rest is "", so that `when` can ask. */
static const char *env_default(const struct facts *facts, const char *name) {
	if (str_eq(name, "HOME")) return facts->home;
	if (str_eq(name, "USER")) return facts->user;
	if (str_eq(name, "TMPDIR")) return "/tmp";
	return "";
}

static const char *lookup_env(const struct recipe_names *names, const char *name, bool *ret_is_known_later,
			      struct err *err) {
	struct strs known = {(const char **)env_names, ENV_COUNT, ENV_COUNT};
	if (!strs_has(&known, name)) {
		(void)err_set(err, ERR_INVALID, "env.%s is not among those that recipes may read: %s", name,
			      strs_join(&known, ", ", names->arena));
		return NULL;
	}
	*ret_is_known_later = !names->facts;
	if (!names->facts) return NULL;
	size_t len = strlen(name);
	for (const char *const *e = names->env; e && *e; e++) {
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=' && (*e)[len + 1]) return *e + len + 1;
	}
	return env_default(names->facts, name);
}

const char *recipe_lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err) {
	const struct recipe_names *names = arg;
	*ret_is_known_later = false;
	if (str_starts(name, "vars.")) return lookup_var(names, name + 5, ret_is_known_later, err);
	if (str_starts(name, "facts.")) return lookup_fact(names, name + 6, ret_is_known_later, err);
	if (str_starts(name, "env.")) return lookup_env(names, name + 4, ret_is_known_later, err);
	(void)err_set(err, ERR_INVALID, "'%s' is unknown: names begin with vars., facts. or env.", name);
	return NULL;
}

void recipe_diag_in(struct diags *diags, const struct yml_node *node, size_t offset, const char *message) {
	bool is_plain = !node->is_quoted && !strchr(node->text, '\n');
	unsigned col = node->col;
	for (size_t i = 0; is_plain && i < offset && node->text[i]; i++) {
		if (((unsigned char)node->text[i] & 0xc0) != 0x80) col++;
	}
	diag_add_at(diags, node->file, node->line, col, "%s", message);
}

static void check_text(struct recipe_load *load, struct recipe_names *names, const struct yml_node *node) {
	const char *text;
	size_t offset = 0;
	struct err err;
	if (subst_expand(node->text, recipe_lookup, names, load->arena, &text, &offset, &err) == 0) return;
	recipe_diag_in(load->diags, node, offset, err.msg);
}

bool recipe_is_bundle_url(const char *url) {
	const char *bucket = str_starts(url, "s3://") ? url + strlen("s3://") : "";
	size_t len = strcspn(bucket, "/");
	return len >= 3 && len <= 63 && !strpbrk(bucket, "?# \t\r\n");
}

static void check_node(struct recipe_load *load, struct recipe_names *names, const struct yml_node *node) {
	if (node->kind == YML_SCALAR) {
		check_text(load, names, node);
		return;
	}
	for (size_t i = 0; i < node->count; i++) check_node(load, names, node->items[i]);
}

static void check_when(struct recipe_load *load, struct recipe_names *names, const struct yml_node *when) {
	size_t offset = 0;
	struct err err;
	if (when->kind != YML_SCALAR || yml_is_null(when)) return; /* said when it was bound */
	if (cond_check(when->text, recipe_lookup, names, &offset, &err) == 0) return;
	recipe_diag_in(load->diags, when, offset, arena_printf(load->arena, "when: %s", err.msg));
}

void recipe_check_refs(struct recipe_load *load) {
	struct recipe_names names = {
		.vars = load->vars.items, .var_count = load->vars.count, .arena = load->arena, .has_no_vars = true};
	for (size_t i = 0; i < load->vars.count; i++) {
		const struct recipe_var *var = &load->vars.items[i];
		if (var->value && !var->is_literal && var->node->kind == YML_SCALAR &&
		    str_eq(var->node->text, var->value)) {
			check_text(load, &names, var->node);
		}
	}
	names.has_no_vars = false;
	if (load->bundle) {
		check_text(load, &names, load->bundle);
		if (!subst_has(load->bundle->text) && !recipe_is_bundle_url(load->bundle->text))
			diag_add(load->diags, load->bundle, "'bundle' is s3://bucket/prefix/, found '%.200s'",
				 load->bundle->text);
	}
	for (size_t i = 0; i < load->steps.count; i++) {
		const struct yml_node *step = load->steps.items[i].node;
		if (step->kind != YML_MAP) continue;
		for (size_t k = 0; k < step->count; k++) {
			if (str_eq(step->keys[k]->text, "when")) check_when(load, &names, step->items[k]);
			if (!recipe_key_is_literal(step->keys[k]->text)) check_node(load, &names, step->items[k]);
		}
	}
}
