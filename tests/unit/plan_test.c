#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

#define TEXT_MAX (64 * 1024)

struct tell {
	const char *text, *place;
	int64_t number;
	struct strs words;
};

static const struct field tell_fields[] = {
	{.name = "text", .kind = FIELD_TEXT, .offset = offsetof(struct tell, text), .help = "what"},
	{.name = "place", .kind = FIELD_TEXT, .offset = offsetof(struct tell, place), .help = "where"},
	{.name = "number", .kind = FIELD_INT, .offset = offsetof(struct tell, number), .help = "how often"},
	{.name = "words", .kind = FIELD_TEXTS, .offset = offsetof(struct tell, words), .help = "which"},
	{0},
};

static void check_tell(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct tell *p = params;
	if (p->place && p->place[0] != '/') diag_add(diags, node, "place '%s' is not absolute", p->place);
}

static void tell_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *ret_names) {
	const struct tell *p = params;
	if (p->place) strs_add(ret_names, arena_printf(arena, "path:%s", p->place));
}

static const struct step_type type_tell = {
	.name = "tell",
	.summary = "a text",
	.example = "- tell: hi\n",
	.shape = {.fields = tell_fields, .size = sizeof(struct tell), .scalar_field = "text", .list_field = "words"},
	.timeout_ms = 1000,
	.check = check_tell,
	.resources = tell_resources};
static const struct step_type *const types[] = {&type_tell, NULL};

struct world {
	char path[40];
	struct arena arena;
	struct diags diags;
	struct strs names, vars;
	struct facts facts;
	struct plan_options options;
	struct buf text;
};

static const char *const environment[] = {"HOME=/home/ada", "AWS_REGION=eu-central-1", "SECRET=x", NULL};

static int set_up(void **state) {
	struct world *w = mem_zalloc(sizeof *w);
	(void)snprintf(w->path, sizeof w->path, "/tmp/plan.XXXXXX");
	int fd = mkstemp(w->path);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(w->facts.os.id, sizeof w->facts.os.id, "ubuntu");
	(void)snprintf(w->facts.user, sizeof w->facts.user, "ada");
	w->facts.os.cpus = 4;
	w->diags.arena = &w->arena;
	w->options = (struct plan_options){.facts = &w->facts, .env = environment};
	w->text = BUF_INIT(TEXT_MAX);
	*state = w;
	return 0;
}

static int tear_down(void **state) {
	struct world *w = *state;
	(void)unlink(w->path);
	strs_clear(&w->names);
	strs_clear(&w->vars);
	strs_clear(&w->options.only);
	diags_clear(&w->diags);
	buf_clear(&w->text);
	arena_clear(&w->arena);
	free(w);
	return 0;
}

static const struct plan *build(struct world *w, const char *yaml) {
	FILE *f = fopen(w->path, "we");
	assert_non_null(f);
	assert_true(fputs(yaml, f) >= 0);
	assert_int_equal(fclose(f), 0);
	struct recipe_source source = {.types = types, .vars = &w->vars};
	diags_clear(&w->diags);
	w->diags.arena = &w->arena;
	buf_reset(&w->text);
	w->names.count = 0;
	strs_add(&w->names, w->path);
	const struct recipe *recipe = recipe_load(&source, &w->names, &w->arena, &w->diags);
	const struct plan *plan = recipe ? plan_build(recipe, &w->options, &w->arena, &w->diags) : NULL;
	for (size_t i = 0; i < w->diags.count; i++) {
		const struct diag *d = &w->diags.items[i];
		buf_addf(&w->text, "%u:%u: %s\n", d->line, d->col, d->message);
	}
	return plan;
}

/* "a; b<a; c!reason": the steps, what each waits for, why it is left out. */
static const char *order(struct world *w, const struct plan *plan) {
	AUTO_BUF struct buf b = BUF_INIT(TEXT_MAX);
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_step *s = &plan->steps[i];
		buf_addf(&b, "%s%s", i ? "; " : "", s->common.id);
		for (size_t k = 0; k < s->needs_count; k++) {
			buf_addf(&b, "%c%s", k ? ',' : '<', plan->steps[s->needs[k]].common.id);
		}
		if (s->skip_reason) buf_addf(&b, "!%s", s->skip_reason);
	}
	return arena_strdup(&w->arena, buf_str(&b));
}

#define A "steps:\n- {id: a, tell: x}\n"
static const struct {
	const char *yaml, *only, *from, *expected;
} orders[] = {
	{A "- {id: b, tell: x}\n- {id: c, tell: x}\n", NULL, NULL, "a; b<a; c<b"},
	{A "- {id: b, needs: [], tell: x}\n- {id: c, tell: x}\n", NULL, NULL, "a; b; c<b"},
	{A "- {id: b, background: yes, tell: x}\n- {id: c, tell: x}\n", NULL, NULL, "a; b<a; c<a"},
	{"steps:\n- {id: a, background: yes, tell: x}\n- {id: b, tell: x}\n", NULL, NULL, "a; b"},
	{A "- {id: b, background: yes, tell: x}\n- {id: c, needs: [b, a], tell: x}\n", NULL, NULL, "a; b<a; c<b,a"},
	{A "- {id: b, background: \"${vars.y}\", tell: x}\n- {id: c, tell: x}\nvars: {y: yes}\n", NULL, NULL,
	 "a; b<a; c<a"},
	{A "- {id: b, when: facts.os == 'amzn', tell: x}\n- {id: c, tell: x}\n", NULL, NULL,
	 "a; b<a!when: facts.os == 'amzn'; c<a"},
	{A "- {id: b, when: facts.cpus > 3 && env.AWS_REGION != '', tell: x}\n", NULL, NULL, "a; b<a"},
	{A "- {id: b, needs: [], when: 'false', tell: x}\n- {id: c, needs: [b], tell: x}\n", NULL, NULL,
	 "a; b!when: false; c"},
	{A "- {id: b, tell: x}\n- {id: c, tell: x}\n", "c", NULL, "a!left out by --only; b!left out by --only; c"},
	{A "- {id: b, tell: x}\n- {id: c, tell: x}\n", NULL, "b", "a!before --from b; b; c<b"},
};

static void test_order(void **state) {
	struct world *w = *state;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		w->options.only.count = 0;
		if (orders[i].only) strs_add(&w->options.only, orders[i].only);
		w->options.from = orders[i].from;
		const struct plan *plan = build(w, orders[i].yaml);
		assert_string_equal(buf_str(&w->text), "");
		assert_string_equal(order(w, plan), orders[i].expected);
	}
}

static void test_expansion(void **state) {
	struct world *w = *state;
	strs_add(&w->vars, "raw=${vars.n}");
	const struct plan *plan =
		build(w, "recipe: r\nvars: {n: 7, raw: x, empty: '', home: '${env.HOME}/d'}\n"
			 "steps:\n- name: On ${facts.os}\n  run_as: ${env.USER}\n  env: {R: \"${env.AWS_REGION}\"}\n"
			 "  tell: {text: \"${vars.raw} $${x} $HOME\", number: \"${vars.n}\", place: \"${vars.home}\"}\n"
			 "- tell: ${vars.empty}\n- tell: [\"${env.TMPDIR}\", \"[${env.SUDO_USER}]\"]\n");
	assert_string_equal(buf_str(&w->text), "");
	const struct plan_step *s = &plan->steps[0];
	const struct tell *p = s->params;
	assert_string_equal(plan->recipe_name, "r");
	assert_string_equal(s->common.name, "On ubuntu");
	assert_string_equal(s->common.id, "on-facts-os");
	assert_string_equal(s->common.run_as, "ada");
	assert_string_equal(s->common.env.values[0], "eu-central-1");
	assert_string_equal(p->text, "${vars.n} ${x} $HOME");
	assert_int_equal(p->number, 7);
	assert_string_equal(p->place, "/home/ada/d");
	assert_int_equal(s->resources.count, 1);
	assert_string_equal(s->resources.items[0], "path:/home/ada/d");
	p = plan->steps[1].params;
	assert_string_equal(p->text, "");
	assert_string_equal(plan->steps[1].common.name, "tell");
	p = plan->steps[2].params;
	assert_string_equal(p->words.items[0], "/tmp");
	assert_string_equal(p->words.items[1], "[]");
}

static const struct {
	const char *yaml, *expected;
} wrong[] = {
	{"vars: {n: many}\nsteps:\n- tell: {number: \"${vars.n}\"}\n",
	 "3:18: 'number' must be a whole number, found 'many'\n"},
	{"vars: {p: here}\nsteps:\n- tell: {place: \"${vars.p}\"}\n", "3:9: place 'here' is not absolute\n"},
	{"vars: {t: soon}\nsteps:\n- tell: x\n  timeout: ${vars.t}\n",
	 "4:12: 'timeout' must be a duration such as 90s, 10m or 1h30m, at most 366d, found 'soon'\n"},
};

static void test_errors(void **state) {
	struct world *w = *state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_null(build(w, wrong[i].yaml));
		assert_string_equal(buf_str(&w->text), wrong[i].expected);
	}
	/* Left out: what it refers to may be nothing, and that is why. */
	assert_non_null(build(w, "vars: {p: ''}\nsteps:\n- {when: vars.p != '', tell: {place: \"${vars.p}\"}}\n"));
	strs_add(&w->options.only, "tel");
	assert_null(build(w, "steps:\n- tell: x\n"));
	assert_string_equal(buf_str(&w->text), "0:0: no step has the id 'tel'; did you mean 'tell'?\n");
}

static const struct {
	const char *yaml;
	bool is_same; /* as the first */
} hashes[] = {
	{"steps:\n- tell: {text: a, number: 1}\n", true},
	{"steps:\n- tell: {number: 1, text: a}\n", true},
	{"steps:\n- {name: N, id: i, needs: [], timeout: 3s, retries: 2, optional: yes, tell: {number: 1, text: a}}\n",
	 true},
	{"vars: {t: a}\nsteps:\n- tell: {text: \"${vars.t}\", number: 1}\n", true},
	{"steps:\n- tell: {text: b, number: 1}\n", false},
	{"steps:\n- tell: {text: a, number: 1}\n  run_as: ada\n", false},
	{"steps:\n- tell: {text: a, number: 1}\n  env: {A: b}\n", false},
	{"steps:\n- tell: {text: a, number: 1}\n  creates: /x\n", false},
	{"steps:\n- tell: {text: a, number: 1}\n  unless: /x\n", false},
};

static void test_hashes(void **state) {
	struct world *w = *state;
	const char *first = NULL;
	AUTO_STRS struct strs others = {0};
	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		const struct plan *plan = build(w, hashes[i].yaml);
		assert_string_equal(buf_str(&w->text), "");
		const char *hash = plan->steps[0].hash;
		assert_int_equal(strlen(hash), 64);
		if (!first) first = hash;
		assert_int_equal(str_eq(hash, first), hashes[i].is_same);
		if (hashes[i].is_same) continue;
		assert_false(strs_has(&others, hash));
		strs_add(&others, hash);
	}
}

int main(void) {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_order),
		CASE(test_expansion),
		CASE(test_errors),
		CASE(test_hashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
