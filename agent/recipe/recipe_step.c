#include "recipe/recipe_impl.h"

#include "base/arena.h"
#include "base/buf.h"
#include "fmt/diag.h"
#include "fmt/subst.h"

/* Retries beyond this are a loop, and a loop wants a `check` step. */
#define RETRIES_MAX 100

static const char *const on_error_names[] = {"stop", "continue", NULL};
static const char *const frequency_names[] = {"change", "instance", "boot", "always", NULL};

#define AT(member) .offset = offsetof(struct step_common, member)

static const struct field common_fields[] = {
	{.name = "name", .kind = FIELD_TEXT, AT(name), .help = "what people see; the id is made of it"},
	{.name = "id", .kind = FIELD_TEXT, AT(id), .help = "what needs, --only and --from call it"},
	{.name = "needs",
	 .kind = FIELD_TEXTS,
	 AT(needs),
	 .presence = offsetof(struct step_common, has_needs),
	 .help = "ids of the steps to wait for, instead of the step above; [] starts at once"},
	{.name = "when",
	 .kind = FIELD_TEXT,
	 AT(when),
	 .help = "a condition on vars, facts and env; else it is skipped"},
	{.name = "background",
	 .kind = FIELD_BOOL,
	 AT(is_background),
	 .fallback = "false",
	 .help = "neither the next step nor ready waits for it"},
	{.name = "optional",
	 .kind = FIELD_BOOL,
	 AT(is_optional),
	 .fallback = "false",
	 .help = "its failure is a warning"},
	{.name = "on_error",
	 .kind = FIELD_CHOICE,
	 AT(on_error),
	 .choices = on_error_names,
	 .fallback = "stop",
	 .help = "whether steps that do not need it still start after it failed"},
	{.name = "timeout",
	 .kind = FIELD_DURATION,
	 AT(timeout_ms),
	 .presence = offsetof(struct step_common, has_timeout),
	 .help = "longest time of one attempt; the default is the type's"},
	{.name = "retries",
	 .kind = FIELD_INT,
	 AT(retries),
	 .min = 0,
	 .max = RETRIES_MAX,
	 .fallback = "0",
	 .help = "how often it is tried again after a failure"},
	{.name = "retry_delay",
	 .kind = FIELD_DURATION,
	 AT(retry_delay_ms),
	 .fallback = "10s",
	 .help = "wait before the next try"},
	{.name = "run_as", .kind = FIELD_TEXT, AT(run_as), .help = "account that its commands run as"},
	{.name = "env", .kind = FIELD_MAP, AT(env), .help = "environment variables of its commands"},
	{.name = "frequency",
	 .kind = FIELD_CHOICE,
	 AT(frequency),
	 .choices = frequency_names,
	 .fallback = "change",
	 .help = "when work that was done is done again: on a change, per instance, per boot, always"},
	{.name = "creates", .kind = FIELD_TEXT, AT(creates), .help = "a path; the step is in place once it exists"},
	{.name = "unless", .kind = FIELD_TEXT, AT(unless), .help = "a shell command; exit 0 means in place"},
	{.name = "sensitive",
	 .kind = FIELD_BOOL,
	 AT(is_sensitive),
	 .fallback = "false",
	 .help = "keep its output and diffs out of every log"},
	{.name = NULL},
};

const struct shape step_common_shape = {.fields = common_fields, .size = sizeof(struct step_common)};

static const struct step_type *type_of(const struct step_type *const *types, const char *name) {
	for (; *types; types++) {
		if (str_eq((*types)->name, name)) return *types;
	}
	return NULL;
}

bool recipe_key_is_literal(const char *key) { return str_eq(key, "id") || str_eq(key, "needs") || str_eq(key, "when"); }

static bool has_refs(const struct yml_node *node) {
	if (node->kind == YML_SCALAR) return subst_has(node->text);
	for (size_t i = 0; i < node->count; i++) {
		if (has_refs(node->items[i])) return true;
	}
	return false;
}

static bool has_unknown_key(const struct yml_node *node, const struct strs *type_names) {
	for (size_t i = 0; i < node->count; i++) {
		bool is_known = strs_has(type_names, node->keys[i]->text);
		for (const struct field *f = common_fields; f->name; f++) {
			if (str_eq(f->name, node->keys[i]->text)) is_known = true;
		}
		if (!is_known) return true;
	}
	return false;
}

/* Two type keys in one step. The commonest reason is Ansible's and cloud-init's `user`. */
static bool two_types(const struct yml_node *first, const struct yml_node *second, struct diags *diags) {
	const char *hint = "make them two steps";
	if (str_eq(first->text, "user") || str_eq(second->text, "user")) {
		hint = "'user' is a step type of its own: to run this step as somebody, write 'run_as'";
	}
	diag_add(diags, second, "a step has one type, found '%s' and '%s'; %s", first->text, second->text, hint);
	return false;
}

/* The one type key; ret_at is its index. */
static const struct step_type *find_type(const struct step_type *const *types, const struct yml_node *node,
					 const struct strs *type_names, struct arena *arena, struct diags *diags,
					 size_t *ret_at) {
	const struct step_type *type = NULL;
	for (size_t i = 0; i < node->count; i++) {
		const struct step_type *this = type_of(types, node->keys[i]->text);
		if (this && type) {
			two_types(node->keys[*ret_at], node->keys[i], diags);
			return NULL;
		}
		if (!this) continue;
		type = this;
		*ret_at = i;
	}
	/* A misspelt type is an unknown key, and that message names the nearest: one is enough. */
	if (!type && !has_unknown_key(node, type_names)) {
		diag_add(diags, node, "the step does not say what it does; add one of %s",
			 strs_join(type_names, ", ", arena));
	}
	return type;
}

/* What the field tables cannot say of the common keys. A value with references is looked at once it is known. */
static void check_common(const struct step_common *c, const struct yml_node *node, enum schema_refs refs,
			 struct diags *diags) {
	const struct yml_node *timeout = yml_get(node, "timeout"), *creates = yml_get(node, "creates");
	bool is_known = refs == SCHEMA_REFS_EXPANDED;
	if (timeout && c->timeout_ms == 0 && (is_known || !has_refs(timeout)))
		diag_add(diags, timeout, "a timeout of 0 leaves no time to run: leave it out, or give it longer");
	if (creates && c->creates && c->creates[0] != '/' && (is_known || !has_refs(creates)))
		diag_add(diags, creates, "creates '%s' is not an absolute path", c->creates);
	const struct yml_node *env = yml_get(node, "env");
	for (size_t i = 0; env && env->kind == YML_MAP && i < env->count; i++) {
		const char *name = env->keys[i]->text;
		if (!*name || strchr(name, '='))
			diag_add(diags, env->keys[i], "'%s' cannot be the name of an environment variable", name);
	}
}

bool recipe_bind_step(const struct step_type *const *types, const struct yml_node *node, enum schema_refs refs,
		      struct arena *arena, struct diags *diags, struct recipe_step *ret_step, const void **ret_params) {
	AUTO_STRS struct strs names = {0};
	struct recipe_step step = {.node = node};
	size_t at = 0;
	if (node->kind != YML_MAP || node->count == 0) {
		diag_add(diags, node, "a step is a map such as {name: Tools, packages: [git]}, found %s",
			 node->kind == YML_MAP ? "an empty one" : yml_kind_name(node));
		return false;
	}
	for (size_t i = 0; types[i]; i++) strs_add(&names, types[i]->name);
	size_t at_start = diags->count + diags->dropped;
	bool is_ok = schema_bind_among(&step_common_shape, node, &names, refs, &step.common, arena, diags);
	if (is_ok) check_common(&step.common, node, refs, diags);
	is_ok = is_ok && diags->count + diags->dropped == at_start;
	step.type = find_type(types, node, &names, arena, diags, &at);
	if (!step.type) return false;
	step.value = node->items[at];
	void *params = arena_alloc(arena, step.type->shape.size);
	if (!schema_bind(&step.type->shape, step.value, refs, params, arena, diags)) return false;
	size_t before = diags->count + diags->dropped;
	if (step.type->check && (refs == SCHEMA_REFS_EXPANDED || !has_refs(step.value))) {
		step.type->check(params, step.value, diags);
	}
	if (!is_ok || diags->count + diags->dropped > before) return false;
	if (!step.common.has_timeout) step.common.timeout_ms = step.type->timeout_ms;
	*ret_step = step;
	if (ret_params) *ret_params = params;
	return true;
}
