#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "aws/fetch.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/boot.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "engine/manifest.h"
#include "engine/run.h"
#include "engine/state.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "io/http.h"
#include "recipe/facts.h"
#include "recipe/plan.h"
#include "report/report.h"

/* Another apply may install for a long time; past this somebody should look. */
#define LOCK_WAIT_MS (60LL * 60 * 1000)
#define LOCK_POLL_MS 500
#define LOCK_SAY_EVERY_MS (30LL * 1000)
/* Logs of older runs go when a new one begins. */
#define RUNS_KEPT 20
#define TAG_INTERVAL_MS (15LL * 1000)
/* With full jitter 20 throttled calls take two minutes: well within the budget of the last state. */
#define TAG_BACKOFF_BASE_MS 1000
#define TAG_BACKOFF_CAP_MS (12LL * 1000)
#define TAG_FINAL_BUDGET_MS (5LL * 60 * 1000)
/* By hand one waits only a moment for the last tags; the sender goes on by itself. */
#define TAG_LINGER_HAND_MS (3LL * 1000)
#define SINKS_MAX 5
/* systemctl only asks for it. */
#define REBOOT_MS (60LL * 1000)

struct apply_options {
	bool is_boot, no_tags, no_wait, is_verbose;
	struct strs vars, only;
	const char *from, *locked;
	int64_t jobs;
};

#define AT(member) offsetof(struct apply_options, member)
static const struct opt options[] = {
	{"boot", 0, NULL, "as the service does: patient with metadata, plain lines, console", OPT_FLAG, AT(is_boot), 0,
	 0},
	{"var", 0, "K=V", "set a variable of the recipe", OPT_TEXTS, AT(vars), 0, 0},
	{"only", 0, "ID", "run only this step; may be given again", OPT_TEXTS, AT(only), 0, 0},
	{"from", 0, "ID", "leave out the steps above this one", OPT_TEXT, AT(from), 0, 0},
	{"locked", 0, "FILE", "the versions of a manifest.json and no others, or fail", OPT_TEXT, AT(locked), 0, 0},
	{"no-tags", 0, NULL, "set no EC2 tags", OPT_FLAG, AT(no_tags), 0, 0},
	{"jobs", 'j', "N", "most steps at once (4)", OPT_INT, AT(jobs), 1, RUN_JOBS_MAX},
	{"no-wait", 0, NULL, "end with 3 if another dsagent is at work", OPT_FLAG, AT(no_wait), 0, 0},
	{"verbose", 'v', NULL, "show the commands' output", OPT_FLAG, AT(is_verbose), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "apply",
	.arguments = "[RECIPE...]",
	.description =
		"Looks at what is there, then does what is missing, and says so live, in status.json and in EC2 tags.\n"
		"RECIPE is a built-in name, a path, - for standard input, or s3:// or https://...#sha256=...; without "
		"one,\n"
		"all of /etc/dsagent/recipes.d/. Run it as often as you like.",
	.opts = options,
	.example = "sudo dsagent apply daily-driver --var venv=/opt/py",
	.max_args = 64,
	.has_json = true,
};

/* All that one apply holds; cleared in one place. */
struct apply {
	struct context *ctx;
	struct apply_options opts;
	struct context_paths paths;
	const struct fs_root *root;
	const struct facts *facts;
	const struct plan *plan;
	struct fetch *fetch;
	struct state *state;
	struct js *lock;
	struct sink *sinks[SINKS_MAX + 1];
	size_t sink_count;
	int lock_fd;
	const char *run_id, *log_dir;
};

static void add_sink(struct apply *a, struct sink *sink) { a->sinks[a->sink_count++] = sink; }

static int take_lock(struct apply *a, struct err *err) {
	const char *path = arena_printf(&a->ctx->arena, "%s/lock", a->paths.run_dir);
	int rc = fs_mkdirs(a->root, a->paths.run_dir, 0755, (uid_t)-1, (gid_t)-1, err);
	if (!rc) rc = fs_mkdirs(a->root, a->paths.state_dir, 0700, (uid_t)-1, (gid_t)-1, err);
	if (rc) return rc;
	int64_t start = clock_mono_ms(), say_at = start;
	for (;;) {
		pid_t holder = 0;
		rc = fs_lock(a->root, path, &a->lock_fd, &holder, err);
		if (rc != -ERR_BUSY) return rc;
		int64_t now = clock_mono_ms();
		if (a->opts.no_wait) return err_set(err, ERR_BUSY, "another dsagent (pid %d) is at work", (int)holder);
		if (now - start >= LOCK_WAIT_MS)
			return err_set(err, ERR_BUSY,
				       "waited an hour for the other dsagent (pid %d); see `dsagent status`",
				       (int)holder);
		if (now >= say_at) {
			const char *waited = now - start < 1000 ? "" : str_duration(now - start, &a->ctx->arena);
			log_info("waiting %s%sfor the other dsagent (pid %d) to end; `dsagent status` shows what it "
				 "does",
				 waited, *waited ? " " : "", (int)holder);
			say_at = now + LOCK_SAY_EVERY_MS;
		}
		clock_sleep_ms(LOCK_POLL_MS);
	}
}

/* 2026-11-20T13:05:01.062Z → 20261120-130501-03e7: milliseconds and a random digit at the end, so that ids sort by
 * time. */
static void make_run_id(struct apply *a) {
	char iso[CLOCK_ISO8601_SIZE];
	int64_t now = clock_now_ms();
	unsigned suffix = (unsigned)(now % 1000) << 4 | (unsigned)clock_random(16);
	(void)clock_iso8601(now, iso);
	a->run_id = arena_printf(&a->ctx->arena, "%.4s%.2s%.2s-%.2s%.2s%.2s-%04x", iso, iso + 5, iso + 8, iso + 11,
				 iso + 14, iso + 17, suffix);
	a->log_dir = arena_printf(&a->ctx->arena, "%s/runs/%s", a->paths.state_dir, a->run_id);
}

/* Run ids sort by time. A log that cannot be removed is no reason not to work. */
static void prune_runs(const struct apply *a) {
	const char *runs = arena_printf(&a->ctx->arena, "%s/runs", a->paths.state_dir);
	struct strs names AUTO_STRS = {0};
	struct err ignored = {0};
	if (fs_list(a->root, runs, &a->ctx->arena, &names, &ignored)) return;
	for (size_t i = 0; i + RUNS_KEPT < names.count; i++) {
		const char *path = arena_printf(&a->ctx->arena, "%s/%s", runs, names.items[i]);
		if (fs_remove(a->root, path, true, &ignored)) log_debug("%s: %s", path, ignored.msg);
	}
}

static int open_state(struct apply *a, struct err *err) {
	struct state_machine machine = {.instance_id = a->facts->instance.instance_id, .boot_id = a->facts->os.boot_id};
	bool was_damaged = false;
	int rc = state_open(a->root, a->paths.state_dir, &machine, &a->state, &was_damaged, err);
	if (!rc && was_damaged)
		log_warning("%s/state.json could not be read; it is kept as state.json.damaged and every step is "
			    "looked at anew",
			    a->paths.state_dir);
	return rc;
}

static int open_tags(struct apply *a, struct err *err) {
	if (a->opts.no_tags || !a->facts->has_instance) {
		if (!a->opts.no_tags && a->facts->metadata_error[0] != '\0')
			log_warning("no EC2 tags: %s", a->facts->metadata_error);
		return 0;
	}
	struct report_tags_conf conf = {
		.instance_id = a->facts->instance.instance_id,
		.status_path = fs_host_path(a->root, arena_printf(&a->ctx->arena, "%s/status.json", a->paths.run_dir),
					    &a->ctx->arena),
		.interval_ms = TAG_INTERVAL_MS,
		.backoff_base_ms = TAG_BACKOFF_BASE_MS,
		.backoff_cap_ms = TAG_BACKOFF_CAP_MS,
		.final_budget_ms = TAG_FINAL_BUDGET_MS,
		.linger_ms = a->opts.is_boot ? TAG_FINAL_BUDGET_MS : TAG_LINGER_HAND_MS,
		.open_aws = context_open_aws,
		.arg = a->ctx,
	};
	struct sink *tags = NULL;
	int rc = report_tags(&conf, &tags, err);
	if (!rc) add_sink(a, tags);
	return rc;
}

static int open_sinks(struct apply *a, struct err *err) {
	enum term_mode mode = a->ctx->is_json ? TERM_JSON : a->opts.is_boot ? TERM_PLAIN : TERM_AUTO;
	add_sink(a, report_term(STDOUT_FILENO, mode, a->opts.is_verbose));
	struct sink *status = NULL;
	int rc = report_status(a->root, a->paths.run_dir, a->log_dir, &status, err);
	if (rc) return rc;
	add_sink(a, status);
	if (a->opts.is_boot) add_sink(a, report_console(a->root, true));
	return open_tags(a, err);
}

static void apply_clear(struct apply *a) {
	for (size_t i = 0; i < a->sink_count; i++) a->sinks[i]->close(a->sinks[i]);
	state_free(a->state);
	js_free(a->lock);
	if (a->lock_fd >= 0) (void)close(a->lock_fd);
	strs_clear(&a->opts.vars);
	strs_clear(&a->opts.only);
}

static enum exit_code exit_code(const struct run_result *result) {
	switch (result->status) {
	case RUN_READY:
	case RUN_READY_WITH_WARNINGS:
	case RUN_REBOOTING: return EXIT_OK_;
	case RUN_INTERRUPTED: return EXIT_SIGNAL_BASE + (unsigned)result->signal;
	case RUN_RUNNING:
	case RUN_FAILED: return EXIT_STEP_FAILED;
	}
	return EXIT_STEP_FAILED;
}

static int refuse(const struct apply *a, struct diags *diags) {
	const struct fs_root *root = NULL;
	struct err ignored = {0}; /* then stderr is all there is */
	if (!a->opts.is_boot || context_root(a->ctx, &root, &ignored)) return cli_diags(diags);
	return boot_refuse(a->ctx, root, diags);
}

/* Everything up to the plan: what is wrong here is a usage error, and nothing has been touched. */
static int make_plan(struct apply *a, const struct strs *names) {
	struct diags diags AUTO_DIAGS = {.arena = &a->ctx->arena};
	struct err err = {0};
	const struct recipe *recipe = context_recipe(a->ctx, names, &a->opts.vars, false, &diags);
	if (!recipe) return refuse(a, &diags);
	if (context_facts(a->ctx, &a->facts, &err)) return cli_fail(EXIT_NO_START, &err);
	if (a->opts.locked && manifest_read_lock(a->opts.locked, a->facts, &a->lock, &err))
		return cli_fail(EXIT_USAGE, &err);
	struct plan_options how = {.facts = a->facts, .env = a->ctx->env, .only = a->opts.only, .from = a->opts.from};
	a->plan = plan_build(recipe, &how, &a->ctx->arena, &diags);
	return a->plan ? EXIT_OK_ : refuse(a, &diags);
}

static int start(struct apply *a, struct err *err) {
	int rc = context_root(a->ctx, &a->root, err);
	if (!rc) rc = context_paths(a->ctx, &a->paths, err);
	if (!rc) rc = take_lock(a, err);
	if (!rc) rc = open_state(a, err);
	if (!rc) rc = context_fetch(a->ctx, &a->fetch, err);
	if (rc) return rc;
	prune_runs(a);
	make_run_id(a);
	http_disconnect(a->fetch->http); /* workers are forked: no connection may be shared with them */
	return open_sinks(a, err);
}

/* A box without its manifest works: it is said, and no failure. An interrupted run ends at once; the next one records.
 */
static void record(const struct apply *a, const struct run_options *how, const struct run_result *result) {
	struct err err = {0};
	bool is_partial = a->opts.only.count || a->opts.from;
	if (result->status == RUN_INTERRUPTED) return;
	if (manifest_update(how, result, a->paths.state_dir, is_partial, &err))
		log_warning("what was installed could not be written down: %s", err.msg);
}

static int run(struct apply *a, struct run_result *ret_result, struct err *err) {
	struct run_options how = {
		.plan = a->plan,
		.facts = a->facts,
		.root = a->root,
		.fetch = a->fetch,
		.state = a->state,
		.lock = a->lock,
		.env = run_environment(a->facts, a->ctx->env, &a->ctx->arena),
		.sinks = a->sinks,
		.run_id = a->run_id,
		.version = DSAGENT_VERSION,
		.state_dir = a->paths.state_dir,
		.log_dir = a->log_dir,
		.jobs = (unsigned)a->opts.jobs,
	};
	int rc = run_plan(&how, ret_result, err);
	if (!rc) record(a, &how, ret_result);
	return rc;
}

/* Every user may read the process list for as long as the run takes, and a variable may be a secret. */
static void hide_vars(struct apply *a) {
	for (size_t i = 0; i < a->opts.vars.count; i++) {
		char *typed = (char *)a->opts.vars.items[i]; /* argv's own bytes, ours to write */
		char *value = strchr(typed, '=');
		a->opts.vars.items[i] = arena_strdup(&a->ctx->arena, typed);
		if (value) memset(value + 1, '*', strlen(value + 1));
	}
}

/* The last thing: everything is reported, written and unlocked. systemd ends us with the rest of the machine. */
static int reboot(int code) {
	const char *argv[] = {"systemctl", "reboot", NULL};
	struct exec_spec spec = {.argv = argv, .timeout_ms = REBOOT_MS};
	struct err err = {0};
	if (!exec_check(&spec, NULL, &err)) return code;
	(void)err_wrap(&err, "the machine does not reboot; reboot it by hand and apply again");
	return cli_fail(EXIT_STEP_FAILED, &err);
}

int cmd_apply(struct context *ctx, int argc, char **argv) {
	struct apply a = {.ctx = ctx, .lock_fd = -1};
	struct strs names AUTO_STRS = {0};
	struct err err = {0};
	struct run_result result = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &a.opts, &names);
	if (code != OPT_GO) return code;
	hide_vars(&a);
	ctx->is_at_boot = a.opts.is_boot;
	(void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end the work */
	code = make_plan(&a, &names);
	if (code == EXIT_OK_) {
		int rc = start(&a, &err);
		if (rc)
			code = cli_fail(EXIT_NO_START, &err);
		else if (run(&a, &result, &err))
			code = cli_fail(EXIT_STEP_FAILED, &err);
		else
			code = (int)exit_code(&result);
	}
	apply_clear(&a);
	if (code == EXIT_OK_ && result.status == RUN_REBOOTING) code = reboot(code);
	return code;
}
