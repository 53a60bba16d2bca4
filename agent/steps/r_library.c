#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/r.h"

#define DESCRIPTION_MAX (256 * 1024)
#define RECORD_MAX (1024 * 1024)
#define RECORD_NAME ".dsagent.json"
#define RECORD_DIR "/usr/local/lib/R"

/* .libPaths() of Debian, Ubuntu, Fedora and Amazon Linux ("R Installation and Administration", 6.1). */
static const char *const libraries[] = {
	"/usr/local/lib/R/site-library",
	"/usr/local/lib64/R/library",
	"/usr/lib/R/site-library",
	"/usr/lib64/R/library",
	"/usr/lib/R/library",
	"/usr/share/R/library",
	"/usr/local/lib/R/library",
	NULL,
};

void r_run_clear(struct r_run *run) {
	strs_clear(&run->names);
	strs_clear(&run->absent);
	strs_clear(&run->doubtful);
	strs_clear(&run->bad);
}

/* The value of "Field: value" in a DESCRIPTION (DCF), or NULL. */
static const char *dcf_value(const char *text, const char *field, struct arena *arena) {
	size_t len = strlen(field);
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			return str_trim(arena_dup(arena, line + len + 1, strcspn(line + len + 1, "\n")));
	return NULL;
}

/* R writes "Built:" when a package is installed: without it, it is half of one. */
static const char *version_in(const struct r_run *run, const char *library, const char *name) {
	AUTO_BUF struct buf text = BUF_INIT(DESCRIPTION_MAX);
	struct arena *arena = run->ctx->arena;
	struct err ignored; /* not there, or unreadable: not installed */
	if (fs_read(run->ctx->machine.root, arena_printf(arena, "%s/%s/DESCRIPTION", library, name), &text, &ignored) <
	    0)
		return NULL;
	return dcf_value(buf_str(&text), "Built", arena) ? dcf_value(buf_str(&text), "Version", arena) : NULL;
}

const char *r_installed(const struct r_run *run, const char *name) {
	const char *version = run->p->library ? version_in(run, run->p->library, name) : NULL;
	for (size_t i = 0; !version && libraries[i]; i++) version = version_in(run, libraries[i], name);
	return version;
}

static const char *record_path(const struct r_run *run) {
	return arena_printf(run->ctx->arena, "%s/%s", run->p->library ? run->p->library : RECORD_DIR, RECORD_NAME);
}

/* The record of this R, or NULL: what another version of R has loaded proves nothing. */
static struct js *read_record(const struct r_run *run) {
	AUTO_BUF struct buf text = BUF_INIT(RECORD_MAX);
	struct js *record = NULL;
	struct err ignored; /* no record, or a damaged one: loaded anew */
	if (fs_read(run->ctx->machine.root, record_path(run), &text, &ignored) < 0 ||
	    js_parse(buf_str(&text), text.len, &record, &ignored) < 0)
		return NULL;
	if (str_eq(js_get_str(record, "r"), run->version)) return record;
	js_free(record);
	return NULL;
}

int r_look(struct r_run *run, struct err *err) {
	char path[256];
	AUTO_JS struct js *record = NULL;
	const struct r_params *p = run->p;
	strs_clear(&run->absent);
	strs_clear(&run->doubtful);
	const char *base = r_installed(run, "base");
	run->version = base ? base : "";
	run->has_r = exec_find(run->ctx->machine.root, "Rscript", path, sizeof path);
	for (size_t i = 0; i < p->cran.count; i++) strs_add_once(&run->names, p->cran.items[i]);
	for (size_t i = 0; i < p->bioconductor.count; i++) strs_add_once(&run->names, p->bioconductor.items[i]);
	record = read_record(run);
	for (size_t i = 0; i < run->names.count; i++) {
		const char *name = run->names.items[i], *version = r_installed(run, name);
		const char *loaded = js_get_str(js_get(record, "loaded"), name);
		if (!version)
			strs_add(&run->absent, name);
		else if (!str_eq(loaded, version))
			strs_add(&run->doubtful, name);
	}
	return 0;
}

static void keep_member(const char *key, const struct js *value, void *arg) {
	const char *version = js_str(value);
	if (version) js_set_str(arg, key, version);
}

int r_record(struct r_run *run, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(RECORD_MAX);
	AUTO_JS struct js *record = js_object(), *before = read_record(run);
	struct js *loaded = js_object();
	struct step_ctx *ctx = run->ctx;
	if (js_get(before, "loaded")) js_each(js_get(before, "loaded"), keep_member, loaded);
	for (size_t i = 0; i < run->names.count; i++)
		js_set_str(loaded, run->names.items[i], r_installed(run, run->names.items[i]));
	js_set_str(record, "r", run->version);
	js_set(record, "loaded", loaded);
	js_print(record, JS_COMPACT, &text);
	buf_addc(&text, '\n');
	struct fs_write how = {.mode = 0644,
			       .uid = ctx->user ? ctx->user->uid : (uid_t)-1,
			       .gid = ctx->user ? ctx->user->gid : (gid_t)-1};
	const char *dir = run->p->library ? run->p->library : RECORD_DIR;
	int r = fs_mkdirs(ctx->machine.root, dir, 0755, how.uid, how.gid, err);
	return r < 0 ? r : fs_write(ctx->machine.root, record_path(run), buf_str(&text), text.len, &how, err);
}

struct locked {
	const char *name, *version;
};

static void find_locked(const char *library, const struct js *packages, void *arg) {
	struct locked *l = arg;
	if (!l->version) l->version = js_get_str(packages, l->name);
}

int r_lock_check(const struct r_run *run, struct err *err) {
	const struct js *r = js_get(run->ctx->lock, "r");
	for (size_t i = 0; r && i < run->names.count; i++) {
		struct locked l = {.name = run->names.items[i]};
		const char *version = r_installed(run, l.name);
		js_each(r, find_locked, &l);
		if (l.version && version && !str_eq(l.version, version))
			return err_set(
				err, ERR_INVALID,
				"the manifest of --locked has the R package %s %s, here is %s: give `repository` a "
				"dated snapshot that has it, such as "
				"https://packagemanager.posit.co/cran/2026-10-01",
				l.name, l.version, version);
	}
	return 0;
}
