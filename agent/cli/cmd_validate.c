#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "recipe/recipe.h"

#define LINE_MAX_BYTES 4096

struct options {
	struct strs vars;
};

static const struct opt opts[] = {
	{"var", 0, "K=V", "the value of a recipe's variable; may be given several times", OPT_TEXTS,
	 offsetof(struct options, vars), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "validate",
	.arguments = "RECIPE...",
	.description = "Lists every error of the recipes at once, each with file, line and column. Touches nothing.",
	.opts = opts,
	.example = "dsagent validate team.yaml",
	.min_args = 1,
	.max_args = 100,
	.has_json = true,
};

static struct js *to_json(struct diags *diags, const struct recipe *recipe) {
	struct js *js = js_object(), *errors = js_array();
	js_set_bool(js, "valid", recipe != NULL);
	if (recipe) {
		js_set_str(js, "recipe", recipe->name);
		js_set_str(js, "hash", recipe->hash);
		js_set_int(js, "steps", (int64_t)recipe->count);
	}
	for (size_t i = 0; i < diags->count; i++) {
		const struct diag *d = &diags->items[i];
		struct js *error = js_object();
		js_set_str(error, "file", d->file);
		js_set_int(error, "line", d->line);
		js_set_int(error, "col", d->col);
		js_set_str(error, "message", d->message);
		js_push(errors, error);
	}
	js_set(js, "errors", errors);
	if (diags->dropped) js_set_int(js, "errors_left_out", (int64_t)diags->dropped);
	return js;
}

int cmd_validate(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) {
		strs_clear(&o.vars);
		return code;
	}
	AUTO_DIAGS struct diags diags = {.arena = &ctx->arena};
	const struct recipe *recipe = context_recipe(ctx, &args, &o.vars, true, &diags);
	strs_clear(&o.vars);
	if (ctx->is_json) {
		diags_sort(&diags);
		AUTO_JS struct js *js = to_json(&diags, recipe);
		code = cli_print_json(js);
		return recipe ? code : EXIT_USAGE;
	}
	if (!recipe) return cli_diags(&diags);
	AUTO_BUF struct buf out = BUF_INIT(LINE_MAX_BYTES);
	buf_addf(&out, "ok: %s, %zu step%s\n", recipe->name, recipe->count, recipe->count == 1 ? "" : "s");
	return cli_print(&out);
}
