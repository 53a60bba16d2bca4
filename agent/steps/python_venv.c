#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/python.h"
#include "sys/user.h"

#define SMALL_FILE_MAX (64 * 1024)

static const char *in_venv(const struct python_params *p, const char *name, struct arena *arena) {
	return arena_printf(arena, "%s/%s", p->venv, name);
}

const char *py_host_path(const struct step_ctx *ctx, const char *path) {
	const struct fs_root *root = ctx->machine.root;
	return root->is_system || fs_root_is_host(root) ? path : fs_host_path(root, path, ctx->arena);
}

const struct exec_user *py_owner(const struct python_params *p, const struct step_ctx *ctx) {
	if (ctx->user || geteuid() != 0) return ctx->user;
	const struct fs_root *root = ctx->machine.root;
	char *path = arena_strdup(ctx->arena, p->venv);
	struct stat st;
	struct err err = {0};
	while (fs_lstat(root, path, &st, &err) < 0 || S_ISLNK(st.st_mode)) {
		char *slash = strrchr(path, '/');
		if (!slash || slash == path) return NULL;
		*slash = 0;
	}
	if (st.st_uid == 0) return NULL;
	struct exec_user *user = arena_alloc(ctx->arena, sizeof *user);
	const char *uid = arena_printf(ctx->arena, "%u", (unsigned)st.st_uid);
	return user_find(root, uid, ctx->arena, user, &err) < 0 ? NULL : user;
}

/* The value of "key = value" in pyvenv.cfg, or "". */
static const char *cfg_value(const char *cfg, const char *key, struct arena *arena) {
	size_t len = strlen(key);
	for (const char *line = cfg; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, key, len) != 0) continue;
		const char *at = line + len + strspn(line + len, " \t");
		if (*at == '=') return str_trim(arena_dup(arena, at + 1, strcspn(at + 1, "\n")));
	}
	return "";
}

/* "3.11.2" → "3.11". */
static const char *short_version(const char *full, struct arena *arena) {
	const char *dot = strchr(full, '.');
	return dot ? arena_dup(arena, full, (size_t)(dot - full) + 1 + strspn(dot + 1, "0123456789")) : full;
}

static int read_config(const struct python_params *p, const struct step_ctx *ctx, struct py_venv *venv,
		       struct err *err) {
	AUTO_BUF struct buf cfg = BUF_INIT(SMALL_FILE_MAX);
	int r = fs_read(ctx->machine.root, in_venv(p, "pyvenv.cfg", ctx->arena), &cfg, err);
	if (r < 0) return r;
	const char *text = buf_str(&cfg);
	venv->full_version = cfg_value(text, "version", ctx->arena);
	if (!venv->full_version[0])
		venv->full_version = cfg_value(text, "version_info", ctx->arena); /* uv, virtualenv */
	venv->home = cfg_value(text, "home", ctx->arena);
	venv->has_system_packages = str_eq(cfg_value(text, "include-system-site-packages", ctx->arena), "true");
	venv->site = arena_printf(ctx->arena, "%s/lib/python%s/site-packages", p->venv,
				  short_version(venv->full_version, ctx->arena));
	return 0;
}

static void read_record(const struct python_params *p, const struct step_ctx *ctx, struct py_venv *venv) {
	AUTO_BUF struct buf text = BUF_INIT(SMALL_FILE_MAX);
	AUTO_JS struct js *record = NULL;
	struct err ignored; /* a damaged record is the same as none: what it says is proved again */
	if (fs_read(ctx->machine.root, in_venv(p, PYTHON_RECORD_NAME, ctx->arena), &text, &ignored) < 0 ||
	    js_parse(buf_str(&text), text.len, &record, &ignored) < 0)
		return;
	const char *proof = js_get_str(record, "proof");
	venv->proof_hash = proof ? arena_strdup(ctx->arena, proof) : "";
	venv->is_ours = js_get_bool(record, "made", false);
}

/* The directories of the base interpreter, as its site module adds them (Debian has dist-packages of its own). */
static int read_system_packages(const struct step_ctx *ctx, struct py_venv *venv, struct err *err) {
	const char *version = short_version(venv->full_version, ctx->arena);
	const char *slash = strrchr(venv->home, '/');
	const char *prefix = arena_dup(ctx->arena, venv->home, slash ? (size_t)(slash - venv->home) : 0);
	const char *dirs[] = {
		arena_printf(ctx->arena, "%s/lib/python%s/site-packages", prefix, version),
		arena_printf(ctx->arena, "%s/lib64/python%s/site-packages", prefix, version),
		arena_printf(ctx->arena, "/usr/local/lib/python%s/dist-packages", version),
		"/usr/lib/python3/dist-packages",
	};
	size_t count = str_eq(prefix, "/usr") ? 4 : 2;
	for (size_t i = 0; i < count; i++) {
		int r = py_dists_read(&venv->dists, ctx->machine.root, dirs[i], NULL, ctx->arena, err);
		if (r < 0) return r;
	}
	return 0;
}

static int read_dists(const struct step_ctx *ctx, struct py_venv *venv, struct err *err) {
	char kept[4096];
	const struct fs_root *root = ctx->machine.root;
	AUTO_STRS struct strs half = {0};
	int r = py_dists_read(&venv->dists, root, venv->site, venv->is_ours ? &half : NULL, ctx->arena, err);
	venv->half = strs_join(&half, "\n", ctx->arena);
	fs_read_line(root, arena_printf(ctx->arena, "%s/%s", venv->site, PYTHON_KEEP_PTH), kept, sizeof kept);
	if (r == 0 && kept[0] == '/') r = py_dists_read(&venv->dists, root, kept, NULL, ctx->arena, err);
	if (r == 0 && venv->has_system_packages) r = read_system_packages(ctx, venv, err);
	return r;
}

static int refuse(const struct python_params *p, const char *what, struct err *err) {
	return err_set(err, ERR_STATE,
		       "%s %s, and dsagent did not make it: give another path for `venv`, or move that directory away",
		       p->venv, what);
}

/* A link in bin/ leads out of a --root tree that is no system: there its being there has to do. */
static bool has_python(const struct python_params *p, const struct step_ctx *ctx) {
	const char *python = in_venv(p, "bin/python", ctx->arena);
	struct stat st;
	struct err ignored;
	const struct fs_root *root = ctx->machine.root;
	if (root->is_system || fs_root_is_host(root)) return fs_exists(root, python);
	return fs_lstat(root, python, &st, &ignored) == 0;
}

/* A directory that holds something and no interruption of ours. */
static int read_existing(const struct python_params *p, const struct step_ctx *ctx, struct py_venv *venv,
			 struct err *err) {
	read_record(p, ctx, venv);
	int r = read_config(p, ctx, venv, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	if (r < 0 || !has_python(p, ctx)) {
		if (!venv->is_ours) return refuse(p, "exists and holds no working Python", err);
		err_clear(err);
		venv->state = PY_VENV_OUTDATED;
		venv->why = "its interpreter is gone";
		return 0;
	}
	const char *has = short_version(venv->full_version, ctx->arena);
	if (p->version && !str_eq(has, p->version)) {
		const char *what = arena_printf(ctx->arena, "has Python %s, not %s", has, p->version);
		if (!venv->is_ours) return refuse(p, what, err);
		venv->state = PY_VENV_OUTDATED;
		venv->why = arena_printf(ctx->arena, "it has Python %s", has);
		return 0;
	}
	venv->state = PY_VENV_READY;
	return read_dists(ctx, venv, err);
}

int py_venv_read(const struct python_params *p, const struct step_ctx *ctx, struct py_venv *ret_venv, struct err *err) {
	struct py_venv venv = {.full_version = "", .home = "", .why = "", .proof_hash = "", .half = ""};
	const struct fs_root *root = ctx->machine.root;
	AUTO_STRS struct strs names = {0};
	int r = 0;
	if (fs_exists(root, p->venv)) r = fs_list(root, p->venv, ctx->arena, &names, err);
	if (r < 0) return err_wrap(err, "venv");
	if (fs_exists(root, in_venv(p, PYTHON_MAKING_NAME, ctx->arena)))
		venv.state = PY_VENV_HALF;
	else if (names.count)
		r = read_existing(p, ctx, &venv, err);
	if (r == 0) *ret_venv = venv;
	return r;
}

/* Packages of a venv are not seen through --system-site-packages, which means the base's: one more path entry. */
static int write_keep_path(struct py *py, const char *site, struct err *err) {
	const char *line = arena_printf(py->ctx->arena, "%s\n", site);
	struct fs_write how = {
		.mode = 0644, .uid = py->user ? py->user->uid : (uid_t)-1, .gid = py->user ? py->user->gid : (gid_t)-1};
	const char *path = arena_printf(py->ctx->arena, "%s/%s", py->state.site, PYTHON_KEEP_PTH);
	return fs_write(py->ctx->machine.root, path, line, strlen(line), &how, err);
}

static int prepare_directory(struct py *py, const struct fs_write *how, struct err *err) {
	const struct fs_root *root = py->ctx->machine.root;
	const struct python_params *p = py->p;
	int r = 0;
	if (py->state.state == PY_VENV_HALF || py->state.state == PY_VENV_OUTDATED)
		r = fs_remove(root, p->venv, true, err);
	if (r == 0) r = fs_mkdirs(root, p->venv, 0755, how->uid, how->gid, err);
	if (r == 0 && how->uid != (uid_t)-1) r = fs_chown(root, p->venv, how->uid, how->gid, err);
	if (r == 0) r = fs_write(root, in_venv(p, PYTHON_MAKING_NAME, py->ctx->arena), "", 0, how, err);
	return r;
}

int py_venv_make(struct py *py, const struct py_interpreter *python, bool wants_pip, struct err *err) {
	const struct python_params *p = py->p;
	const struct fs_root *root = py->ctx->machine.root;
	struct fs_write how = {
		.mode = 0644, .uid = py->user ? py->user->uid : (uid_t)-1, .gid = py->user ? py->user->gid : (gid_t)-1};
	bool wants_system = (p->has_system_packages || p->keep.count) && !python->site;
	const char *argv[8] = {python->path, "-m", "venv"};
	size_t n = 3;
	if (wants_system) argv[n++] = "--system-site-packages";
	if (!wants_pip) argv[n++] = "--without-pip";
	argv[n] = py->venv;
	machine_note(&py->ctx->machine, 0, 0, "making venv %s with Python %s", p->venv, python->version);
	int r = prepare_directory(py, &how, err);
	if (r == 0) r = py_command(py, argv, "make the venv", err);
	if (r == 0) r = read_config(p, py->ctx, &py->state, err);
	if (r == 0 && python->site) r = write_keep_path(py, python->site, err);
	py->state.is_ours = true;
	if (r == 0) r = py_venv_record(py, false, err);
	if (r == 0) r = fs_remove(root, in_venv(p, PYTHON_MAKING_NAME, py->ctx->arena), false, err);
	return r < 0 ? err_wrap(err, "venv %s", p->venv) : 0;
}

int py_venv_record(struct py *py, bool is_proved, struct err *err) {
	AUTO_JS struct js *record = js_object();
	AUTO_BUF struct buf text = BUF_INIT(SMALL_FILE_MAX);
	char at[CLOCK_ISO8601_SIZE];
	js_set_int(record, "version", 1);
	js_set_str(record, "python", py->state.full_version);
	js_set_bool(record, "made", py->state.is_ours);
	js_set_str(record, "proof", is_proved ? py->hash : "");
	js_set_str(record, "installer", py->uv ? "uv" : "pip");
	js_set_str(record, "at", clock_iso8601(clock_now_ms(), at));
	js_print(record, JS_COMPACT, &text);
	buf_addc(&text, '\n');
	struct fs_write how = {
		.mode = 0644, .uid = py->user ? py->user->uid : (uid_t)-1, .gid = py->user ? py->user->gid : (gid_t)-1};
	return fs_write(py->ctx->machine.root, in_venv(py->p, PYTHON_RECORD_NAME, py->ctx->arena), buf_str(&text),
			text.len, &how, err);
}
