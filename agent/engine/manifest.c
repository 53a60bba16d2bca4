#include "engine/manifest.h"

#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/run.h"
#include "engine/worker.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

/* Some hundred bytes a package; a venv of 400 wheels and 300 R packages is 100 KB. */
#define MANIFEST_BYTES_MAX (16 * 1024 * 1024)
/* One query of the package database, or the reading of a venv. */
#define RECORD_TIMEOUT_MS (60 * 1000)
#define R_PACKAGES_MAX 10000
#define DESCRIPTION_BYTES_MAX (256 * 1024)

/* Where R puts what is installed from CRAN as root: "R Installation and Administration", 6.1, and .libPaths() of Debian
 * and Amazon Linux. What comes from the distribution is in the package database. */
static const char *const r_libraries[] = {"/usr/local/lib/R/site-library", "/usr/local/lib64/R/library",
					  "/usr/lib64/R/library", NULL};

static int read_manifest(const struct fs_root *root, const char *path, struct js **ret_js, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(MANIFEST_BYTES_MAX);
	AUTO_JS struct js *js = NULL;
	int rc = fs_read(root, path, &text, err);
	if (!rc) rc = js_parse(buf_str(&text), text.len, &js, err);
	if (!rc && js_get_int(js, "version", 0) != MANIFEST_VERSION)
		rc = err_set(err, ERR_INVALID, "it is no manifest of version %d", MANIFEST_VERSION);
	if (rc) return rc;
	*ret_js = js;
	js = NULL;
	return 0;
}

static bool is_younger(const struct stat *a, const struct stat *b) {
	return a->st_mtim.tv_sec > b->st_mtim.tv_sec ||
	       (a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec > b->st_mtim.tv_nsec);
}

static bool is_of_recipe(const struct js *manifest, const struct plan *plan) {
	const struct js *recipe = js_get(manifest, "recipe");
	return str_eq(js_get_str(recipe, "hash"), plan->hash) && str_eq(js_get_str(recipe, "name"), plan->recipe_name);
}

/* True if nothing can have changed since it was written. A step's "running" is in state.json before it begins. */
static bool is_current(const struct run_options *o, const char *dir, const char *path) {
	AUTO_FREE char *state = mem_printf("%s/state.json", dir);
	struct stat own, other;
	struct err ignored = {0};
	if (fs_lstat(o->root, path, &own, &ignored)) return false;
	return fs_lstat(o->root, state, &other, &ignored) || !is_younger(&other, &own);
}

/* The value of a field in a Debian control file, as R's DESCRIPTION is one; in the arena, or NULL. */
static const char *field(const char *text, const char *name, struct arena *arena) {
	size_t len = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) != 0 || line[len] != ':') continue;
		return str_trim(arena_dup(arena, line + len + 1, strcspn(line + len + 1, "\n")));
	}
	return NULL;
}

static void add_r_library(const struct fs_root *root, const char *library, struct arena *arena, struct js *into) {
	AUTO_STRS struct strs names = {0};
	struct err ignored = {0}; /* no R, or not for us to read: nothing to record */
	if (fs_list(root, library, arena, &names, &ignored)) return;
	for (size_t i = 0; i < names.count && i < R_PACKAGES_MAX; i++) {
		AUTO_BUF struct buf text = BUF_INIT(DESCRIPTION_BYTES_MAX);
		const char *path = arena_printf(arena, "%s/%s/DESCRIPTION", library, names.items[i]);
		if (fs_read(root, path, &text, &ignored)) continue;
		const char *version = field(buf_str(&text), "Version", arena);
		if (version) js_set_str(js_child(js_child(into, "r"), library), names.items[i], version);
	}
}

static void add_machine(const struct run_options *o, const struct run_result *result, struct arena *arena,
			struct js *into) {
	char at[CLOCK_ISO8601_SIZE], driver[64];
	const struct facts *facts = o->facts;
	js_set_int(into, "version", MANIFEST_VERSION);
	js_set_str(into, "dsagent", o->version);
	js_set_str(into, "at", clock_iso8601(clock_now_ms(), at));
	js_set_str(into, "run_id", o->run_id);
	js_set_str(into, "status", run_status_name(result->status));
	struct js *recipe = js_child(into, "recipe");
	js_set_str(recipe, "name", o->plan->recipe_name);
	js_set_str(recipe, "hash", o->plan->hash);
	struct js *os = js_child(into, "os");
	js_set_str(os, "id", facts->os.id);
	js_set_str(os, "version", facts->os.version);
	js_set_str(os, "arch", facts->os.arch);
	js_set_str(os, "kernel", facts->os.kernel);
	if (facts->instance.image_id[0]) js_set_str(into, "image_id", facts->instance.image_id);
	fs_read_line(o->root, "/sys/module/nvidia/version", driver, sizeof driver);
	js_set_str(into, "driver", driver[0] ? driver : NULL);
	for (const char *const *library = r_libraries; *library; library++)
		add_r_library(o->root, *library, arena, into);
}

/* One type that cannot be read is no reason to say nothing of the others. */
static void add_steps(const struct run_options *o, struct arena *arena, struct js *into) {
	for (size_t i = 0; i < o->plan->count; i++) {
		const struct plan_step *step = &o->plan->steps[i];
		struct err err = {0};
		struct worker_task task = {.step = step,
					   .facts = o->facts,
					   .root = o->root,
					   .fetch = o->fetch,
					   .env = o->env,
					   .state_dir = o->state_dir,
					   .timeout_ms = RECORD_TIMEOUT_MS};
		if (!step->skip_reason && worker_record(&task, into, arena, &err))
			log_warning("the manifest lacks step '%s': %s", step->common.id, err.msg);
	}
}

/* What is kept of an earlier run of the same recipe when this one looked at a part only. */
static struct js *begin(const struct run_options *o, struct js **old, bool is_partial) {
	struct js *js = js_object();
	if (is_partial && *old && is_of_recipe(*old, o->plan)) {
		js_free(js);
		js = *old;
		*old = NULL;
	}
	return js;
}

int manifest_update(const struct run_options *options, const struct run_result *result, const char *dir,
		    bool is_partial, struct err *err) {
	AUTO_FREE char *path = mem_printf("%s/manifest.json", dir);
	AUTO_ARENA struct arena arena = {0};
	AUTO_JS struct js *old = NULL;
	struct err ignored = {0}; /* absent or damaged: written anew */
	bool is_kept = result->changed == 0 && is_current(options, dir, path);
	if ((is_kept || is_partial) && read_manifest(options->root, path, &old, &ignored)) is_kept = false;
	if (is_kept && is_of_recipe(old, options->plan)) return 0;
	AUTO_JS struct js *js = begin(options, &old, is_partial);
	AUTO_BUF struct buf text = BUF_INIT(MANIFEST_BYTES_MAX);
	add_machine(options, result, &arena, js);
	add_steps(options, &arena, js);
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	int rc = buf_check(&text, "the manifest", err);
	if (rc) return rc;
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	return fs_write(options->root, path, text.data, text.len, &how, err);
}

/* Versions of one system mean nothing on another. */
static int check_system(const struct js *lock, const struct facts *facts, struct err *err) {
	const struct js *os = js_get(lock, "os");
	const char *id = js_get_str(os, "id"), *version = js_get_str(os, "version"), *arch = js_get_str(os, "arch");
	if (str_eq(id, facts->os.id) && str_eq(version, facts->os.version) && str_eq(arch, facts->os.arch)) return 0;
	return err_set(err, ERR_INVALID,
		       "it is of %s %s on %s, this is %s %s on %s: its versions are not to be had here", id ? id : "?",
		       version ? version : "?", arch ? arch : "?", facts->os.id, facts->os.version, facts->os.arch);
}

int manifest_read_lock(const char *path, const struct facts *facts, struct js **ret_lock, struct err *err) {
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	AUTO_JS struct js *lock = NULL;
	AUTO_FREE char *real = realpath(path, NULL);
	if (!real) return err_set_errno(err, errno, "--locked %s", path);
	int rc = fs_root_open(NULL, &host, err);
	if (!rc) rc = read_manifest(&host, real, &lock, err);
	if (!rc) rc = check_system(lock, facts, err);
	if (rc) return err_wrap(err, "--locked %s", path);
	*ret_lock = lock;
	lock = NULL;
	return 0;
}
