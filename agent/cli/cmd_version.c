#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"

#if defined(__x86_64__)
#define ARCH_NAME "x86_64"
#elif defined(__aarch64__)
#define ARCH_NAME "aarch64"
#else
#define ARCH_NAME "unknown"
#endif

static const struct opt_verb verb = {
	.name = "version",
	.arguments = "",
	.description = "Shows the version of this binary and the architecture it was built for.",
	.example = "dsagent version --json",
	.has_json = true,
};

int cmd_version(struct context *ctx, int argc, char **argv) {
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, NULL, &args);
	if (code != OPT_GO) return code;
	if (ctx->is_json) {
		AUTO_JS struct js *js = js_object();
		js_set_str(js, "version", DSAGENT_VERSION);
		js_set_str(js, "arch", ARCH_NAME);
		return cli_print_json(js);
	}
	AUTO_BUF struct buf out = BUF_INIT(256);
	buf_adds(&out, "dsagent " DSAGENT_VERSION " " ARCH_NAME "\n");
	return cli_print(&out);
}
