#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/plan.h"
#include "recipe/recipe.h"
#include "steps/steps.h"

#define TEXT_MAX (256 * 1024)
#define JUNK_SIZE (10 * 1024 * 1024)

struct tell {
	const char *text;
};

static const struct field tell_fields[] = {
	{.name = "text",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct tell, text),
	 .help = "what",
	 .is_required = true},
	{0},
};
#define TELL_SHAPE                                                                                                     \
	{ .fields = tell_fields, .size = sizeof(struct tell), .scalar_field = "text" }
static const struct step_type type_tell = {
	.name = "tell", .summary = "a text", .example = "- tell: hi\n", .shape = TELL_SHAPE, .timeout_ms = 1000};
static const struct step_type type_user = {
	.name = "user", .summary = "an account", .example = "- user: ada\n", .shape = TELL_SHAPE};
static const struct step_type *const types[] = {&type_tell, &type_user, NULL};

struct world {
	char dir[32];
	struct fs_root root;
	struct arena arena;
	struct diags diags;
	struct strs names, vars;
	struct recipe_source source;
	struct buf text;
};

static int set_up(void **state) {
	struct world *w = mem_zalloc(sizeof *w);
	struct err err;
	(void)snprintf(w->dir, sizeof w->dir, "/tmp/recipe.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(fs_root_open(w->dir, &w->root, &err), 0);
	w->diags.arena = &w->arena;
	w->text = BUF_INIT(TEXT_MAX);
	w->source = (struct recipe_source){.types = types, .root = &w->root, .vars = &w->vars};
	*state = w;
	return 0;
}

static int tear_down(void **state) {
	struct world *w = *state;
	struct fs_root host;
	struct err err;
	assert_int_equal(fs_root_open(NULL, &host, &err), 0);
	assert_int_equal(fs_remove(&host, w->dir, true, &err), 0);
	fs_root_clear(&host);
	fs_root_clear(&w->root);
	diags_clear(&w->diags);
	strs_clear(&w->names);
	strs_clear(&w->vars);
	buf_clear(&w->text);
	arena_clear(&w->arena);
	log_secrets_clear();
	free(w);
	return 0;
}

static const char *put(struct world *w, const char *name, const char *text) {
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	struct err err;
	const char *path = arena_printf(&w->arena, "/%s", name);
	assert_int_equal(fs_write(&w->root, path, text, strlen(text), &how, &err), 0);
	return arena_printf(&w->arena, "%s/%s", w->dir, name);
}

static const struct recipe *load(struct world *w) {
	const struct recipe *recipe = recipe_load(&w->source, &w->names, &w->arena, &w->diags);
	diags_print(&w->diags, &w->text);
	return recipe;
}

/* What was said, with the test's own folder left out. */
static const char *said(struct world *w) {
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	size_t n = strlen(w->dir);
	for (const char *p = buf_str(&w->text); *p;) {
		if (strncmp(p, w->dir, n) == 0) {
			p += n;
		} else {
			buf_addc(&out, *p++);
		}
	}
	return arena_strdup(&w->arena, buf_str(&out));
}

static const char *ids(struct world *w, const struct recipe *recipe) {
	AUTO_STRS struct strs list = {0};
	for (size_t i = 0; i < recipe->count; i++) strs_add(&list, recipe->steps[i].common.id);
	return strs_join(&list, " ", &w->arena);
}

static void test_merging(void **state) {
	struct world *w = *state;
	char hex[SHA256_HEX_SIZE];
	static const char base[] = "vars: {a: 1, b: 1, c: 1, d: {help: dee, default: 1}}\nsteps: [tell: base]\n";
	static const char more[] = "include: base.yaml\nvars: {b: 2, c: 2, d: 2}\nsteps: [tell: more]\n";
	static const char top[] =
		"recipe: top\ninclude: [more.yaml, base.yaml]\nvars: {c: 3, d: 3}\nsteps: [tell: top]\n";
	put(w, "base.yaml", base);
	put(w, "more.yaml", more);
	strs_add(&w->names, put(w, "top.yaml", top));
	strs_add(&w->names, put(w, "second.yaml", "steps: [{name: Ünder Way!, tell: x}, {name: ü, tell: y}]\n"));
	strs_add(&w->vars, "d=4=4");
	const struct recipe *recipe = load(w);
	assert_string_equal(said(w), "");
	assert_non_null(recipe);
	assert_string_equal(recipe->name, "top+second");
	assert_string_equal(ids(w, recipe), "tell tell-2 tell-3 nder-way tell-4");
	static const char *const values[] = {"1", "2", "3", "4=4"};
	assert_int_equal(recipe->var_count, 4);
	for (size_t i = 0; i < 4; i++) assert_string_equal(recipe->vars[i].value, values[i]);
	assert_string_equal(recipe->vars[3].help, "dee");
	assert_true(recipe->vars[3].is_literal);
	const char *all = arena_printf(&w->arena, "%s%s%s%s", top, more, base,
				       "steps: [{name: Ünder Way!, tell: x}, {name: ü, tell: y}]\n");
	assert_string_equal(recipe->hash, digest_sha256_hex(all, strlen(all), hex));
	assert_int_equal(recipe->steps[0].common.timeout_ms, 1000);
}

static void test_recipes_d(void **state) {
	struct world *w = *state;
	struct err err;
	assert_null(load(w));
	assert_string_equal(said(w), "/etc/dsagent/recipes.d/: no recipe (*.yaml) in it and none was named; try "
				     "`dsagent apply quickstart`\n");
	assert_int_equal(fs_mkdirs(&w->root, "/etc/dsagent/recipes.d", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	put(w, "etc/dsagent/recipes.d/20-b.yaml", "include: ./lib.inc\nsteps: [tell: b]\n");
	put(w, "etc/dsagent/recipes.d/10-a.yml", "recipe: first\nsteps: [tell: a]\n");
	put(w, "etc/dsagent/recipes.d/lib.inc", "steps: [{id: lib, tell: l}]\n");
	put(w, "etc/dsagent/recipes.d/README", "not a recipe: [\n");
	diags_clear(&w->diags);
	w->diags.arena = &w->arena;
	buf_reset(&w->text);
	const struct recipe *recipe = load(w);
	assert_string_equal(said(w), "");
	assert_string_equal(recipe->name, "first+20-b");
	assert_string_equal(ids(w, recipe), "tell lib tell-2");
}

static void test_required_and_secret(void **state) {
	struct world *w = *state;
	strs_add(&w->names, put(w, "r.yaml",
				"vars:\n  token: {help: from the web page, sensitive: yes}\n  bucket:\n"
				"steps:\n  - tell: ${vars.token} ${vars.bucket}\n"));
	assert_null(load(w));
	assert_string_equal(said(w),
			    "/r.yaml:2:3: variable 'token' has no value: give it by --var token=… (from the web "
			    "page)\n/r.yaml:3:3: variable 'bucket' has no value: give it by --var bucket=…\n");
	diags_clear(&w->diags);
	w->diags.arena = &w->arena;
	buf_reset(&w->text);
	strs_add(&w->vars, "token=s3cr3t-token");
	strs_add(&w->vars, "bucket=");
	assert_non_null(load(w));
	log_redact("token s3cr3t-token", &w->text);
	assert_string_equal(said(w), "token ***");
}

static void test_two_types(void **state) {
	struct world *w = *state;
	strs_add(&w->names, put(w, "r.yaml", "steps:\n  - tell: hi\n    user: ada\n"));
	assert_null(load(w));
	assert_string_equal(said(w),
			    "/r.yaml:3:5: a step has one type, found 'tell' and 'user'; 'user' is a step type of "
			    "its own: to run this step as somebody, write 'run_as'\n");
}

static void test_include_depth(void **state) {
	struct world *w = *state;
	for (int i = 0; i < 12; i++) {
		put(w, arena_printf(&w->arena, "r%d.yaml", i),
		    arena_printf(&w->arena, "include: r%d.yaml\nsteps: [tell: x]\n", i + 1));
	}
	strs_add(&w->names, arena_printf(&w->arena, "%s/r0.yaml", w->dir));
	assert_null(load(w));
	assert_string_equal(said(w), "/r8.yaml:1:10: includes are nested more than 8 deep\n");
}

static void test_junk(void **state) {
	struct world *w = *state;
	char *junk = mem_zalloc(JUNK_SIZE + 1);
	static const char letters[] = "abc:- \n{[\"'&*!|>%@`#}],\t";
	uint32_t x = 1;
	for (size_t i = 0; i < JUNK_SIZE; i++) {
		x = x * 1664525u + 1013904223u;
		junk[i] = letters[(x >> 24) % (sizeof letters - 1)];
	}
	strs_add(&w->names, put(w, "junk", junk));
	assert_null(load(w));
	assert_string_equal(said(w), "/junk: larger than 2 MiB; a recipe is a text of a few kilobytes\n");
	for (size_t len = 1; len < JUNK_SIZE / 8; len = len * 3 + 1) {
		junk[len] = '\0';
		diags_clear(&w->diags);
		w->diags.arena = &w->arena;
		put(w, "junk", junk);
		assert_null(load(w));
		assert_true(w->diags.count > 0);
		junk[len] = ' ';
	}
	free(junk);
}

static void test_too_many_steps(void **state) {
	struct world *w = *state;
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	buf_adds(&text, "steps:\n");
	for (int i = 0; i <= RECIPE_STEPS_MAX; i++) buf_adds(&text, "- tell: x\n");
	strs_add(&w->names, put(w, "r.yaml", buf_str(&text)));
	assert_null(load(w));
	assert_string_equal(said(w), "/r.yaml:502:3: more than 500 steps\n");
}

static void test_builtins_are_good(void **state) {
	AUTO_STRS struct strs recipes = {0};
	AUTO_STRS struct strs sets = {0};
	size_t len = 0;
	recipe_builtin_names(&recipes, &sets);
	assert_true(strs_has(&recipes, "quickstart") && strs_has(&recipes, "daily-driver"));
	assert_true(strs_has(&sets, "science") && strs_has(&sets, "jupyter"));
	assert_non_null(recipe_builtin("quickstart", &len));
	assert_int_equal(strlen(recipe_builtin("quickstart", NULL)), len);
	assert_null(recipe_builtin("nope", NULL));
	assert_null(recipe_builtin_set("quickstart", NULL));
}

/* Loads and plans with the real step types; "" or what was said. */
static const char *plan_of(struct world *w, const char *name) {
	struct facts facts = {.has_instance = false};
	struct plan_options options = {.facts = &facts};
	(void)snprintf(facts.home, sizeof facts.home, "/home/ada");
	(void)snprintf(facts.os.login_user, sizeof facts.os.login_user, "ubuntu");
	w->source.types = steps_all;
	diags_clear(&w->diags);
	w->diags.arena = &w->arena;
	buf_reset(&w->text);
	w->names.count = 0;
	strs_add(&w->names, name);
	const struct recipe *recipe = recipe_load(&w->source, &w->names, &w->arena, &w->diags);
	const struct plan *plan = recipe ? plan_build(recipe, &options, &w->arena, &w->diags) : NULL;
	if (!plan) buf_addf(&w->text, "%s has no plan\n", name);
	diags_print(&w->diags, &w->text);
	return said(w);
}

static void test_builtins_and_examples_plan(void **state) {
	struct world *w = *state;
	AUTO_STRS struct strs recipes = {0};
	recipe_builtin_names(&recipes, NULL);
	for (size_t i = 0; i < recipes.count; i++) {
		w->vars.count = 0;
		if (str_eq(recipes.items[i], "postgres-client")) strs_add(&w->vars, "address=db.internal:5432");
		assert_string_equal(plan_of(w, recipes.items[i]), "");
	}
	w->vars.count = 0;
	for (const struct step_type *const *t = steps_all; *t; t++) {
		const char *text = arena_printf(&w->arena, "steps:\n%s", (*t)->example);
		assert_string_equal(plan_of(w, put(w, (*t)->name, text)), "");
	}
}

static void test_explain(void **state) {
	struct world *w = *state;
	AUTO_BUF struct buf markdown = BUF_INIT(TEXT_MAX);
	recipe_explain(&type_tell, &w->text);
	assert_true(str_starts(buf_str(&w->text), "tell: a text\n\n  text  text, required\n        what\n\n"
						  "In short: `tell: text` stands for `tell: {text: text}`.\n\n"
						  "Every step may also have:\n  name         text\n"));
	assert_true(str_ends(buf_str(&w->text), "\nExample:\n  - tell: hi\n"));
	recipe_steps_markdown(types, &markdown);
	assert_true(
		str_ends(buf_str(&markdown),
			 "\n## user\n\nan account\n\n```yaml\n- user: ada\n```\n\nIn short: `user: text` stands for "
			 "`user: {text: text}`.\n\n| key | takes | default | |\n|---|---|---|---|\n"
			 "| `text` | text, required | | what |\n"));
}

static void test_schema(void **state) {
	AUTO_JS struct js *js = recipe_schema_json(types);
	const struct js *step = js_get(js_get(js, "$defs"), "step");
	assert_int_equal(js_count(js_get(js, "properties")), 6);
	assert_int_equal(js_count(js_get(step, "oneOf")), 2);
	assert_int_equal(js_count(js_get(step, "properties")), 18);
	assert_false(js_get_bool(step, "additionalProperties", true));
}

int main(void) {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_merging),
		CASE(test_recipes_d),
		CASE(test_required_and_secret),
		CASE(test_two_types),
		CASE(test_include_depth),
		CASE(test_junk),
		CASE(test_too_many_steps),
		cmocka_unit_test(test_builtins_are_good),
		CASE(test_builtins_and_examples_plan),
		CASE(test_explain),
		cmocka_unit_test(test_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
