#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/python.h"
#include "sys/pkg.h"

/** Starting an interpreter to ask its version. */
#define ASK_MS (60 * 1000)
#define DIRS_MAX 64
/** Oldest minor version that the packages of the built-in sets still support. */
#define MINOR_MIN 9

/* Best served with wheels first; the newest come last. */
static const char *const minors[] = {"3.12", "3.13", "3.11", "3.10", "3.9", "3.14", NULL};

static bool has_module(const struct fs_root *root, const char *prefix, const char *version, const char *module,
		       struct arena *arena) {
	static const char *const libs[] = {"lib", "lib64"};
	for (size_t i = 0; i < 2; i++)
		if (fs_exists(root,
			      arena_printf(arena, "%s/%s/python%s/%s/__init__.py", prefix, libs[i], version, module)))
			return true;
	return false;
}

/* Directory two levels up: "/usr" of "/usr/bin/python3". */
static const char *prefix_of(const char *path, struct arena *arena) {
	char *prefix = arena_strdup(arena, path);
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(prefix, '/');
		if (slash) *slash = 0;
	}
	return prefix;
}

/* path is an interpreter of that version whose library has venv; shims that only start another one have none. */
static bool is_usable(const struct fs_root *root, const char *path, const char *version, struct arena *arena,
		      struct py_interpreter *ret_python) {
	char real[PATH_MAX];
	struct py_interpreter python = {.path = path};
	if (!fs_exists(root, path)) return false;
	(void)snprintf(python.version, sizeof python.version, "%s", version); /* "3.NN" fits */
	const char *prefixes[] = {prefix_of(path, arena), NULL};
	if (fs_root_is_host(root) && realpath(path, real)) prefixes[1] = prefix_of(arena_strdup(arena, real), arena);
	for (size_t i = 0; i < 2 && prefixes[i]; i++) {
		if (!has_module(root, prefixes[i], version, "venv", arena)) continue;
		python.has_ensurepip = has_module(root, prefixes[i], version, "ensurepip", arena);
		*ret_python = python;
		return true;
	}
	return false;
}

static void list_dirs(const struct machine *m, struct strs *dirs) {
	static const char *const usual[] = {"/usr/bin", "/usr/local/bin"};
	const char *path = machine_env(m, "PATH");
	for (size_t i = 0; i < 2; i++) strs_add_once(dirs, usual[i]);
	struct strs fields = {0};
	str_split(path ? path : "", ":", m->arena, &fields);
	for (size_t i = 0; i < fields.count && dirs->count < DIRS_MAX; i++)
		if (fields.items[i][0] == '/') strs_add_once(dirs, fields.items[i]);
	strs_clear(&fields);
}

static bool is_same_file(const struct fs_root *root, const char *a, const char *b) {
	struct stat sa, sb;
	struct err ignored;
	AUTO_CLOSE int fa = -1;
	AUTO_CLOSE int fb = -1;
	return fs_open(root, a, O_PATH, 0, &fa, &ignored) == 0 && fs_open(root, b, O_PATH, 0, &fb, &ignored) == 0 &&
	       fstat(fa, &sa) == 0 && fstat(fb, &sb) == 0 && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

static bool find_version(const struct step_ctx *ctx, const char *version, struct py_interpreter *ret_python) {
	AUTO_STRS struct strs dirs = {0};
	struct py_interpreter found = {0};
	list_dirs(&ctx->machine, &dirs);
	for (size_t i = 0; i < dirs.count; i++) {
		const char *path = arena_printf(ctx->arena, "%s/python%s", dirs.items[i], version);
		struct py_interpreter python;
		if (!is_usable(ctx->machine.root, path, version, ctx->arena, &python)) continue;
		if (!found.path || (python.has_ensurepip && !found.has_ensurepip)) found = python;
	}
	if (found.path) *ret_python = found;
	return found.path;
}

/* One that was named: its version is told by the venv it is in, or by its library. */
static bool find_named(const struct step_ctx *ctx, const char *path, struct py_interpreter *ret_python) {
	const struct fs_root *root = ctx->machine.root;
	const char *prefix = prefix_of(path, ctx->arena);
	bool is_in_venv = fs_exists(root, arena_printf(ctx->arena, "%s/pyvenv.cfg", prefix));
	for (size_t i = 0; minors[i]; i++) {
		const char *site = arena_printf(ctx->arena, "%s/lib/python%s/site-packages", prefix, minors[i]);
		if (is_in_venv && !fs_exists(root, site)) continue;
		if (!is_usable(root, path, minors[i], ctx->arena, ret_python)) continue;
		if (is_in_venv) ret_python->site = site;
		return true;
	}
	return false;
}

bool py_interpreter_find(const struct python_params *p, const struct step_ctx *ctx, struct py_interpreter *ret_python) {
	const struct fs_root *root = ctx->machine.root;
	if (p->interpreter) return find_named(ctx, p->interpreter, ret_python);
	if (p->keep.count && fs_exists(root, PYTHON_DLAMI)) return find_named(ctx, PYTHON_DLAMI, ret_python);
	if (p->version) return find_version(ctx, p->version, ret_python);
	for (size_t i = 0; minors[i]; i++) { /* the distribution's own first */
		const char *path = arena_printf(ctx->arena, "/usr/bin/python%s", minors[i]);
		if (is_same_file(root, path, "/usr/bin/python3") && find_version(ctx, minors[i], ret_python))
			return true;
	}
	for (size_t i = 0; minors[i]; i++)
		if (find_version(ctx, minors[i], ret_python)) return true;
	return false;
}

bool py_interpreter_is_likely(const struct python_params *p, const struct facts *facts) {
	char path[128];
	if (p->interpreter || (p->keep.count && facts->os.is_dlami)) return true;
	for (size_t i = 0; minors[i]; i++) {
		if (p->version && !str_eq(p->version, minors[i])) continue;
		(void)snprintf(path, sizeof path, "/usr/lib/python%s/ensurepip/__init__.py", minors[i]);
		if (access(path, R_OK) == 0) return true;
		(void)snprintf(path, sizeof path, "/usr/lib64/python%s/ensurepip/__init__.py", minors[i]);
		if (access(path, R_OK) == 0) return true;
	}
	return false;
}

/* "3.11.2 final": its real version, by starting it. Ubuntu 22.04 has a release candidate of 3.11 in its archive. */
static int ask_version(struct py *py, const struct py_interpreter *python, struct err *err) {
	static const char script[] =
		"import sys; v = sys.version_info; print('%d.%d.%d %s' % (v[0], v[1], v[2], v[3]))";
	const char *argv[] = {python->path, "-I", "-c", script, NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command cmd = {.argv = argv,
				      .extra_env = py->env,
				      .user = py->user,
				      .timeout_ms = ASK_MS,
				      .stdout_max = 4096,
				      .is_quiet = true};
	int r = machine_check(&py->ctx->machine, &cmd, &result, err);
	if (r < 0) return err_wrap(err, "the interpreter %s does not run", python->path);
	const char *full = buf_str(&result.out);
	if (!str_starts(full, python->version) || !strstr(full, " final"))
		return err_set(err, ERR_UNSUPPORTED, "%s is Python %.*s, not a release of %s", python->path,
			       (int)strcspn(full, "\n"), full, python->version);
	return 0;
}

/* The distribution has that version at all: asked only where the answer is not "no" anyway. */
static bool may_be_packaged(const struct python_params *p, const struct facts *facts) {
	if (!facts->is_root) return false;
	/* ec2.md 4.2: jammy's python3.11 is 3.11.0~rc1. */
	return !(p->version && str_eq(facts->os.id, "ubuntu") && str_eq(facts->os.version, "22.04") &&
		 str_eq(p->version, "3.11"));
}

static int install_packaged(struct py *py, const struct py_interpreter *found, struct err *err) {
	struct arena *arena = py->ctx->arena;
	const struct pkg_manager *manager = pkg_manager(py->ctx->facts->os.package_manager);
	if (!manager || !may_be_packaged(py->p, py->ctx->facts))
		return err_set(err, ERR_NOT_FOUND, "no package of it can be installed here");
	const char *version = py->p->version ? py->p->version : found ? found->version : "3";
	const char *name = arena_printf(arena, "python%s", version);
	bool is_apt = str_eq(manager->name, "apt");
	struct pkg_change change = {0};
	strs_add(&change.install, name);
	strs_add(&change.install, arena_printf(arena, is_apt ? "%s-venv" : "%s-pip", name));
	machine_note(&py->ctx->machine, 0, 0, "installing %s", strs_join(&change.install, ", ", arena));
	int r = manager->change(&py->ctx->machine, &change, err);
	strs_clear(&change.install);
	return r;
}

/* Any interpreter that can run pip, to fetch uv with. */
static int install_by_uv(struct py *py, struct py_interpreter *ret_python, struct err *err) {
	struct python_params any = {.venv = py->p->venv};
	struct py_interpreter helper;
	const char *uv = py_uv_find(py), *path = NULL;
	int r = 0;
	if (!uv) {
		struct py_interpreter none = {.version = "3"};
		if (!py_interpreter_find(&any, py->ctx, &helper) || !helper.has_ensurepip)
			r = install_packaged(&(struct py){.p = &any, .ctx = py->ctx}, &none, err);
		if (r == 0 && (!py_interpreter_find(&any, py->ctx, &helper) || !helper.has_ensurepip))
			r = err_set(err, ERR_NOT_FOUND, "no Python with pip was found to fetch uv with");
		if (r == 0) r = py_uv_bootstrap(py, helper.path, &uv, err);
	}
	if (r == 0) r = py_uv_python(py, uv, &path, err);
	if (r < 0) return r;
	if (!is_usable(py->ctx->machine.root, path, py->p->version, py->ctx->arena, ret_python))
		return err_set(err, ERR_STATE, "uv installed %s, which has no venv module", path);
	return 0;
}

static int install(struct py *py, const struct py_interpreter *found, struct py_interpreter *ret_python,
		   struct err *err) {
	struct py_interpreter python;
	int r = install_packaged(py, found, err);
	if (r == 0 && py_interpreter_find(py->p, py->ctx, &python) && python.has_ensurepip) {
		r = ask_version(py, &python, err);
		if (r == 0) *ret_python = python;
		if (r == 0) return 0;
	}
	if (r < 0 && err->code != ERR_NOT_FOUND && err->code != ERR_UNSUPPORTED) return r;
	if (!py->p->version)
		return err_set(err, ERR_NOT_FOUND,
			       "no Python 3.%d or newer with venv and pip was found "
			       "and none could be installed: give `interpreter`",
			       MINOR_MIN);
	r = install_by_uv(py, ret_python, err);
	if (r < 0)
		return err_wrap(err,
				"Python %s is neither here nor in the distribution's packages, and uv could not "
				"install it from GitHub",
				py->p->version);
	return ask_version(py, ret_python, err);
}

int py_interpreter_ensure(struct py *py, struct py_interpreter *ret_python, struct err *err) {
	const struct python_params *p = py->p;
	struct py_interpreter python = {0};
	bool is_found = py_interpreter_find(p, py->ctx, &python);
	const char *named = p->interpreter ? p->interpreter : is_found && python.site ? python.path : NULL;
	if (named && !is_found)
		return err_set(err, ERR_NOT_FOUND, "interpreter %s is not there or has no venv module", named);
	if (named && p->version && !str_eq(p->version, python.version))
		return err_set(err, ERR_INVALID,
			       "%s is Python %s, the recipe wants %s: give `version: %s` or leave "
			       "`keep` and `interpreter` out",
			       named, python.version, p->version, python.version);
	if (is_found && (python.has_ensurepip || py_uv_find(py))) {
		int r = ask_version(py, &python, err);
		if (r == 0) *ret_python = python;
		if (r == 0 || named || err->code != ERR_UNSUPPORTED) return r;
		err_clear(err);
	}
	if (named) return err_set(err, ERR_UNSUPPORTED, "%s has no ensurepip: install its venv package first", named);
	return install(py, is_found ? &python : NULL, ret_python, err);
}
