#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "report/show.h"
#include "report/status_js.h"

#define FOLLOW_MS 300
#define CHUNK_SIZE (64 * 1024)
/* A chunk, its header and what cleaning adds. */
#define CHUNK_TEXT_MAX (2 * CHUNK_SIZE)

struct options {
	const char *run;
	bool is_following;
};

static const struct opt opts[] = {
	{"run", 0, "ID", "of this run instead of the last one", OPT_TEXT, offsetof(struct options, run), 0, 0},
	{"follow", 'f', NULL, "go on until the run ends", OPT_FLAG, offsetof(struct options, is_following), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "logs",
	.arguments = "[STEP]",
	.description = "Shows what the steps of the last run wrote, in order; of one step with STEP: its id or number.",
	.opts = opts,
	.example = "sudo dsagent logs python-3-11 --follow",
	.max_args = 1,
};

struct logs {
	struct context *ctx;
	const struct fs_root *root;
	const char *runs, *run_id, *dir, *step; /* step NULL: all */
	struct strs names;			/* "01-build-tools.log", in order */
	int64_t offsets[512];			/* of names: what has been shown. RECIPE_STEPS_MAX and some */
	const char *shown;			/* the one shown last, for headers */
	bool is_terminal;
	int code; /* of cli_print */
};

static size_t max_logs(const struct logs *l) { return sizeof l->offsets / sizeof *l->offsets; }

/* "01-build-tools.log" → "build-tools". */
static const char *step_id(const char *name, struct arena *arena) {
	const char *dash = strchr(name, '-');
	return dash ? arena_dup(arena, dash + 1, strlen(dash + 1) - strlen(".log")) : "";
}

static bool is_of_step(const struct logs *l, const char *name) {
	int64_t number = 0, own = 0;
	struct err ignored = {0};
	if (!l->step || str_eq(step_id(name, &l->ctx->arena), l->step)) return true;
	const char *digits = arena_dup(&l->ctx->arena, name, strcspn(name, "-"));
	return !parse_i64(l->step, 1, INT32_MAX, &number, &ignored) &&
	       !parse_i64(digits, 1, INT32_MAX, &own, &ignored) && number == own;
}

/* The logs that are there by now; a later one may stand before an earlier one, so offsets move along. */
static int list_logs(struct logs *l, struct err *err) {
	AUTO_STRS struct strs found = {0};
	struct strs names = {0};
	int64_t offsets[sizeof l->offsets / sizeof *l->offsets] = {0};
	int rc = fs_list(l->root, l->dir, &l->ctx->arena, &found, err);
	for (size_t i = 0; !rc && i < found.count && names.count < max_logs(l); i++) {
		const char *name = found.items[i];
		if (!str_ends(name, ".log") || !strchr(name, '-') || !is_of_step(l, name)) continue;
		for (size_t k = 0; k < l->names.count; k++)
			if (str_eq(l->names.items[k], name)) offsets[names.count] = l->offsets[k];
		strs_add(&names, name);
	}
	strs_clear(&l->names);
	l->names = names;
	memcpy(l->offsets, offsets, sizeof offsets);
	return rc;
}

/* As it is into a pipe; on a terminal without control characters, which belong to whoever wrote the log. */
static void add_text(const struct logs *l, char *text, size_t len, struct buf *out) {
	if (!l->is_terminal) {
		buf_add(out, text, len);
		return;
	}
	for (char *line = text; line < text + len;) {
		char *end = memchr(line, '\n', len - (size_t)(line - text));
		if (end) *end = '\0';
		show_clean(line, out);
		if (!end) return;
		buf_addc(out, '\n');
		line = end + 1;
	}
}

static int show_log(struct logs *l, size_t i, struct err *err, bool *ret_has_ended) {
	AUTO_CLOSE int fd = -1;
	const char *name = l->names.items[i];
	int rc = fs_open(l->root, arena_printf(&l->ctx->arena, "%s/%s", l->dir, name), O_RDONLY, 0, &fd, err);
	if (rc) return rc;
	for (;;) {
		char chunk[CHUNK_SIZE + 1];
		AUTO_BUF struct buf out = BUF_INIT(CHUNK_TEXT_MAX);
		ssize_t n = pread(fd, chunk, CHUNK_SIZE, (off_t)l->offsets[i]);
		if (n < 0) return err_set_errno(err, errno, "cannot read %s/%s", l->dir, name);
		if (n == 0) return 0;
		chunk[n] = '\0';
		if (!l->step && l->shown != name)
			buf_addf(&out, "%s==> %s <==\n", l->shown ? "\n" : "", step_id(name, &l->ctx->arena));
		l->shown = name;
		add_text(l, chunk, (size_t)n, &out);
		l->offsets[i] += n;
		l->code = cli_print(&out);
		if (l->code != EXIT_OK_ || ferror(stdout)) { /* or the reader is gone */
			*ret_has_ended = true;
			return 0;
		}
	}
}

static int show_new(struct logs *l, struct err *err, bool *ret_has_ended) {
	const char *shown = l->shown; /* names are listed anew */
	int rc = list_logs(l, err);
	for (size_t i = 0; i < l->names.count; i++)
		if (str_eq(l->names.items[i], shown)) l->shown = l->names.items[i];
	for (size_t i = 0; !rc && !*ret_has_ended && i < l->names.count; i++) rc = show_log(l, i, err, ret_has_ended);
	return rc;
}

static bool step_is_over(const struct logs *l, const struct run_view *view) {
	for (size_t i = 0; l->step && i < view->count; i++)
		if (str_eq(view->steps[i].id, l->step) || str_eq(arena_printf(&l->ctx->arena, "%zu", i + 1), l->step))
			return view->steps[i].status > STEP_RUNNING;
	return false;
}

/* True when nothing more will be written: the run, or the step asked for, has ended, or a newer run has begun. */
static bool is_over(const struct logs *l) {
	AUTO_JS struct js *js = NULL;
	AUTO_ARENA struct arena arena = {0};
	struct err ignored = {0};
	struct run_view view;
	bool is_system = false;
	if (context_status(l->ctx, &js, &is_system, &ignored)) return true;
	if (!str_eq(js_get_str(js, "run_id"), l->run_id)) return true;
	report_status_view(js, &arena, &view);
	bool goes_on = view.status == RUN_RUNNING || view.status == RUN_READY || view.status == RUN_READY_WITH_WARNINGS;
	return view.ended_at_ms || !goes_on || step_is_over(l, &view);
}

static int refuse_step(struct logs *l, struct err *err) {
	AUTO_STRS struct strs ids = {0};
	const char *wanted = l->step;
	l->step = NULL;
	int rc = list_logs(l, err);
	if (rc) return rc;
	for (size_t i = 0; i < l->names.count; i++) strs_add(&ids, step_id(l->names.items[i], &l->ctx->arena));
	if (!ids.count) return err_set(err, ERR_NOT_FOUND, "no step of run %s wrote anything", l->run_id);
	const char *near = str_nearest(wanted, ids.items, ids.count);
	if (near)
		return err_set(err, ERR_NOT_FOUND, "run %s has no log of a step '%s'; did you mean '%s'?", l->run_id,
			       wanted, near);
	return err_set(err, ERR_NOT_FOUND, "run %s has no log of a step '%s'; it has those of %s", l->run_id, wanted,
		       strs_join(&ids, ", ", &l->ctx->arena));
}

static int refuse_run(const struct logs *l, const char *wanted, const struct strs *runs, struct err *err) {
	int rc = runs->count ? 0 : context_deny_system(l->ctx, "logs", err);
	if (rc) return rc;
	if (!runs->count) return err_set(err, ERR_NOT_FOUND, "nothing has run here yet: there are no logs");
	return err_set(err, ERR_NOT_FOUND, "there is no run '%s'; the last one is '%s', all are in %s", wanted,
		       runs->items[runs->count - 1], l->runs);
}

static int find_run(struct logs *l, const char *wanted, struct err *err) {
	AUTO_STRS struct strs runs = {0};
	struct context_paths paths;
	int rc = context_root(l->ctx, &l->root, err);
	if (!rc) rc = context_paths(l->ctx, &paths, err);
	if (rc) return rc;
	l->runs = arena_printf(&l->ctx->arena, "%s/runs", paths.state_dir);
	rc = fs_list(l->root, l->runs, &l->ctx->arena, &runs, err); /* run ids sort by time */
	if (rc) return rc;
	if (!runs.count || (wanted && !strs_has(&runs, wanted))) return refuse_run(l, wanted, &runs, err);
	l->run_id = wanted ? wanted : runs.items[runs.count - 1];
	l->dir = arena_printf(&l->ctx->arena, "%s/%s", l->runs, l->run_id);
	return 0;
}

static int show(struct logs *l, bool is_following, struct err *err) {
	for (bool has_ended = false;;) {
		bool is_last = !is_following || is_over(l); /* asked first: what was written until then is shown */
		int rc = show_new(l, err, &has_ended);
		if (rc || has_ended) return rc;
		if (is_last) break;
		clock_sleep_ms(FOLLOW_MS);
	}
	return l->step && !l->names.count ? refuse_step(l, err) : 0;
}

int cmd_logs(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	struct logs l = {.ctx = ctx, .step = args.count ? args.items[0] : NULL};
	l.is_terminal = show_style_of(STDOUT_FILENO).is_terminal;
	int rc = find_run(&l, o.run, &err);
	if (!rc) rc = show(&l, o.is_following, &err);
	strs_clear(&l.names);
	return rc ? cli_fail(EXIT_NO_START, &err) : l.code;
}
