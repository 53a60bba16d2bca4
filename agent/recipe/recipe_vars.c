#include "recipe/recipe_impl.h"

#include "base/arena.h"
#include "base/log.h"
#include "fmt/diag.h"

struct declaration {
	const char *help, *value;
	bool is_sensitive, has_help, has_default, has_sensitive;
};

static const struct field declaration_fields[] = {
	{.name = "help",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct declaration, help),
	 .presence = offsetof(struct declaration, has_help),
	 .help = "what it is for"},
	{.name = "default",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct declaration, value),
	 .presence = offsetof(struct declaration, has_default),
	 .help = "its value unless --var gives another; without it --var must"},
	{.name = "sensitive",
	 .kind = FIELD_BOOL,
	 .offset = offsetof(struct declaration, is_sensitive),
	 .presence = offsetof(struct declaration, has_sensitive),
	 .help = "keep its value out of logs, tags and state"},
	{.name = NULL},
};

const struct shape recipe_var_shape = {
	.fields = declaration_fields, .size = sizeof(struct declaration), .scalar_field = "default"};

static struct recipe_var *find(struct recipe_load *load, const char *name, size_t len) {
	for (size_t i = 0; i < load->vars.count; i++) {
		struct recipe_var *var = &load->vars.items[i];
		if (strlen(var->name) == len && memcmp(var->name, name, len) == 0) return var;
	}
	return NULL;
}

static bool is_name(const char *s) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	return *s && strchr(letters, *s) && s[strspn(s, all)] == '\0';
}

static void add_var(struct recipe_load *load, const struct yml_node *key, const struct yml_node *node) {
	struct declaration d;
	if (!is_name(key->text)) {
		diag_add(load->diags, key, "'%s' cannot name a variable; take letters, digits and _, no digit first",
			 key->text);
		return;
	}
	bool is_bound = schema_bind(&recipe_var_shape, node, SCHEMA_REFS_OPEN, &d, load->arena, load->diags);
	struct recipe_var *var = find(load, key->text, strlen(key->text));
	if (!var) {
		vec_push(&load->vars, ((struct recipe_var){.name = key->text}));
		var = &load->vars.items[load->vars.count - 1];
	}
	if (d.has_help) var->help = d.help;
	if (d.has_default) var->value = d.value;
	if (!is_bound && !var->value) var->value = ""; /* it is there, if wrong: no further message follows */
	if (d.has_sensitive) var->is_sensitive = d.is_sensitive;
	var->node = key;
	if (d.has_default && node->kind == YML_MAP) var->node = yml_get(node, "default");
	if (d.has_default && node->kind == YML_SCALAR) var->node = node;
}

void recipe_add_vars(struct recipe_load *load, const struct yml_node *vars) {
	if (yml_is_null(vars)) return;
	if (vars->kind != YML_MAP) {
		diag_add(load->diags, vars, "'vars' must be a map of names, found %s", yml_kind_name(vars));
		return;
	}
	for (size_t i = 0; i < vars->count; i++) add_var(load, vars->keys[i], vars->items[i]);
}

static void unknown_var(struct recipe_load *load, const char *name) {
	AUTO_STRS struct strs known = {0};
	for (size_t i = 0; i < load->vars.count; i++) strs_add(&known, load->vars.items[i].name);
	const char *near = str_nearest(name, known.items, known.count);
	if (near) {
		diag_add_at(load->diags, "--var", 0, 0, "the recipe has no variable '%s'; did you mean '%s'?", name,
			    near);
	} else if (known.count) {
		diag_add_at(load->diags, "--var", 0, 0, "the recipe has no variable '%s'; it has %s", name,
			    strs_join(&known, ", ", load->arena));
	} else {
		diag_add_at(load->diags, "--var", 0, 0, "the recipe has no variable '%s', nor any other", name);
	}
}

static void set_var(struct recipe_load *load, const char *setting) {
	const char *equals = strchr(setting, '=');
	if (!equals || equals == setting) {
		/* The text is not shown: it may be the value of something secret. */
		diag_add_at(load->diags, "--var", 0, 0, "write it as name=value");
		return;
	}
	struct recipe_var *var = find(load, setting, (size_t)(equals - setting));
	if (!var) {
		unknown_var(load, arena_dup(load->arena, setting, (size_t)(equals - setting)));
		return;
	}
	var->value = arena_strdup(load->arena, equals + 1);
	var->is_literal = true;
}

void recipe_set_vars(struct recipe_load *load) {
	const struct strs *given = load->source->vars;
	for (size_t i = 0; given && i < given->count; i++) set_var(load, given->items[i]);
	for (size_t i = 0; i < load->vars.count; i++) {
		const struct recipe_var *var = &load->vars.items[i];
		if (var->is_sensitive) log_secret_add(var->value);
		if (var->is_sensitive && !str_is_empty(var->value) && strlen(var->value) < LOG_SECRET_MIN)
			diag_add(load->diags, var->node,
				 "the value of '%s' is too short to be kept out of logs: a sensitive one has %d "
				 "characters or more, or none",
				 var->name, LOG_SECRET_MIN);
		if (var->value || load->source->is_inert) continue;
		diag_add(load->diags, var->node, "variable '%s' has no value: give it by --var %s=…%s%s%s", var->name,
			 var->name, var->help ? " (" : "", var->help ? var->help : "", var->help ? ")" : "");
	}
}
