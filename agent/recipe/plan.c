#include "recipe/plan.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/secrets.h"
#include "recipe/cond.h"
#include "recipe/recipe_impl.h"

/* A name with its variables. */
#define NAME_TEXT_MAX (64 * 1024)
/* What a line of a terminal has room for, generously. */
#define NAME_SHOWN_MAX 120

struct build {
	const struct recipe *recipe;
	const struct plan_options *options;
	struct arena *arena;
	struct diags *diags;
	struct recipe_names names;
	struct recipe_step *bound; /* the steps with references expanded */
	struct plan_step *steps;
};

static const struct yml_node *expand(struct build *b, const struct yml_node *node);

/* Passwords and tokens in URLs of a recipe are as secret as a sensitive variable. */
static void hide_urls(const char *text, struct arena *arena) {
	struct secret_span span;
	if (!strstr(text, "://") && !strstr(text, "earer ")) return;
	for (size_t from = 0; secrets_next(text, from, &span); from = span.at + span.len)
		if (span.is_sure) log_secret_add(arena_dup(arena, text + span.at, span.len));
}

static const struct yml_node *expand_scalar(struct build *b, const struct yml_node *node) {
	const char *text;
	size_t offset = 0;
	struct err err;
	if (subst_expand(node->text, recipe_lookup, &b->names, b->arena, &text, &offset, &err) < 0) {
		recipe_diag_in(b->diags, node, offset, err.msg);
		return node;
	}
	hide_urls(text, b->arena);
	if (str_eq(text, node->text)) return node;
	struct yml_node *copy = arena_alloc(b->arena, sizeof *copy);
	*copy = *node;
	copy->text = text;
	copy->is_quoted = true; /* a reference that is empty is an empty text, not nothing */
	return copy;
}

static const struct yml_node *expand_items(struct build *b, const struct yml_node *node, bool is_step) {
	struct yml_node *copy = arena_alloc(b->arena, sizeof *copy);
	*copy = *node;
	copy->items = arena_alloc(b->arena, node->count * sizeof *copy->items);
	for (size_t i = 0; i < node->count; i++) {
		bool is_literal = is_step && recipe_key_is_literal(node->keys[i]->text);
		copy->items[i] = is_literal ? node->items[i] : expand(b, node->items[i]);
	}
	return copy;
}

static const struct yml_node *expand(struct build *b, const struct yml_node *node) {
	return node->kind == YML_SCALAR ? expand_scalar(b, node) : expand_items(b, node, false);
}

static void hash_bytes(struct digest *d, char kind, const char *text) {
	size_t len = strlen(text);
	digest_add(d, &kind, 1);
	digest_add(d, &len, sizeof len);
	digest_add(d, text, len);
}

static int by_key(const void *a, const void *b) {
	const struct yml_node *const *x = *(const struct yml_node *const *const *)a;
	const struct yml_node *const *y = *(const struct yml_node *const *const *)b;
	return strcmp((*x)->text, (*y)->text);
}

/* Unambiguous (every text has its length in front) and independent of the order in which keys are written. */
static void hash_node(struct digest *d, const struct yml_node *node, struct arena *arena) {
	if (node->kind == YML_SCALAR) {
		hash_bytes(d, yml_is_null(node) ? 'n' : 's', node->text);
		return;
	}
	digest_add(d, node->kind == YML_SEQ ? "[" : "{", 1);
	if (node->kind == YML_SEQ) {
		for (size_t i = 0; i < node->count; i++) hash_node(d, node->items[i], arena);
	} else {
		const struct yml_node ***order = arena_alloc(arena, node->count * sizeof *order);
		for (size_t i = 0; i < node->count; i++) order[i] = &node->keys[i];
		qsort(order, node->count, sizeof *order, by_key);
		for (size_t i = 0; i < node->count; i++) {
			hash_bytes(d, 'k', (*order[i])->text);
			hash_node(d, node->items[order[i] - node->keys], arena);
		}
	}
	digest_add(d, node->kind == YML_SEQ ? "]" : "}", 1);
}

/* What the step does: its type, parameters, and the common keys that change the outcome; not its name or order. */
static const char *hash_step(const struct recipe_step *step, struct arena *arena) {
	static const char *const keys[] = {"creates", "env", "run_as", "unless"};
	unsigned char sum[SHA256_SIZE];
	struct digest *d = digest_new();
	hash_bytes(d, 't', step->type->name);
	hash_node(d, step->value, arena);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const struct yml_node *value = yml_get(step->node, keys[i]);
		if (!value) continue;
		hash_bytes(d, 'k', keys[i]);
		hash_node(d, value, arena);
	}
	digest_end(d, sum);
	return digest_hex(sum, sizeof sum, arena_alloc(arena, SHA256_HEX_SIZE));
}

static size_t find(const struct recipe *recipe, const char *id) {
	size_t i = 0;
	while (i < recipe->count && !str_eq(recipe->steps[i].common.id, id)) i++;
	return i;
}

static void check_id(struct build *b, const char *option, const char *id) {
	AUTO_STRS struct strs ids = {0};
	if (find(b->recipe, id) < b->recipe->count) return;
	for (size_t i = 0; i < b->recipe->count; i++) strs_add(&ids, b->recipe->steps[i].common.id);
	const char *near = str_nearest(id, ids.items, ids.count);
	if (near) {
		diag_add_at(b->diags, option, 0, 0, "no step has the id '%s'; did you mean '%s'?", id, near);
	} else {
		diag_add_at(b->diags, option, 0, 0, "no step has the id '%s'; the ids are %s", id,
			    strs_join(&ids, ", ", b->arena));
	}
}

/* Why the user leaves the step out, or NULL. */
static const char *leave_out_reason(struct build *b, size_t i) {
	const struct plan_options *o = b->options;
	if (o->only.count && !strs_has(&o->only, b->recipe->steps[i].common.id)) return "left out by --only";
	if (o->from && i < find(b->recipe, o->from)) return arena_printf(b->arena, "before --from %s", o->from);
	return NULL;
}

/* Why the recipe does, or NULL. */
static const char *when_reason(struct build *b, size_t i) {
	const struct step_common *c = &b->recipe->steps[i].common;
	if (!c->when) return NULL;
	bool holds = false;
	size_t offset = 0;
	struct err err;
	if (cond_eval(c->when, recipe_lookup, &b->names, &holds, &offset, &err) < 0) {
		const char *message = arena_printf(b->arena, "when: %s", err.msg);
		recipe_diag_in(b->diags, yml_get(b->recipe->steps[i].node, "when"), offset, message);
		return NULL;
	}
	return holds ? NULL : arena_printf(b->arena, "when: %s", c->when);
}

static void take_resources(struct build *b, struct plan_step *step) {
	AUTO_STRS struct strs names = {0};
	if (!step->type->resources || step->skip_reason) return;
	step->type->resources(step->params, b->options->facts, b->arena, &names);
	step->resources.items = arena_alloc(b->arena, (names.count + 1) * sizeof *names.items);
	if (names.count) memcpy(step->resources.items, names.items, names.count * sizeof *names.items);
	step->resources.count = names.count;
	step->resources.cap = names.count + 1;
}

/* A name stands in one line of a terminal, a log and a tag: no secret, no control character, no novel. */
static const char *shown_name(const char *name, struct arena *arena) {
	AUTO_BUF struct buf text = BUF_INIT(NAME_TEXT_MAX);
	log_redact(name, &text);
	if (text.has_overflowed) return "(a name of more than 64 KiB)";
	char *shown = arena_strdup(arena, buf_str(&text));
	for (char *c = shown; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
	size_t cut = str_utf8_prefix(shown, NAME_SHOWN_MAX);
	return shown[cut] ? arena_printf(arena, "%.*s…", (int)cut, shown) : shown;
}

/* A step that is left out is not expanded: what it refers to may be empty, and that is why it is left out. */
static void build_step(struct build *b, size_t i) {
	const struct recipe_step *source = &b->recipe->steps[i];
	struct plan_step *step = &b->steps[i];
	struct recipe_step *bound = &b->bound[i];
	step->index = i;
	step->skip_reason = leave_out_reason(b, i);
	step->is_left_out = step->skip_reason != NULL;
	if (!step->is_left_out) step->skip_reason = when_reason(b, i);
	bool is_run = step->skip_reason == NULL;
	size_t before = b->diags->count + b->diags->dropped;
	const struct yml_node *node = is_run ? expand_items(b, source->node, true) : source->node;
	*bound = *source;
	if (b->diags->count + b->diags->dropped > before) return;
	enum schema_refs refs = is_run ? SCHEMA_REFS_EXPANDED : SCHEMA_REFS_OPEN;
	const struct step_type *only_type[] = {source->type, NULL};
	if (!recipe_bind_step(only_type, node, refs, b->arena, b->diags, bound, &step->params)) return;
	bound->common.id = source->common.id;
	bound->common.name =
		str_is_empty(bound->common.name) ? source->common.id : shown_name(bound->common.name, b->arena);
	step->type = bound->type;
	step->common = bound->common;
	step->hash = hash_step(bound, b->arena);
	take_resources(b, step);
}

struct gather {
	const struct build *b;
	unsigned char *seen;
	size_t *needs;
	size_t count;
};

/* What step i waits for. A step that is left out has ended at once, so what it would have waited for takes its place.
 * There are no circles (recipe_check_needs), so the depth is at most the number of steps. */
static void gather_needs(struct gather *g, size_t i) {
	const struct step_common *c = &g->b->bound[i].common;
	size_t count = c->has_needs ? c->needs.count : 1;
	for (size_t k = 0; k < count; k++) {
		size_t need = c->has_needs ? find(g->b->recipe, c->needs.items[k]) : recipe_step_above(g->b->bound, i);
		if (need >= g->b->recipe->count || g->seen[need]) continue;
		g->seen[need] = 1;
		if (g->b->steps[need].skip_reason) {
			gather_needs(g, need);
		} else {
			g->needs[g->count++] = need;
		}
	}
}

static void set_needs(struct build *b, size_t i) {
	struct gather g = {.b = b, .seen = mem_zalloc(b->recipe->count)};
	g.needs = arena_alloc(b->arena, b->recipe->count * sizeof *g.needs);
	gather_needs(&g, i);
	b->steps[i].needs = g.needs;
	b->steps[i].needs_count = g.count;
	free(g.seen);
}

/* An empty one, of a variable that is not set, is none. */
static const char *bundle_url(struct build *b) {
	const struct yml_node *node = b->recipe->bundle;
	if (!node) return NULL;
	const char *url = expand_scalar(b, node)->text;
	if (!*url) return NULL;
	if (!recipe_is_bundle_url(url))
		diag_add(b->diags, node, "'bundle' is s3://bucket/prefix/, found '%.200s'", url);
	return url;
}

const struct plan *plan_build(const struct recipe *recipe, const struct plan_options *options, struct arena *arena,
			      struct diags *diags) {
	struct build b = {.recipe = recipe, .options = options, .arena = arena, .diags = diags};
	size_t before = diags->count + diags->dropped;
	b.names = (struct recipe_names){.vars = recipe->vars,
					.var_count = recipe->var_count,
					.facts = options->facts,
					.env = options->env,
					.arena = arena};
	b.bound = arena_alloc(arena, recipe->count * sizeof *b.bound);
	b.steps = arena_alloc(arena, recipe->count * sizeof *b.steps);
	for (size_t i = 0; i < options->only.count; i++) check_id(&b, "--only", options->only.items[i]);
	if (options->from) check_id(&b, "--from", options->from);
	if (diags->count + diags->dropped > before) return NULL;
	for (size_t i = 0; i < recipe->count; i++) build_step(&b, i);
	const char *bundle = bundle_url(&b);
	diags_sort(diags);
	if (diags->count + diags->dropped > before) return NULL;
	for (size_t i = 0; i < recipe->count; i++) set_needs(&b, i);
	struct plan *plan = arena_alloc(arena, sizeof *plan);
	*plan = (struct plan){recipe->name, recipe->hash, b.steps, recipe->count, bundle};
	return plan;
}
