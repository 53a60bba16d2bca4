#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "cli/doctor_gpu.h"
#include "cli/opt.h"
#include "engine/run.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

#define TEXT_MAX (256 * 1024)

struct options {
	int64_t timeout_ms, wait_ms;
	const char *torch;
	struct strs vars;
	int64_t began_ms; /* not an option: when it was called */
};

static const struct opt opts[] = {
	{"var", 0, "K=V", "the value of a recipe's variable; may be given several times", OPT_TEXTS,
	 offsetof(struct options, vars), 0, 0},
	{"timeout", 0, "TIME", "gpu: end the GPU gate after this long (default 10m)", OPT_DURATION,
	 offsetof(struct options, timeout_ms), 0, 0},
	{"wait", 0, "TIME", "gpu: wait for the NVIDIA driver to come up (default: not)", OPT_DURATION,
	 offsetof(struct options, wait_ms), 0, 0},
	{"torch", 0, "PYTHON", "gpu: a python or venv whose PyTorch is tried (default: the Deep Learning AMI's)",
	 OPT_TEXT, offsetof(struct options, torch), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "doctor",
	.arguments = "[gpu | RECIPE...]",
	.description =
		"Looks in 5 seconds whether this machine can do what the recipes want, and says what to do where it\n"
		"cannot: metadata, role and permissions, repositories, disk, memory, clock, locks, GPU. Changes "
		"nothing.\n"
		"Without RECIPE: those of /etc/dsagent/recipes.d/, if there are any. `gpu`: the whole GPU gate.\n"
		"Exit code 1 if something fails.",
	.opts = opts,
	.example = "sudo dsagent doctor daily-driver\nsudo dsagent doctor gpu",
	.max_args = 64,
	.has_json = true,
};

static const char *place_of(const struct diag *d, struct arena *arena) {
	return d->line ? arena_printf(arena, "%s:%u:%u", d->file, d->line, d->col) : d->file;
}

static void add_diags(const struct diags *diags, const char *name, const char *remedy, struct rows *rows) {
	for (size_t i = 0; i < diags->count; i++)
		rows_add(rows, name, ROW_FAIL, remedy, "%s: %s", place_of(&diags->items[i], rows->arena),
			 diags->items[i].message);
}

static void check_config(struct context *ctx, const struct fs_root *root, struct config *ret_config,
			 struct rows *rows) {
	AUTO_DIAGS struct diags diags = {.arena = &ctx->arena};
	if (config_read(ctx, root, ret_config, &diags)) return;
	add_diags(&diags, "config", "until it is mended nobody but the tags is told of runs", rows);
}

/*
 * *ret_plan is NULL when there is none, or when those of the machine are wrong: then the rows say so. One that was
 * named and is wrong is an error of usage.
 */
static int find_plan(struct context *ctx, const struct options *o, const struct strs *names, const struct facts *facts,
		     const struct fs_root *root, const struct plan **ret_plan, struct rows *rows) {
	AUTO_DIAGS struct diags diags = {.arena = &ctx->arena};
	AUTO_STRS struct strs kept = {0};
	struct err ignored = {0};
	*ret_plan = NULL;
	if (!names->count && (fs_list(root, RECIPE_DIR, &ctx->arena, &kept, &ignored) || !kept.count)) return EXIT_OK_;
	const struct recipe *recipe = context_recipe(ctx, names, &o->vars, false, &diags);
	struct plan_options how = {.facts = facts, .env = ctx->env};
	const struct plan *plan = recipe ? plan_build(recipe, &how, &ctx->arena, &diags) : NULL;
	if (!plan && names->count) return cli_diags(&diags);
	if (plan)
		rows_add(rows, "recipe", ROW_OK, NULL, "%s, %zu step%s", plan->recipe_name, plan->count,
			 plan->count == 1 ? "" : "s");
	else
		add_diags(&diags, "recipe", NULL, rows);
	*ret_plan = plan;
	return EXIT_OK_;
}

void doctor_all(struct context *ctx, const struct facts *facts, const struct fs_root *root, const struct plan *plan,
		const struct config *config, int64_t began_ms, struct rows *rows) {
	struct doctor d = {.ctx = ctx,
			   .facts = facts,
			   .root = root,
			   .plan = plan,
			   .config = config,
			   .began_ms = began_ms,
			   .env = run_environment(facts, ctx->env, &ctx->arena),
			   .sources = {.arena = &ctx->arena},
			   .has_proxy = sources_have_proxy(root, ctx->env)};
	if (plan) sources_of_plan(plan, root, facts, ctx->env, &d.sources);
	doctor_look(&d, rows);
	doctor_ask(&d, rows);
}

static int run_all(struct context *ctx, const struct options *o, const struct strs *names, const struct facts *facts,
		   const struct fs_root *root) {
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	struct rows rows = {.arena = &ctx->arena};
	struct config config;
	const struct plan *plan = NULL;
	check_config(ctx, root, &config, &rows);
	int code = find_plan(ctx, o, names, facts, root, &plan, &rows);
	if (code != EXIT_OK_) return code;
	doctor_all(ctx, facts, root, plan, &config, o->began_ms, &rows);
	if (ctx->is_json) {
		AUTO_JS struct js *js = rows_js(&rows);
		code = cli_print_json(js);
	} else {
		rows_print(&rows, &out);
		code = cli_print(&out);
	}
	return code == EXIT_OK_ && rows_worst(&rows) == ROW_FAIL ? EXIT_STEP_FAILED : code;
}

static int run_gpu(struct context *ctx, const struct options *o, const struct facts *facts,
		   const struct fs_root *root) {
	struct doctor_gpu gpu = {.timeout_ms = o->timeout_ms, .wait_ms = o->wait_ms, .torch = o->torch};
	struct gpu_report report;
	struct err err = {0};
	if (doctor_gpu_run(ctx, &gpu, facts, root, &report, &err)) return cli_fail(EXIT_STEP_FAILED, &err);
	return doctor_gpu_print(ctx, &report);
}

int cmd_doctor(struct context *ctx, int argc, char **argv) {
	struct options o = {.timeout_ms = DOCTOR_GPU_TIMEOUT_MS, .torch = "auto", .began_ms = clock_mono_ms()};
	AUTO_STRS struct strs args = {0};
	struct err err = {0};
	const struct facts *facts = NULL;
	const struct fs_root *root = NULL;
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code == OPT_GO) {
		bool is_gpu = args.count == 1 && str_eq(args.items[0], "gpu");
		if (context_facts(ctx, &facts, &err) || context_root(ctx, &root, &err))
			code = cli_fail(EXIT_NO_START, &err);
		else
			code = is_gpu ? run_gpu(ctx, &o, facts, root) : run_all(ctx, &o, &args, facts, root);
	}
	strs_clear(&o.vars);
	return code;
}
