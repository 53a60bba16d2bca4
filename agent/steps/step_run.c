#include "base/clock.h"
#include "base/err.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"

/** The kernel takes at most 128 KB in one argument (MAX_ARG_STRLEN, execve(2)). */
#define RUN_SCRIPT_MAX (100 * 1024)
/** Characters of the first line that a plan shows. */
#define RUN_TITLE_MAX 80
/** Progress needs no more than a few lines a second. */
#define RUN_NOTE_EVERY_MS 200

struct run_params {
	const char *script;
	struct strs argv;
	const char *cwd, *input;
};

static const struct field run_fields[] = {
	{.name = "script",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct run_params, script),
	 .help = "script for `/bin/sh -e`: the first line that fails ends it"},
	{.name = "argv",
	 .kind = FIELD_TEXTS,
	 .offset = offsetof(struct run_params, argv),
	 .help = "command and its arguments, without a shell"},
	{.name = "cwd",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct run_params, cwd),
	 .help = "directory to run in, absolute; default: /"},
	{.name = "stdin",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct run_params, input),
	 .help = "text for its standard input; default: nothing (/dev/null)"},
	{0},
};

/* A "#!" line would be a comment to /bin/sh: a script for another shell half works there, and ends well. */
static void check_shebang(const char *script, const struct yml_node *node, struct diags *diags) {
	const char *line = script + strspn(script, " \t\r\n");
	if (!str_starts(line, "#!")) return;
	line += 2 + strspn(line + 2, " \t");
	if (str_starts(line, "/usr/bin/env"))
		line += strlen("/usr/bin/env") + strspn(line + strlen("/usr/bin/env"), " \t");
	size_t len = strcspn(line, " \t\r\n");
	const char *name = line + len;
	while (name > line && name[-1] != '/') name--;
	int n = (int)(len - (size_t)(name - line));
	if (n == 2 && str_starts(name, "sh")) return;
	diag_add(diags, node,
		 "the script asks for %.*s, but scripts are run by /bin/sh -e: write it as a list, run: [%.*s, %s, "
		 "\"…\"]",
		 n, name, n, name, n >= 2 && str_starts(name + n - 2, "sh") ? "-ec" : "-c");
}

static void run_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct run_params *p = params;
	if (!p->script == !p->argv.count) {
		diag_add(diags, node, "run needs a script (text) or argv (a list), one of them");
		return;
	}
	if (p->script && !p->script[strspn(p->script, " \t\r\n")]) diag_add(diags, node, "the script is empty");
	if (p->script) check_shebang(p->script, node, diags);
	if (p->script && strlen(p->script) > RUN_SCRIPT_MAX)
		diag_add(diags, node,
			 "the script has %zu bytes, at most %d are possible: put it into a file with a `file` or "
			 "`download` step and run that",
			 strlen(p->script), RUN_SCRIPT_MAX);
	if (p->argv.count && !p->argv.items[0][0]) diag_add(diags, node, "the command's name is empty");
	if (p->cwd && p->cwd[0] != '/' && !str_starts(p->cwd, "${"))
		diag_add(diags, node, "cwd '%s' is not absolute", p->cwd);
}

/* The first line that says something, cut. */
static const char *title(const struct run_params *p, struct arena *arena) {
	if (p->argv.count) {
		const char *all = strs_join(&p->argv, " ", arena);
		size_t len = strcspn(all, "\n"), cut = str_utf8_prefix(all, RUN_TITLE_MAX);
		return len <= cut ? arena_dup(arena, all, len) : arena_printf(arena, "%s…", arena_dup(arena, all, cut));
	}
	const char *line = p->script ? p->script : "";
	for (;;) {
		line += strspn(line, " \t\r\n");
		size_t len = strcspn(line, "\r\n");
		if (line[0] != '#' || !line[len]) {
			size_t cut = str_utf8_prefix(line, RUN_TITLE_MAX);
			bool has_more = line[len] && line[len + strspn(line + len, " \t\r\n")];
			const char *text = arena_dup(arena, line, len < cut ? len : cut);
			return has_more || len > cut ? arena_printf(arena, "%s…", text) : text;
		}
		line += len;
	}
}

static int run_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct run_params *p = params;
	if (!ctx->is_done) changes_add(changes, ctx->arena, NULL, "run: %s", title(p, ctx->arena));
	return 0;
}

struct progress {
	const struct machine *machine;
	int64_t noted_at_ms;
};

static void run_line(enum exec_stream stream, const char *line, void *arg) {
	struct progress *progress = arg;
	int64_t now = clock_mono_ms();
	if (!line[strspn(line, " \t\r")] || now - progress->noted_at_ms < RUN_NOTE_EVERY_MS) return;
	progress->noted_at_ms = now;
	machine_note(progress->machine, 0, 0, "%s", line);
}

/*
 * The script travels in the environment, not in argv: every user may read the process list, and a script may hold a
 * secret of the recipe. It is unset before the first line runs, so that no child inherits it.
 */
static const char *const shell_argv[] = {
	"/bin/sh", "-ec", "script=$DSAGENT_SCRIPT; unset DSAGENT_SCRIPT; eval \"unset script\n$script\"", NULL};

static int run_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct run_params *p = params;
	struct progress progress = {.machine = &ctx->machine};
	const char **argv = arena_alloc(ctx->arena, (p->argv.count + 1) * sizeof *argv);
	for (size_t i = 0; i < p->argv.count; i++) argv[i] = p->argv.items[i];
	const char *env[] = {NULL, NULL};
	if (p->script) env[0] = arena_printf(ctx->arena, "DSAGENT_SCRIPT=%s", p->script);
	struct machine_command cmd = {
		.argv = p->script ? shell_argv : argv,
		.label = title(p, ctx->arena),
		.extra_env = env,
		.user = ctx->user,
		.cwd = p->cwd,
		.stdin_data = p->input,
		.on_line = run_line,
		.arg = &progress,
	};
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

const struct step_type step_run = {
	.name = "run",
	.summary = "a command: text is a script for /bin/sh -e, a list is argv; runs once per content",
	.example = "- name: Fetch the models\n"
		   "  creates: /opt/models/ready\n"
		   "  run: |\n"
		   "    mkdir -p /opt/models\n"
		   "    touch /opt/models/ready\n",
	.shape = {.fields = run_fields,
		  .size = sizeof(struct run_params),
		  .scalar_field = "script",
		  .list_field = "argv"},
	.is_imperative = true,
	.timeout_ms = 60LL * 60 * 1000,
	.check = run_check,
	.probe = run_probe,
	.apply = run_apply,
};
