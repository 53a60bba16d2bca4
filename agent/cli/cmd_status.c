#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "report/motd.h"
#include "report/report.h"
#include "report/screen.h"
#include "report/show.h"
#include "report/show_tree.h"
#include "report/status_js.h"
#include "report/term.h"

/* RECIPE_STEPS_MAX lines. */
#define STATUS_TEXT_MAX (1024 * 1024)
/* How often a terminal is drawn anew, and how seldom the file is read. */
#define FRAME_MS 100
#define FRAMES_PER_READ 3
/* Between two lines on a pipe that say how far a run is. */
#define SAY_EVERY_MS (30LL * 1000)
#define PROGRESS_SIZE 512
/* "  7  " */
#define NUMBER_COLUMNS 5

struct options {
	bool is_following, is_motd;
};

static const struct opt opts[] = {
	{"follow", 'f', NULL, "show it anew until the run ends", OPT_FLAG, offsetof(struct options, is_following), 0,
	 0},
	{"motd", 0, NULL, "two lines for a login message; nothing where nothing has run", OPT_FLAG,
	 offsetof(struct options, is_motd), 0, 0},
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
		show_line(&view, i, "", style, now_ms, 0, out);
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

/* Each status that differs from the one before. */
static void add_json(const struct js *js, struct buf *before, struct buf *out) {
	js_print(js, JS_COMPACT, out);
	buf_addc(out, '\n');
	if (str_eq(buf_str(out), buf_str(before))) {
		buf_reset(out);
		return;
	}
	buf_reset(before);
	buf_add(before, buf_str(out), out->len);
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

/* What a follower has seen, and how he sees it. */
struct follower {
	struct context *ctx;
	struct arena arena; /* of the status that was read last */
	struct run_view view;
	bool is_over, is_system;
	char run_id[64];
	enum step_status *seen; /* of each step, by who reads lines */
	size_t seen_count;
	int64_t said_at_ms; /* the last line of a run that is at work */
	struct screen screen;
	unsigned frame;
};

static int read_status(struct follower *f, struct js **ret_js, struct err *err) {
	int rc = context_status(f->ctx, ret_js, &f->is_system, err);
	if (rc) return rc;
	arena_clear(&f->arena);
	report_status_view(*ret_js, &f->arena, &f->view);
	f->is_over = is_over(*ret_js);
	return 0;
}

/* A screen of its own making: a headline, and below it the run as `apply` draws it. */
static void draw(struct follower *f, struct buf *out) {
	AUTO_BUF struct buf lines = BUF_INIT(SCREEN_MAX);
	struct show_style style = show_style_of(STDOUT_FILENO);
	int64_t now_ms = clock_now_ms();
	term_live_lines(&f->view, &style, now_ms, f->frame++, &lines);
	screen_draw(&f->screen, &style, buf_str(&lines), out);
}

static void draw_end(struct follower *f, const struct js *js, struct buf *out) {
	struct show_style style = row_style();
	screen_erase(&f->screen, &style, out);
	add_status(js, f->is_system, &style, out);
}

/* On a pipe: one line for every step that has ended since, and now and then where the run is. */
static void add_lines(struct follower *f, struct buf *out) {
	const struct run_view *v = &f->view;
	char progress[PROGRESS_SIZE];
	if (!str_eq(v->run_id, f->run_id) || v->count != f->seen_count) {
		free(f->seen);
		f->seen = mem_zalloc((v->count + 1) * sizeof *f->seen);
		f->seen_count = v->count;
		(void)snprintf(f->run_id, sizeof f->run_id, "%s", v->run_id);
		add_headline(v, clock_now_ms(), out);
		f->said_at_ms = clock_mono_ms();
	}
	for (size_t i = 0; i < v->count; i++) {
		if (f->seen[i] == v->steps[i].status) continue;
		f->seen[i] = v->steps[i].status;
		if (f->seen[i] == STEP_PENDING) continue;
		show_label(v, i, out);
		if (f->seen[i] == STEP_RUNNING)
			buf_adds(out, "started");
		else
			show_outcome(&v->steps[i], out);
		buf_addc(out, '\n');
		f->said_at_ms = clock_mono_ms();
	}
	if (clock_mono_ms() - f->said_at_ms >= SAY_EVERY_MS && !f->is_over) {
		show_clean(run_view_progress(v, progress, sizeof progress), out);
		buf_addc(out, '\n');
		f->said_at_ms = clock_mono_ms();
	}
	if (f->is_over) add_next(v, f->is_system, out);
}

static int follow(struct context *ctx) {
	struct err err = {0};
	struct follower f = {.ctx = ctx, .screen = SCREEN_INIT};
	AUTO_BUF struct buf before = BUF_INIT(STATUS_TEXT_MAX);
	bool is_drawn = show_style_of(STDOUT_FILENO).is_terminal && !ctx->is_json;
	int code = EXIT_OK_;
	for (unsigned turn = 0; code == EXIT_OK_ && !f.is_over; turn++) {
		AUTO_JS struct js *js = NULL;
		AUTO_BUF struct buf out = BUF_INIT(STATUS_TEXT_MAX);
		if (turn) clock_sleep_ms(FRAME_MS);
		bool is_read = turn % FRAMES_PER_READ == 0;
		if (is_read && read_status(&f, &js, &err)) {
			code = cli_fail(EXIT_NO_START, &err);
			break;
		}
		if (is_drawn && f.is_over)
			draw_end(&f, js, &out);
		else if (is_drawn)
			draw(&f, &out);
		else if (is_read && ctx->is_json)
			add_json(js, &before, &out);
		else if (is_read)
			add_lines(&f, &out);
		if (out.len) code = cli_print(&out);
		if (ferror(stdout)) break; /* the reader has gone away */
	}
	screen_clear(&f.screen);
	free(f.seen);
	arena_clear(&f.arena);
	return code;
}

/* At every login: where there is nothing to say, or no way to know, nothing is said. */
static int print_motd(struct context *ctx) {
	struct err ignored = {0};
	AUTO_JS struct js *js = NULL;
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf out = BUF_INIT(STATUS_TEXT_MAX);
	struct run_view view;
	bool is_system = false;
	if (context_status(ctx, &js, &is_system, &ignored)) return EXIT_OK_;
	report_status_view(js, &arena, &view);
	motd_text(&view, false, is_system, &out);
	return cli_print(&out);
}

int cmd_status(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	if (o.is_motd) return print_motd(ctx);
	return o.is_following ? follow(ctx) : print_once(ctx);
}
