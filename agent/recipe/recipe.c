#include "recipe/recipe_impl.h"

#include "base/arena.h"
#include "fmt/diag.h"
#include "fmt/digest.h"

/* As much as fits the tag `dsagent:recipe` and file names. */
#define NAME_MAX_CHARS 64

struct report {
	const char *bundle;
};

struct top {
	const char *recipe, *description;
	struct strs include;
	struct report report;
};

static const struct field report_fields[] = {
	{.name = "bundle",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct report, bundle),
	 .help = "s3://bucket/prefix/ where a bundle goes when a run has failed"},
	{.name = NULL},
};

static const struct shape report_shape = {.fields = report_fields, .size = sizeof(struct report)};

static const struct field top_fields[] = {
	{.name = "recipe", .kind = FIELD_TEXT, .offset = offsetof(struct top, recipe), .help = "its name"},
	{.name = "description",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct top, description),
	 .help = "one line for people"},
	{.name = "include",
	 .kind = FIELD_TEXTS,
	 .offset = offsetof(struct top, include),
	 .help = "recipes whose variables and steps come first"},
	{.name = "report",
	 .kind = FIELD_STRUCT,
	 .offset = offsetof(struct top, report),
	 .shape = &report_shape,
	 .help = "where what happened is kept"},
	{.name = NULL},
};

const struct shape recipe_top_shape = {.fields = top_fields, .size = sizeof(struct top)};

static void load_doc(struct recipe_load *load, const struct recipe_doc *doc, bool is_included);

static bool is_recipe_name(const char *name) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	return *name && name[strspn(name, letters)] == '\0' && strlen(name) <= NAME_MAX_CHARS;
}

/* "a/b/my-box.yaml" → "my-box": for a recipe that does not name itself. */
static const char *name_from_file(const char *file, struct arena *arena) {
	const char *start = strrchr(file, '/');
	if (str_eq(file, "<stdin>")) return "stdin";
	char *name = arena_strdup(arena, start ? start + 1 : file);
	char *dot = strrchr(name, '.');
	if (dot && dot > name) *dot = '\0';
	for (char *p = name; *p; p++) {
		char one[2] = {*p, '\0'};
		if (!is_recipe_name(one)) *p = '-';
	}
	name += strspn(name, "-");
	if (strlen(name) > NAME_MAX_CHARS) name[NAME_MAX_CHARS] = '\0';
	return *name ? name : "recipe";
}

/* An include that is open already: "a.yaml → b.yaml → a.yaml". */
static void include_circle(struct recipe_load *load, const struct yml_node *at, const char *key) {
	AUTO_STRS struct strs way = {0};
	const char *first = NULL;
	for (size_t i = 0; i < load->open_keys.count; i++) {
		if (!first && str_eq(load->open_keys.items[i], key)) first = load->open_files.items[i];
		if (first) strs_add(&way, load->open_files.items[i]);
	}
	strs_add(&way, first);
	diag_add(load->diags, at, "includes form a circle: %s", strs_join(&way, " → ", load->arena));
}

static void load_include(struct recipe_load *load, const struct recipe_doc *from, const struct yml_node *at) {
	struct recipe_docs docs;
	if (load->open_keys.count > RECIPE_INCLUDE_DEPTH_MAX) {
		diag_add(load->diags, at, "includes are nested more than %d deep", RECIPE_INCLUDE_DEPTH_MAX);
		return;
	}
	if (!recipe_read(load, at->text, from, at, &docs)) return;
	for (size_t i = 0; i < docs.count; i++) {
		const struct recipe_doc *doc = &docs.items[i];
		if (strs_has(&load->open_keys, doc->key)) {
			include_circle(load, at, doc->key);
		} else if (!strs_has(&load->seen, doc->key)) {
			load_doc(load, doc, true);
		}
	}
}

static void load_includes(struct recipe_load *load, const struct recipe_doc *doc, const struct yml_node *include) {
	if (include->kind == YML_SCALAR) {
		load_include(load, doc, include);
		return;
	}
	for (size_t i = 0; i < include->count; i++) load_include(load, doc, include->items[i]);
}

static void load_steps(struct recipe_load *load, const struct yml_node *steps) {
	if (yml_is_null(steps) || (steps->kind == YML_SEQ && steps->count == 0)) {
		diag_add(load->diags, steps, "'steps' is empty: there is nothing to do");
		return;
	}
	if (steps->kind != YML_SEQ) {
		diag_add(load->diags, steps, "'steps' must be a list (each step begins with '- '), found %s",
			 yml_kind_name(steps));
		return;
	}
	for (size_t i = 0; i < steps->count; i++) {
		struct recipe_step step;
		if (load->steps.count == RECIPE_STEPS_MAX) {
			diag_add(load->diags, steps->items[i], "more than %d steps", RECIPE_STEPS_MAX);
			return;
		}
		if (!recipe_bind_step(load->source->types, steps->items[i], SCHEMA_REFS_OPEN, load->arena, load->diags,
				      &step, NULL)) {
			/* Kept without a type, so that what needs it is not called wrong as well. */
			step = (struct recipe_step){.node = steps->items[i]};
		}
		vec_push(&load->steps, step);
	}
}

static void load_keys(struct recipe_load *load, const struct recipe_doc *doc, const struct yml_node *root,
		      bool is_included) {
	const char *const others[] = {"vars", "steps"};
	struct strs other_keys = {(const char **)others, 2, 2};
	struct top top;
	bool is_ok = schema_bind_among(&recipe_top_shape, root, &other_keys, SCHEMA_REFS_EXPANDED, &top, load->arena,
				       load->diags);
	const struct yml_node *include = yml_get(root, "include"), *vars = yml_get(root, "vars");
	const struct yml_node *steps = yml_get(root, "steps");
	if (is_ok && top.recipe && !is_recipe_name(top.recipe)) {
		diag_add(load->diags, yml_get(root, "recipe"),
			 "'recipe' is a short name of letters, digits, '.', '_' and '-', found '%.80s'; 'description' "
			 "takes any text",
			 top.recipe);
	}
	if (!is_included) {
		const char *name = is_ok ? top.recipe : NULL;
		strs_add(&load->names, name ? name : name_from_file(doc->file, load->arena));
		if (is_ok && top.description && !load->description) load->description = top.description;
	}
	if (include && is_ok) load_includes(load, doc, include);
	if (is_ok && top.report.bundle) load->bundle = yml_get(yml_get(root, "report"), "bundle");
	if (vars) recipe_add_vars(load, vars);
	if (steps) load_steps(load, steps);
	if (!steps && !include && !is_included && is_ok) {
		diag_add(load->diags, root, "missing key 'steps': the list of what is to be done");
	}
}

static void load_doc(struct recipe_load *load, const struct recipe_doc *doc, bool is_included) {
	digest_add(load->digest, doc->data, doc->len);
	strs_add(&load->seen, doc->key);
	vec_push(&load->texts, ((struct recipe_text){doc->file, doc->data, doc->len}));
	if (!load->first_file) load->first_file = doc->file;
	const struct yml_node *root = yml_parse(doc->file, doc->data, doc->len, load->arena, load->diags);
	if (!root) return;
	if (root->kind != YML_MAP) {
		diag_add(load->diags, root, "a recipe is a map with the key 'steps', found %s%s", yml_kind_name(root),
			 root->kind == YML_SEQ ? "; put 'steps:' above it" : "");
		return;
	}
	strs_add(&load->open_keys, doc->key);
	strs_add(&load->open_files, doc->file);
	load_keys(load, doc, root, is_included);
	load->open_keys.count--;
	load->open_files.count--;
}

static void load_named(struct recipe_load *load, const struct strs *names) {
	struct recipe_docs docs;
	if (!names || names->count == 0) {
		if (!recipe_read_default(load, &docs)) return;
		for (size_t i = 0; i < docs.count; i++) load_doc(load, &docs.items[i], false);
		return;
	}
	for (size_t n = 0; n < names->count; n++) {
		if (!recipe_read(load, names->items[n], NULL, NULL, &docs)) continue;
		for (size_t i = 0; i < docs.count; i++) {
			if (!strs_has(&load->seen, docs.items[i].key)) load_doc(load, &docs.items[i], false);
		}
	}
}

static size_t problems(const struct diags *d) { return d->count + d->dropped; }

static const struct recipe *finish(struct recipe_load *load) {
	struct recipe *recipe = arena_alloc(load->arena, sizeof *recipe);
	unsigned char sum[SHA256_SIZE];
	recipe->name = strs_join(&load->names, "+", load->arena);
	recipe->description = load->description;
	recipe->bundle = load->bundle;
	recipe->hash = digest_hex((digest_end(load->digest, sum), sum), SHA256_SIZE,
				  arena_alloc(load->arena, SHA256_HEX_SIZE));
	load->digest = NULL;
	recipe->var_count = load->vars.count;
	recipe->vars = arena_alloc(load->arena, load->vars.count * sizeof *recipe->vars);
	if (load->vars.count) memcpy(recipe->vars, load->vars.items, load->vars.count * sizeof *recipe->vars);
	recipe->text_count = load->texts.count;
	recipe->texts = arena_alloc(load->arena, (load->texts.count + 1) * sizeof *recipe->texts);
	if (load->texts.count) memcpy(recipe->texts, load->texts.items, load->texts.count * sizeof *recipe->texts);
	recipe->count = load->steps.count;
	recipe->steps = arena_alloc(load->arena, load->steps.count * sizeof *recipe->steps);
	if (load->steps.count) memcpy(recipe->steps, load->steps.items, load->steps.count * sizeof *recipe->steps);
	return recipe;
}

const struct recipe *recipe_load(const struct recipe_source *source, const struct strs *names, struct arena *arena,
				 struct diags *diags) {
	struct recipe_load load = {.source = source, .arena = arena, .diags = diags, .digest = digest_new()};
	size_t before = problems(diags);
	load_named(&load, names);
	/* A document that does not parse leaves nothing sensible to say about names. */
	if (problems(diags) == before || load.steps.count || load.vars.count) {
		recipe_set_vars(&load);
		recipe_check_ids(&load);
		recipe_check_needs(&load);
		recipe_check_refs(&load);
	}
	if (problems(diags) == before && load.steps.count == 0) {
		diag_add_at(diags, load.first_file, 0, 0,
			    "neither it nor what it includes has steps: there is nothing to do");
	}
	const struct recipe *recipe = problems(diags) == before ? finish(&load) : NULL;
	diags_sort(diags);
	digest_free(load.digest);
	vec_clear(&load.vars);
	vec_clear(&load.steps);
	vec_clear(&load.texts);
	strs_clear(&load.names);
	strs_clear(&load.seen);
	strs_clear(&load.open_keys);
	strs_clear(&load.open_files);
	return recipe;
}
