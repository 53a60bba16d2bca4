#include "base/str.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "recipe/recipe.h"
#include "steps/steps.h"

struct options {
	bool is_of_config;
};

static const struct opt opts[] = {
	{"config", 0, NULL, "of /etc/dsagent/dsagent.yaml instead", OPT_FLAG, offsetof(struct options, is_of_config), 0,
	 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "schema",
	.arguments = "",
	.description =
		"Prints the JSON Schema (2020-12) of the recipe language. Editors complete and check recipes with it.",
	.opts = opts,
	.example = "dsagent schema > dsagent.schema.json",
	.has_json = true, /* it is JSON anyway */
};

int cmd_schema(struct context *ctx, int argc, char **argv) {
	AUTO_STRS struct strs args = {0};
	struct options o = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	AUTO_JS struct js *schema = o.is_of_config ? config_schema_json() : recipe_schema_json(steps_all);
	return cli_print_json(schema);
}
