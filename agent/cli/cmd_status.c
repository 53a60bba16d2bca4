#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "report/report.h"
#include "report/show.h"
#include "report/status_js.h"

/* RECIPE_STEPS_MAX lines. */
#define STATUS_TEXT_MAX (1024 * 1024)
#define FOLLOW_MS 500
/* "  7  " */
#define NUMBER_COLUMNS 5

struct options {
	bool is_following;
};

static const struct opt opts[] = {
	{"follow", 'f', NULL, "show it anew until the run ends", OPT_FLAG, offsetof(struct options, is_following), 0,
	 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "status",
	.arguments = "",
	.description = "Shows what runs, how far it is and what failed: of the run now, or else of the last one.",
	.opts = opts,
	.example = "dsagent status --follow",
	.has_json = true,
};

/* "running for 3 min 02 s", "ready since 2026-11-20T13:05:01Z". */
static void add_headline(const struct run_view *view, int64_t now_ms, struct buf *out) {
	char took[SHOW_DURATION_SIZE], iso[CLOCK_ISO8601_SIZE];
	buf_addf(out, "%s  %s", view->recipe, run_status_name(view->status));
	if (!view->ended_at_ms && view->status == RUN_RUNNING)
		buf_addf(out, " for %s", show_seconds(now_ms - view->started_at_ms, took));
	else if (view->ready_at_ms)
		buf_addf(out, " since %s", clock_iso8601(view->ready_at_ms, iso));
	else if (view->ended_at_ms)
		buf_addf(out, " since %s", clock_iso8601(view->ended_at_ms, iso));
	buf_addf(out, "  %zu/%zu %d%%\n", view->done, view->total, view->percent);
}

static void add_next(const struct run_view *view, bool is_system, struct buf *out) {
	if (view->status == RUN_RUNNING)
		buf_adds(out, "\nfollow it: dsagent status --follow\n");
	else if (!view->ended_at_ms && view->status != RUN_INTERRUPTED)
		buf_adds(out, "\nready; background steps go on: dsagent status --follow\n");
	else {
		buf_addc(out, '\n');
		show_summary(view, is_system, out);
	}
}

static void add_status(const struct js *js, bool is_system, const struct show_style *style, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	struct run_view view;
	int64_t now_ms = clock_now_ms();
	report_status_view(js, &arena, &view);
	add_headline(&view, now_ms, out);
	buf_addc(out, '\n');
	for (size_t i = 0; i < view.count; i++) {
		buf_addf(out, "%3zu  ", i + 1);
		show_step(&view.steps[i], style, now_ms, out);
		buf_addc(out, '\n');
	}
	add_next(&view, is_system, out);
}

/* The terminal's, less the number in front of each step. */
static struct show_style row_style(void) {
	struct show_style style = show_style_of(STDOUT_FILENO);
	if (style.width > NUMBER_COLUMNS) style.width -= NUMBER_COLUMNS;
	return style;
}

/* True when nothing more will come. */
static bool is_over(const struct js *js) {
	const char *status = js_get_str(js, "status");
	return js_get_str(js, "ended_at") || str_eq(status, run_status_name(RUN_INTERRUPTED)) ||
	       str_eq(status, run_status_name(RUN_REBOOTING));
}

static int print_once(struct context *ctx) {
	struct err err = {0};
	AUTO_JS struct js *js = NULL;
	bool is_system = false;
	if (context_status(ctx, &js, &is_system, &err)) return cli_fail(EXIT_NO_START, &err);
	if (ctx->is_json) return cli_print_json(js);
	AUTO_BUF struct buf out = BUF_INIT(STATUS_TEXT_MAX);
	struct show_style style = row_style();
	add_status(js, is_system, &style, &out);
	return cli_print(&out);
}

/* The lines that fit are drawn over the ones before; on a pipe each change is printed once. */
static int follow(struct context *ctx) {
	struct err err = {0};
	AUTO_BUF struct buf before = BUF_INIT(STATUS_TEXT_MAX);
	size_t drawn = 0;
	for (bool is_last = false, is_system = false; !is_last;) {
		AUTO_JS struct js *js = NULL;
		AUTO_BUF struct buf out = BUF_INIT(STATUS_TEXT_MAX), screen = BUF_INIT(STATUS_TEXT_MAX + 64);
		struct show_style style = row_style();
		if (drawn) clock_sleep_ms(FOLLOW_MS);
		if (context_status(ctx, &js, &is_system, &err)) return cli_fail(EXIT_NO_START, &err);
		is_last = is_over(js);
		if (ctx->is_json) {
			js_print(js, JS_COMPACT, &out);
			buf_addc(&out, '\n');
		} else
			add_status(js, is_system, &style, &out);
		if (str_eq(buf_str(&out), buf_str(&before))) continue;
		buf_reset(&before);
		buf_add(&before, buf_str(&out), out.len);
		if (drawn && style.is_terminal && !ctx->is_json) buf_addf(&screen, "\033[%zuF\033[J", drawn);
		drawn = 0;
		for (size_t i = 0; i < out.len; i++) drawn += out.data[i] == '\n';
		buf_add(&screen, buf_str(&out), out.len);
		int code = cli_print(&screen);
		if (code != EXIT_OK_) return code;
	}
	return EXIT_OK_;
}

int cmd_status(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	return o.is_following ? follow(ctx) : print_once(ctx);
}
