#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "engine/manifest.h"
#include "engine/run.h"
#include "engine/state.h"
#include "engine/worker.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/plan.h"
#include "report/show.h"

/* Saved facts are some KB, a plan with many diffs some MB; state.json has a few hundred bytes a step. */
#define FACTS_FILE_MAX (256 * 1024)
#define PLAN_TEXT_MAX (16 * 1024 * 1024)
#define STATE_FILE_MAX (4 * 1024 * 1024)
/* A probe asks the machine and does no work: a minute is long. */
#define PROBE_TIMEOUT_MS (120 * 1000)

struct options {
	struct strs vars, only;
	const char *from, *facts, *locked;
	bool has_detailed_exitcode;
};

static const struct opt opts[] = {
	{"var", 0, "K=V", "the value of a recipe's variable; may be given several times", OPT_TEXTS,
	 offsetof(struct options, vars), 0, 0},
	{"only", 0, "ID", "this step alone; may be given several times", OPT_TEXTS, offsetof(struct options, only), 0,
	 0},
	{"from", 0, "ID", "leave out the steps before this one", OPT_TEXT, offsetof(struct options, from), 0, 0},
	{"facts", 0, "FILE", "plan for the machine of `dsagent facts --save FILE`, without probing this one", OPT_TEXT,
	 offsetof(struct options, facts), 0, 0},
	{"locked", 0, "FILE", "the versions of a manifest.json and no others", OPT_TEXT,
	 offsetof(struct options, locked), 0, 0},
	{"detailed-exitcode", 0, NULL, "end with 5 instead of 0 when there is something to do", OPT_FLAG,
	 offsetof(struct options, has_detailed_exitcode), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "plan",
	.arguments = "[RECIPE...]",
	.description = "Shows step by step what apply would change, with diffs. Touches nothing.",
	.opts = opts,
	.example = "dsagent plan daily-driver --var venv=/opt/py",
	.max_args = 100,
	.has_json = true,
};

enum outcome { IN_PLACE, TO_CHANGE, UNKNOWN, SKIPPED, UNPROBED };

static const char *const outcome_names[] = {"ok", "change", "unknown", "skip", "ensure"};

struct finding {
	enum outcome outcome;
	struct changes changes;
	const char *reason; /* of SKIPPED and UNKNOWN */
};

struct planning {
	struct context *ctx;
	const struct plan *plan;
	const struct facts *facts;
	const struct fs_root *root;
	struct fetch *fetch;
	struct state *state;   /* NULL: nothing is remembered */
	const char *state_dir; /* NULL: nowhere */
	struct js *lock;
	const char *const *env;
	bool is_probing;
	struct finding *findings;
};

static int read_facts(const char *path, struct facts *ret_facts, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(FACTS_FILE_MAX);
	AUTO_JS struct js *js = NULL;
	FILE *f = fopen(path, "re");
	if (!f) return err_set(err, ERR_NOT_FOUND, "cannot open the facts %s: %m", path);
	char piece[4096];
	for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) buf_add(&text, piece, n);
	(void)fclose(f); /* only read from */
	int rc = buf_check(&text, path, err);
	if (!rc) rc = js_parse(buf_str(&text), text.len, &js, err);
	if (!rc) rc = facts_from_js(js, ret_facts, err);
	return rc ? err_wrap(err, "facts file %s", path) : 0;
}

/*
 * What earlier runs remember, read only: state_open would put a damaged file aside, and plan writes nothing. A file
 * that cannot be read or parsed (as a plain user, for one) is no memory at all.
 */
static void open_state(struct planning *p) {
	struct err err = {0};
	struct context_paths paths;
	AUTO_BUF struct buf text = BUF_INIT(STATE_FILE_MAX);
	AUTO_JS struct js *js = NULL;
	if (context_paths(p->ctx, &paths, &err)) return;
	p->state_dir = paths.state_dir;
	const char *path = arena_printf(&p->ctx->arena, "%s/state.json", paths.state_dir);
	if (fs_read(p->root, path, &text, &err) || js_parse(buf_str(&text), text.len, &js, &err)) return;
	struct state_machine machine = {p->facts->instance.instance_id, p->facts->os.boot_id};
	bool was_damaged = false;
	if (state_open(p->root, paths.state_dir, &machine, &p->state, &was_damaged, &err)) p->state = NULL;
}

/* Where a terminal or a file may keep it, no secret is shown. */
static const char *redacted(const char *text, struct arena *arena) {
	AUTO_BUF struct buf out = BUF_INIT(PLAN_TEXT_MAX);
	if (!text) return NULL;
	log_redact(text, &out);
	return arena_strdup(arena, buf_str(&out));
}

static void probe_step(struct planning *p, size_t i) {
	const struct plan_step *step = &p->plan->steps[i];
	struct finding *found = &p->findings[i];
	if (step->skip_reason) {
		*found = (struct finding){.outcome = SKIPPED, .reason = step->skip_reason};
		return;
	}
	if (!p->is_probing) {
		found->outcome = UNPROBED;
		return;
	}
	struct worker_task task = {
		.step = step,
		.facts = p->facts,
		.root = p->root,
		.fetch = p->fetch,
		.env = p->env,
		.state_dir = p->state_dir,
		.lock = p->lock,
		.is_done = p->state && state_is_done(p->state, p->plan->recipe_name, step),
		.timeout_ms = PROBE_TIMEOUT_MS,
	};
	struct err err = {0};
	if (worker_probe(&task, &found->changes, &p->ctx->arena, &err)) {
		found->outcome = UNKNOWN;
		found->reason = redacted(err.msg, &p->ctx->arena);
	} else
		found->outcome = found->changes.count ? TO_CHANGE : IN_PLACE;
	for (size_t k = 0; k < found->changes.count; k++) {
		struct change *change = &found->changes.items[k];
		change->what = redacted(change->what, &p->ctx->arena);
		change->diff = redacted(change->diff, &p->ctx->arena);
	}
}

static void print_diff(const char *diff, struct arena *arena, struct buf *out) {
	while (*diff) {
		size_t n = strcspn(diff, "\n");
		buf_adds(out, "        ");
		show_clean(arena_dup(arena, diff, n), out);
		buf_addc(out, '\n');
		diff += n + (diff[n] == '\n');
	}
}

static void print_change(const struct change *change, struct arena *arena, struct buf *out) {
	buf_adds(out, "      ");
	show_clean(change->what, out);
	buf_addc(out, '\n');
	if (change->diff) print_diff(change->diff, arena, out);
}

static void print_step(const struct plan_step *step, const struct finding *found, struct arena *arena,
		       struct buf *out) {
	static const char marks[] = {' ', '~', '?', '-', '+'};
	buf_addf(out, "%c %2zu  %s (%s)", marks[found->outcome], step->index + 1, step->common.name, step->type->name);
	switch (found->outcome) {
	case IN_PLACE: buf_adds(out, ": in place\n"); break;
	case SKIPPED: buf_addf(out, ": skipped: %s\n", found->reason); break;
	case UNKNOWN:
		buf_adds(out, ": cannot be told before the run: ");
		show_clean(found->reason, out);
		buf_addc(out, '\n');
		break;
	case UNPROBED: buf_adds(out, ": would be ensured\n"); break;
	case TO_CHANGE:
		buf_addc(out, '\n');
		for (size_t i = 0; i < found->changes.count; i++) print_change(&found->changes.items[i], arena, out);
		break;
	}
}

static void count_outcomes(const struct planning *p, size_t counts[5]) {
	for (size_t i = 0; i < p->plan->count; i++) counts[p->findings[i].outcome]++;
}

static void print_summary(const size_t counts[5], struct buf *out) {
	const char *sep = "";
	static const struct {
		enum outcome outcome;
		const char *text;
	} parts[] = {{TO_CHANGE, "to change"},
		     {UNPROBED, "would be ensured"},
		     {UNKNOWN, "cannot be told before the run"},
		     {IN_PLACE, "in place"},
		     {SKIPPED, "skipped"}};
	if (!counts[TO_CHANGE] && !counts[UNKNOWN] && !counts[UNPROBED]) {
		buf_addf(out, "\nnothing to do: %zu in place", counts[IN_PLACE]);
		if (counts[SKIPPED]) buf_addf(out, ", %zu skipped", counts[SKIPPED]);
		buf_addc(out, '\n');
		return;
	}
	buf_adds(out, "\nplan: ");
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (!counts[parts[i].outcome]) continue;
		buf_addf(out, "%s%zu %s", sep, counts[parts[i].outcome], parts[i].text);
		sep = ", ";
	}
	buf_addc(out, '\n');
}

static struct js *step_json(const struct plan_step *step, const struct finding *found) {
	struct js *js = js_object(), *changes = js_array();
	js_set_int(js, "index", (int64_t)step->index + 1);
	js_set_str(js, "id", step->common.id);
	js_set_str(js, "name", step->common.name);
	js_set_str(js, "type", step->type->name);
	js_set_str(js, "outcome", outcome_names[found->outcome]);
	js_set_str(js, "reason", found->reason);
	for (size_t i = 0; i < found->changes.count; i++) {
		struct js *change = js_object();
		js_set_str(change, "what", found->changes.items[i].what);
		js_set_str(change, "diff", found->changes.items[i].diff);
		js_push(changes, change);
	}
	js_set(js, "changes", changes);
	return js;
}

static int print_json(const struct planning *p, const size_t counts[5]) {
	AUTO_JS struct js *js = js_object();
	struct js *steps = js_array();
	js_set_str(js, "recipe", p->plan->recipe_name);
	js_set_str(js, "hash", p->plan->hash);
	js_set_bool(js, "has_changes", counts[TO_CHANGE] || counts[UNKNOWN] || counts[UNPROBED]);
	for (size_t i = 0; i < p->plan->count; i++) js_push(steps, step_json(&p->plan->steps[i], &p->findings[i]));
	js_set(js, "steps", steps);
	return cli_print_json(js);
}

static int print_plan(const struct planning *p, const size_t counts[5]) {
	AUTO_BUF struct buf out = BUF_INIT(PLAN_TEXT_MAX);
	buf_addf(&out, "%s@%.8s: %zu step%s\n\n", p->plan->recipe_name, p->plan->hash, p->plan->count,
		 p->plan->count == 1 ? "" : "s");
	for (size_t i = 0; i < p->plan->count; i++)
		print_step(&p->plan->steps[i], &p->findings[i], &p->ctx->arena, &out);
	print_summary(counts, &out);
	return cli_print(&out);
}

/* 0, or the exit code after saying why. */
static int make_plan(struct planning *p, const struct options *o, const struct strs *names, struct facts *saved) {
	struct err err = {0};
	struct context *ctx = p->ctx;
	AUTO_DIAGS struct diags diags = {.arena = &ctx->arena};
	const struct recipe *recipe = context_recipe(ctx, names, &o->vars, false, &diags);
	if (!recipe) return cli_diags(&diags);
	if (o->facts) {
		if (read_facts(o->facts, saved, &err)) return cli_fail(EXIT_USAGE, &err);
		p->facts = saved;
	} else if (context_facts(ctx, &p->facts, &err))
		return cli_fail(EXIT_NO_START, &err);
	if (context_root(ctx, &p->root, &err)) return cli_fail(EXIT_NO_START, &err);
	if (o->locked && manifest_read_lock(o->locked, p->facts, &p->lock, &err)) return cli_fail(EXIT_USAGE, &err);
	struct plan_options how = {.facts = p->facts, .env = ctx->env, .only = o->only, .from = o->from};
	p->plan = plan_build(recipe, &how, &ctx->arena, &diags);
	if (!p->plan) return cli_diags(&diags);
	p->is_probing = !o->facts;
	p->findings = arena_alloc(&ctx->arena, (p->plan->count + 1) * sizeof *p->findings);
	if (!p->is_probing) return EXIT_OK_;
	if (context_fetch(ctx, &p->fetch, &err)) return cli_fail(EXIT_NO_START, &err);
	p->env = run_environment(p->facts, ctx->env, &ctx->arena);
	open_state(p);
	return EXIT_OK_;
}

int cmd_plan(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	struct planning p = {.ctx = ctx};
	struct facts saved;
	size_t counts[5] = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code == OPT_GO) {
		code = make_plan(&p, &o, &args, &saved);
		if (code == EXIT_OK_ && p.plan) {
			for (size_t i = 0; i < p.plan->count; i++) probe_step(&p, i);
			count_outcomes(&p, counts);
			code = ctx->is_json ? print_json(&p, counts) : print_plan(&p, counts);
		}
		bool is_pending = counts[TO_CHANGE] || counts[UNKNOWN] || counts[UNPROBED];
		if (code == EXIT_OK_ && o.has_detailed_exitcode && is_pending) code = EXIT_CHANGES;
	}
	state_free(p.state);
	js_free(p.lock);
	strs_clear(&o.vars);
	strs_clear(&o.only);
	return code;
}
