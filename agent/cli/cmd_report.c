#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "report/show.h"
#include "report/told.h"

#define TEXT_MAX (1024 * 1024)
#define MANIFEST_MAX (16 * 1024 * 1024)
/* A run that began this long after the boot was begun by somebody: the boot is not part of its story. */
#define BOOT_APART_MS (30LL * 60 * 1000)
/* The clock is set a little while the machine boots. */
#define BOOT_SLACK_MS 5000

struct options {
	const char *html;
};

static const struct opt opts[] = {
	{"html", 0, "FILE", "one self-contained page with a timeline; - for standard output", OPT_TEXT,
	 offsetof(struct options, html), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "report",
	.arguments = "[RUN-ID]",
	.description =
		"Shows where the time went from the launch of the instance until it was ready: boot, cloud-init, and "
		"each\n"
		"step, its waits apart from its work; what was changed, and what failed. Of the last run, or of an "
		"older one.",
	.opts = opts,
	.example = "sudo dsagent report --html report.html",
	.max_args = 1,
	.has_json = true,
};

/* The run asked for, or the last one: run ids sort by time. */
static int find_run(struct context *ctx, const struct fs_root *root, const char *wanted, const char **ret_dir,
		    struct err *err) {
	AUTO_STRS struct strs runs = {0};
	struct context_paths paths;
	int rc = context_paths(ctx, &paths, err);
	if (rc) return rc;
	const char *dir = arena_printf(&ctx->arena, "%s/runs", paths.state_dir);
	rc = fs_list(root, dir, &ctx->arena, &runs, err);
	if (rc) return rc;
	if (!runs.count) {
		rc = context_deny_system(ctx, "report", err);
		return rc ? rc : err_set(err, ERR_NOT_FOUND, "nothing has run here yet: there is nothing to report");
	}
	const char *last = runs.items[runs.count - 1];
	if (wanted && !strs_has(&runs, wanted))
		return err_set(err, ERR_NOT_FOUND, "there is no run '%s'; the last one is '%s', all are in %s", wanted,
			       last, dir);
	*ret_dir = arena_printf(&ctx->arena, "%s/%s", dir, wanted ? wanted : last);
	return 0;
}

/* What is installed now; none, or one of another version: the report goes without. */
static void read_manifest(struct context *ctx, struct told *told, struct js **ret_js) {
	AUTO_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
	struct context_paths paths;
	struct err ignored = {0};
	if (context_paths(ctx, &paths, &ignored)) return;
	const char *path = arena_printf(&ctx->arena, "%s/manifest.json", paths.state_dir);
	if (fs_read(told->root, path, &text, &ignored) || js_parse(buf_str(&text), text.len, ret_js, &ignored)) return;
	told->manifest = *ret_js;
}

static void describe_machine(struct context *ctx, struct told *told) {
	const struct facts *facts = NULL;
	struct err ignored = {0};
	const char *pending_time = "";
	told->machine = "";
	if (!context_facts(ctx, &facts, &ignored)) {
		const struct imds_identity *id = &facts->instance;
		pending_time = id->pending_time;
		told->machine = facts->has_instance ? arena_printf(&ctx->arena, "%s, %s in %s", id->instance_id,
								   id->instance_type, id->availability_zone)
						    : facts->os.hostname;
	}
	boot_times_read(told->root, ctx->env, pending_time, &told->boot);
	int64_t after_ms = told->story.view.started_at_ms - told->boot.booted_at_ms;
	told->has_boot = told->boot.booted_at_ms && after_ms >= -BOOT_SLACK_MS && after_ms < BOOT_APART_MS;
}

static int write_page(struct context *ctx, const struct told *told, const char *path) {
	struct err err = {0};
	AUTO_BUF struct buf page = BUF_INIT(2 * TOLD_PAGE_MAX);
	told_page(told, &page);
	if (str_eq(path, "-")) return cli_print(&page);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t at = 0;
	while (fd >= 0 && at < page.len) {
		ssize_t n = write(fd, page.data + at, page.len - at);
		if (n < 0 && errno != EINTR) break;
		if (n > 0) at += (size_t)n;
	}
	if (fd < 0 || at < page.len) {
		(void)err_set_errno(&err, errno, "cannot write the report to %s", path);
		return cli_fail(EXIT_NO_START, &err);
	}
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	buf_addf(&text, "%s: %s\n", path, str_bytes(page.len, &ctx->arena));
	return cli_print(&text);
}

static int print(struct context *ctx, const struct told *told, const struct options *o) {
	if (o->html) return write_page(ctx, told, o->html);
	if (ctx->is_json) {
		AUTO_JS struct js *js = told_js(told);
		return cli_print_json(js);
	}
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	struct show_style style = show_style_of(STDOUT_FILENO);
	told_print(told, &style, &out);
	return cli_print(&out);
}

int cmd_report(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	AUTO_JS struct js *status = NULL, *manifest = NULL;
	struct told told = {.is_system = true};
	const char *dir = NULL;
	struct err no_status = {0}; /* after a reboot: the run's own events are enough */
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	int rc = context_root(ctx, &told.root, &err);
	if (!rc) rc = find_run(ctx, told.root, args.count ? args.items[0] : NULL, &dir, &err);
	if (!rc && context_status(ctx, &status, &told.is_system, &no_status)) status = NULL;
	if (!rc) rc = story_read(told.root, dir, status, &ctx->arena, &told.story, &err);
	if (rc) return cli_fail(EXIT_NO_START, &err);
	read_manifest(ctx, &told, &manifest);
	describe_machine(ctx, &told);
	return print(ctx, &told, &o);
}
