#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "recipe/recipe.h"
#include "steps/steps.h"

/* All step types with examples are some 50 KB. */
#define MANUAL_MAX (1024 * 1024)

struct options {
	bool is_markdown;
};

static const struct opt opts[] = {
	{"markdown", 0, NULL, "print the manual of all step types as Markdown", OPT_FLAG,
	 offsetof(struct options, is_markdown), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "explain",
	.arguments = "[STEP]",
	.description = "Shows the manual of a step type: its keys, their defaults, an example. Without STEP: the list "
		       "of types.",
	.opts = opts,
	.example = "dsagent explain python",
	.max_args = 1,
};

static void list_types(struct buf *out) {
	buf_adds(out, "Step types:\n");
	for (const struct step_type *const *t = steps_all; *t; t++)
		buf_addf(out, "  %-11s %s\n", (*t)->name, (*t)->summary);
	buf_adds(out, "\n`dsagent explain STEP` shows the keys of one.\n");
}

static int unknown_step(const char *word) {
	AUTO_STRS struct strs names = {0};
	for (const struct step_type *const *t = steps_all; *t; t++) strs_add(&names, (*t)->name);
	const char *near = str_nearest(word, names.items, names.count);
	struct err err = {0};
	if (near)
		(void)err_set(&err, ERR_INVALID, "no step type '%s'; did you mean '%s'?", word, near);
	else
		(void)err_set(&err, ERR_INVALID, "no step type '%s'; `dsagent explain` lists them", word);
	return cli_fail(EXIT_USAGE, &err);
}

int cmd_explain(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	AUTO_BUF struct buf out = BUF_INIT(MANUAL_MAX);
	if (args.count == 0) {
		if (o.is_markdown)
			recipe_steps_markdown(steps_all, &out);
		else
			list_types(&out);
		return cli_print(&out);
	}
	const struct step_type *const *t = steps_all;
	while (*t && !str_eq((*t)->name, args.items[0])) t++;
	if (!*t) return unknown_step(args.items[0]);
	const struct step_type *one[] = {*t, NULL};
	if (o.is_markdown)
		recipe_steps_markdown(one, &out);
	else
		recipe_explain(*t, &out);
	return cli_print(&out);
}
