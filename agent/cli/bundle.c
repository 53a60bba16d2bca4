#include "cli/bundle.h"

#include "aws/call.h"
#include "aws/s3_one.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/bundle_text.h"
#include "cli/config.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "fmt/codec.h"
#include "fmt/js.h"
#include "fmt/tar.h"
#include "recipe/facts.h"
#include "recipe/recipe.h"
#include "report/report.h"

#define MEMBER_MAX (4 * 1024 * 1024)
#define LOG_TAIL (256 * 1024)		    /* of one step's log: its end says how it ended */
#define SYSTEM_TAIL (128 * 1024)	    /* of a log of the system */
#define FILE_MAX_BYTES (64LL * 1024 * 1024) /* events.jsonl's own limit */
#define COMMAND_MS 5000
#define COMMAND_MAX (8 * 1024 * 1024)
#define PUT_MS 30000
#define REPORT_SIZE_MAX (1024 * 1024)
#define RECIPE_PREFIX "recipe-"

struct bundle {
	struct context *ctx;
	const struct bundle_run *run;
	struct buf tar, contents;
	const char *folder;
	int64_t now_s;
};

/* Scrubs and adds one member; keep: its last bytes alone, from the beginning of a line. */
static void add(struct bundle *b, const char *name, const char *text, size_t len, size_t keep) {
	AUTO_BUF struct buf clean = BUF_INIT(2 * MEMBER_MAX);
	struct err err = {0};
	size_t cut = len > keep ? len - keep : 0;
	if (cut) {
		const char *line = memchr(text + cut, '\n', len - cut);
		if (line) cut = (size_t)(line + 1 - text);
	}
	/* A secret that the cut would split is still whole here. */
	bundle_scrub(text, len, cut, &clean);
	bool has_room = !clean.has_overflowed && b->tar.len + clean.len < BUNDLE_BYTES_MAX;
	if (!has_room) {
		buf_addf(&b->contents, "%s: left out, the bundle would be too large\n", name);
		return;
	}
	const char *path = arena_printf(&b->ctx->arena, "%s/%s", b->folder, name);
	if (tar_add(path, buf_str(&clean), clean.len, 0600, b->now_s, &b->tar, &err))
		buf_addf(&b->contents, "%s: left out: %s\n", name, err.msg);
	else if (cut)
		buf_addf(&b->contents, "%s: its last %zu of %zu bytes\n", name, len - cut, len);
	else
		buf_addf(&b->contents, "%s\n", name);
}

static void add_text(struct bundle *b, const char *name, const struct buf *text) {
	add(b, name, buf_str(text), text->len, MEMBER_MAX);
}

static void add_js(struct bundle *b, const char *name, const struct js *js) {
	AUTO_BUF struct buf text = BUF_INIT(MEMBER_MAX);
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	add_text(b, name, &text);
}

/* An absent file is no news; one that cannot be read is named. */
static void add_file(struct bundle *b, const char *path, const char *name, size_t keep) {
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);
	struct err err = {0};
	int rc = fs_read(b->run->root, path, &text, &err);
	if (!rc)
		add(b, name, buf_str(&text), text.len, keep);
	else if (rc != -ERR_NOT_FOUND)
		buf_addf(&b->contents, "%s: left out: %s\n", name, err.msg);
}

static void add_command(struct bundle *b, const char *const *argv, const char *name) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct exec_spec spec = {.argv = argv, .timeout_ms = COMMAND_MS, .stdout_max = COMMAND_MAX};
	struct err err = {0};
	int rc = exec_check(&spec, &result, &err);
	if (!rc)
		add(b, name, buf_str(&result.out), result.out.len, SYSTEM_TAIL);
	else if (rc != -ERR_NOT_FOUND)
		buf_addf(&b->contents, "%s: left out: %s\n", name, err.msg);
}

static const char *run_dir(const struct bundle *b) {
	return arena_printf(&b->ctx->arena, "%s/runs/%s", b->run->paths->state_dir, b->run->run_id);
}

/* Logs, events and the recipes of the run, by the names they have. */
static void add_run(struct bundle *b) {
	AUTO_STRS struct strs names = {0};
	const char *dir = run_dir(b);
	bool has_recipe = false;
	struct err err = {0};
	if (fs_list(b->run->root, dir, &b->ctx->arena, &names, &err)) {
		buf_addf(&b->contents, "runs/%s: left out: %s\n", b->run->run_id, err.msg);
		return;
	}
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(&b->ctx->arena, "%s/%s", dir, names.items[i]);
		add_file(b, path, names.items[i], str_ends(names.items[i], ".log") ? LOG_TAIL : MEMBER_MAX);
		if (str_starts(names.items[i], RECIPE_PREFIX)) has_recipe = true;
	}
	if (names.count && !has_recipe)
		buf_adds(&b->contents,
			 RECIPE_PREFIX "N.yaml: left out: a run keeps its recipes when it fails; send them along\n");
}

/* There is one status, of the newest run: beside the logs of an older one it would tell another story. */
static void add_status(struct bundle *b) {
	const struct bundle_run *run = b->run;
	AUTO_JS struct js *js = NULL;
	struct err ignored = {0}; /* what is damaged is evidence too */
	const char *of =
		report_status_read(run->root, run->paths->run_dir, &js, &ignored) ? NULL : js_get_str(js, "run_id");
	if (of && !str_eq(of, run->run_id))
		buf_addf(&b->contents, "status.json: left out: it is of run %s\n", of);
	else
		add_file(b, arena_printf(&b->ctx->arena, "%s/status.json", run->paths->run_dir), "status.json",
			 MEMBER_MAX);
}

static void add_state(struct bundle *b) {
	static const char *const files[] = {"state.json", "manifest.json", "boot.log"};
	const struct bundle_run *run = b->run;
	struct arena *arena = &b->ctx->arena;
	if (run->view) {
		AUTO_JS struct js *js = report_status_js(run->view, getpid());
		add_js(b, "status.json", js);
	} else {
		add_status(b);
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		add_file(b, arena_printf(arena, "%s/%s", run->paths->state_dir, files[i]), files[i], MEMBER_MAX);
}

static void add_system(struct bundle *b) {
	static const char *const logs[] = {"/var/log/cloud-init.log", "/var/log/cloud-init-output.log",
					   "/var/log/apt/term.log", "/var/log/dnf.log"};
	const char *const dmesg[] = {"dmesg", NULL};
	const char *const journal[] = {"journalctl", "-q", "--no-pager", "-n", "1000", "-u", "dsagent.service", NULL};
	for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
		add_file(b, logs[i], arena_printf(&b->ctx->arena, "system/%s", strrchr(logs[i], '/') + 1), SYSTEM_TAIL);
	if (!fs_root_is_host(b->run->root)) return; /* these are the machine's, not the tree's */
	add_command(b, dmesg, "system/dmesg");
	if (fs_exists(b->run->root, "/run/systemd/system")) add_command(b, journal, "system/journal");
}

static void add_findings(struct bundle *b) {
	const struct facts *facts = NULL;
	struct rows rows = {.arena = &b->ctx->arena};
	struct config config = config_default();
	struct err err = {0};
	if (context_facts(b->ctx, &facts, &err)) {
		buf_addf(&b->contents, "facts.json, doctor.json: left out: %s\n", err.msg);
		return;
	}
	AUTO_JS struct js *known = facts_to_js(facts);
	add_js(b, "facts.json", known);
	doctor_all(b->ctx, facts, b->run->root, NULL, &config, clock_mono_ms(), &rows);
	AUTO_JS struct js *found = rows_js(&rows);
	add_js(b, "doctor.json", found);
}

static void add_version(struct bundle *b) {
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "dsagent", DSAGENT_VERSION);
	js_set_str(js, "run_id", b->run->run_id);
	add_js(b, "version.json", js);
}

/* The recipes of the machine; of the run itself there is what it kept when it failed. */
static void add_recipes(struct bundle *b) {
	AUTO_STRS struct strs names = {0};
	struct err ignored = {0};
	if (fs_list(b->run->root, RECIPE_DIR, &b->ctx->arena, &names, &ignored)) return;
	for (size_t i = 0; i < names.count; i++) {
		AUTO_BUF struct buf text = BUF_INIT(MEMBER_MAX), safe = BUF_INIT(MEMBER_MAX);
		const char *path = arena_printf(&b->ctx->arena, "%s%s", RECIPE_DIR, names.items[i]);
		if (!str_ends(names.items[i], ".yaml") || fs_read(b->run->root, path, &text, &ignored)) continue;
		bundle_recipe(buf_str(&text), text.len, &b->ctx->arena, &safe);
		add_text(b, arena_printf(&b->ctx->arena, "recipes.d/%s", names.items[i]), &safe);
	}
}

int bundle_make(struct context *ctx, const struct bundle_run *run, struct buf *ret_packed, struct err *err) {
	struct bundle b = {.ctx = ctx,
			   .run = run,
			   .tar = BUF_INIT(BUNDLE_BYTES_MAX + 2 * MEMBER_MAX),
			   .contents = BUF_INIT(REPORT_SIZE_MAX),
			   .folder = arena_printf(&ctx->arena, "dsagent-%s", run->run_id),
			   .now_s = clock_now_ms() / 1000};
	add_version(&b);
	add_state(&b);
	add_run(&b);
	add_recipes(&b);
	add_findings(&b);
	add_system(&b);
	const char *path = arena_printf(&ctx->arena, "%s/CONTENTS", b.folder);
	int rc = buf_check(&b.contents, "the list of contents", err);
	if (!rc) rc = tar_add(path, buf_str(&b.contents), b.contents.len, 0600, b.now_s, &b.tar, err);
	tar_end(&b.tar);
	if (!rc) rc = buf_check(&b.tar, "the bundle", err);
	if (!rc) codec_gzip(b.tar.data, b.tar.len, ret_packed);
	if (!rc) rc = buf_check(ret_packed, "the bundle", err);
	buf_clear(&b.tar);
	buf_clear(&b.contents);
	return rc;
}

/* A file of its own for every document; includes may have the same name. */
static int keep_recipes(struct context *ctx, const struct bundle_run *run, struct err *err) {
	static const struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	for (size_t i = 0; i < run->recipe->text_count; i++) {
		const struct recipe_text *t = &run->recipe->texts[i];
		AUTO_BUF struct buf safe = BUF_INIT(MEMBER_MAX);
		bundle_recipe(t->data, t->len, &ctx->arena, &safe);
		const char *path = arena_printf(&ctx->arena, "%s/runs/%s/" RECIPE_PREFIX "%zu.yaml",
						run->paths->state_dir, run->run_id, i + 1);
		int rc = fs_write(run->root, path, buf_str(&safe), safe.len, &how, err);
		if (rc) return rc;
	}
	return 0;
}

static int upload(struct context *ctx, const struct bundle_run *run, const char *to, const char **ret_url,
		  struct err *err) {
	static const struct retry_policy twice = {.base_ms = 500, .cap_ms = 2000, .budget_ms = 20000, .attempts = 3};
	AUTO_BUF struct buf packed = BUF_INIT(BUNDLE_BYTES_MAX);
	const struct facts *facts = NULL;
	struct aws *aws = NULL;
	int rc = bundle_make(ctx, run, &packed, err);
	if (!rc) rc = context_facts(ctx, &facts, err);
	if (!rc) rc = context_aws(ctx, &aws, err);
	if (rc) return rc;
	const char *who = facts->has_instance ? facts->instance.instance_id : facts->os.hostname;
	const char *url =
		arena_printf(&ctx->arena, "%s%s%s/%s.tar.gz", to, str_ends(to, "/") ? "" : "/", who, run->run_id);
	rc = s3_one_put(aws, url, packed.data, packed.len, "application/gzip", &twice, PUT_MS, err);
	if (!rc) *ret_url = url;
	return rc;
}

void bundle_keep(struct context *ctx, const struct bundle_run *run, const char *to, char *where, size_t size) {
	struct err err = {0};
	const char *url = NULL;
	if (run->recipe && keep_recipes(ctx, run, &err)) log_warning("the recipe is not kept: %s", err.msg);
	if (!to) return;
	if (upload(ctx, run, to, &url, &err)) {
		log_warning("no bundle was uploaded: %s", err.msg);
		return;
	}
	log_info("a bundle for a bug report is in %s", url);
	(void)snprintf(where, size, "%s", url); /* a key has 1024 bytes at most; a longer one is cut */
}
