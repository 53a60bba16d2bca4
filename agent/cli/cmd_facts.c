#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "recipe/facts.h"

/* Some sixty facts. */
#define FACTS_TEXT_MAX (64 * 1024)

struct options {
	const char *save;
};

static const struct opt opts[] = {
	{"save", 0, "FILE", "write them to FILE, for `dsagent plan --facts FILE` elsewhere", OPT_TEXT,
	 offsetof(struct options, save), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "facts",
	.arguments = "",
	.description = "Shows what is known of machine and instance: what recipes see as ${facts.NAME}.",
	.opts = opts,
	.example = "dsagent facts --save gpu-box.json",
	.has_json = true,
};

static int save(const char *path, const struct js *js) {
	struct err err = {0};
	AUTO_BUF struct buf text = BUF_INIT(FACTS_TEXT_MAX);
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	FILE *f = fopen(path, "we");
	bool is_written = f && fwrite(text.data, 1, text.len, f) == text.len;
	if (f && fclose(f)) is_written = false;
	if (is_written) return EXIT_OK_;
	(void)err_set(&err, ERR_IO, "cannot write the facts to %s: %m", path);
	return cli_fail(EXIT_NO_START, &err);
}

static void print_table(const struct facts *facts, struct arena *arena, struct buf *out) {
	size_t width = 0;
	for (size_t i = 0; i < facts_fields_count; i++)
		if (strlen(facts_fields[i].name) > width) width = strlen(facts_fields[i].name);
	for (size_t i = 0; i < facts_fields_count; i++) {
		const char *text = facts_get(facts, facts_fields[i].name, arena);
		buf_addf(out, "%-*s  %s\n", (int)width, facts_fields[i].name, str_is_empty(text) ? "-" : text);
	}
	if (facts->metadata_error[0]) buf_addf(out, "\ninstance metadata: %s\n", facts->metadata_error);
}

int cmd_facts(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	struct err err = {0};
	const struct facts *facts = NULL;
	if (context_facts(ctx, &facts, &err)) return cli_fail(EXIT_NO_START, &err);
	AUTO_JS struct js *js = facts_to_js(facts);
	if (o.save) return save(o.save, js);
	if (ctx->is_json) return cli_print_json(js);
	AUTO_BUF struct buf out = BUF_INIT(FACTS_TEXT_MAX);
	print_table(facts, &ctx->arena, &out);
	return cli_print(&out);
}
