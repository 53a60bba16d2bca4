#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "report/show.h"
#include "report/status_js.h"

#define POLL_MS 500
#define SUMMARY_MAX (64 * 1024)

struct options {
	int64_t timeout_ms;
	bool is_strict;
};

static const struct opt opts[] = {
	{"timeout", 0, "TIME", "give up after this long (\"30m\") with exit code 4; without it, never", OPT_DURATION,
	 offsetof(struct options, timeout_ms), 0, 0},
	{"strict", 0, NULL, "end with 6 instead of 0 when it is ready with warnings", OPT_FLAG,
	 offsetof(struct options, is_strict), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "wait",
	.arguments = "",
	.description =
		"Waits until the run is ready (0) or has failed (1); first for a run to appear, if there is none.",
	.opts = opts,
	.example = "dsagent wait --timeout 30m && echo ready",
	.has_json = true,
};

/* OPT_GO while there is no verdict yet. "rebooting" is none: the run goes on afterwards. */
static int verdict(const struct js *js, bool is_strict) {
	const char *status = js_get_str(js, "status");
	if (str_eq(status, run_status_name(RUN_READY))) return EXIT_OK_;
	if (str_eq(status, run_status_name(RUN_READY_WITH_WARNINGS))) return is_strict ? EXIT_WITH_WARNINGS : EXIT_OK_;
	if (str_eq(status, run_status_name(RUN_FAILED)) || str_eq(status, run_status_name(RUN_INTERRUPTED)))
		return EXIT_STEP_FAILED;
	return OPT_GO;
}

static int print_end(struct context *ctx, const struct js *js, bool is_system, int code) {
	if (ctx->is_json) return cli_print_json(js) == EXIT_OK_ ? code : EXIT_NO_START;
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf out = BUF_INIT(SUMMARY_MAX);
	struct run_view view;
	report_status_view(js, &arena, &view);
	if (view.ended_at_ms || code == EXIT_STEP_FAILED)
		show_summary(&view, is_system, &out);
	else
		buf_addf(&out, "%s; background steps go on\n", run_status_name(view.status));
	return cli_print(&out) == EXIT_OK_ ? code : EXIT_NO_START;
}

static int time_out(const struct js *js, int64_t timeout_ms) {
	struct err err = {0};
	char took[SHOW_DURATION_SIZE];
	const char *progress = js ? js_get_str(js, "progress") : NULL;
	(void)err_set(&err, ERR_TIMEOUT, "not ready after %s: %s", show_seconds(timeout_ms, took),
		      progress ? progress : "no run has appeared");
	return cli_fail(EXIT_WAIT_TIMEOUT, &err);
}

int cmd_wait(struct context *ctx, int argc, char **argv) {
	struct options o = {.timeout_ms = -1};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	bool is_told = false;
	for (int64_t start = clock_mono_ms();;) {
		AUTO_JS struct js *js = NULL;
		bool is_system = false;
		int rc = context_status(ctx, &js, &is_system, &err);
		if (rc && rc != -ERR_NOT_FOUND) return cli_fail(EXIT_NO_START, &err);
		code = js ? verdict(js, o.is_strict) : OPT_GO;
		if (code != OPT_GO) return print_end(ctx, js, is_system, code);
		int64_t left = o.timeout_ms < 0 ? POLL_MS : o.timeout_ms - (clock_mono_ms() - start);
		if (left <= 0) return time_out(js, o.timeout_ms);
		if (!js && !is_told) (void)fputs("dsagent: nothing has run yet; waiting for a run to appear\n", stderr);
		is_told = true;
		clock_sleep_ms(left < POLL_MS ? left : POLL_MS);
	}
}
