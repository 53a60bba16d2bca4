#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/python.h"

#define ASK_MS (60 * 1000)

/* Where uv is kept: for root beside our state, for a user among their data. */
static const char *tool_dir(const struct py *py) {
	const char *home = py->user ? py->user->home : NULL;
	if (home) return arena_printf(py->ctx->arena, "%s/.local/share/dsagent/tools/uv", home);
	if (py->ctx->facts->is_root) return "/var/lib/dsagent/tools/uv";
	return arena_printf(py->ctx->arena, "%s/.local/share/dsagent/tools/uv", py->ctx->facts->home);
}

const char *py_uv_find(const struct py *py) {
	const struct fs_root *root = py->ctx->machine.root;
	struct arena *arena = py->ctx->arena;
	AUTO_STRS struct strs dirs = {0};
	const char *path = machine_env(&py->ctx->machine, "PATH");
	str_split(path ? path : "", ":", arena, &dirs);
	strs_add(&dirs, arena_printf(arena, "%s/bin", tool_dir(py)));
	for (size_t i = 0; i < dirs.count; i++) {
		const char *uv = arena_printf(arena, "%s/uv", dirs.items[i]);
		struct stat st;
		struct err ignored;
		/* A shim of pyenv or asdf is a script that may lead to nothing. */
		if (strstr(uv, "/shims/") || !fs_exists(root, uv)) continue;
		if (fs_lstat(root, uv, &st, &ignored) == 0 && (S_ISLNK(st.st_mode) || (st.st_mode & 0111)))
			return py_host_path(py->ctx, uv);
	}
	return NULL;
}

static int ask_uv(struct py *py, const char *uv, struct err *err) {
	const char *argv[] = {uv, "--version", NULL};
	struct machine_command cmd = {
		.argv = argv, .extra_env = py->env, .user = py->user, .timeout_ms = ASK_MS, .is_quiet = true};
	return machine_check(&py->ctx->machine, &cmd, NULL, err);
}

static int pip_install_uv(struct py *py, const char *python, const char *target, struct err *err) {
	const char *argv[] = {python,  "-m",	    "pip",	"install", "--no-deps", "--only-binary",
			      ":all:", "--upgrade", "--target", target,	   "uv",	NULL};
	return py_command(py, argv, "fetch uv", err);
}

int py_uv_fetch(struct py *py, const char *python, const char **ret_uv, struct err *err) {
	const struct fs_root *root = py->ctx->machine.root;
	const char *dir = tool_dir(py), *target = py_host_path(py->ctx, dir);
	const char *uv = arena_printf(py->ctx->arena, "%s/bin/uv", target);
	uid_t uid = py->user ? py->user->uid : (uid_t)-1;
	gid_t gid = py->user ? py->user->gid : (gid_t)-1;
	machine_note(&py->ctx->machine, 0, 0, "fetching uv");
	int r = fs_remove(root, dir, true, err); /* a half-fetched one */
	if (r == 0) r = fs_mkdirs(root, dir, 0755, uid, gid, err);
	if (r == 0) r = pip_install_uv(py, python, target, err);
	if (r == 0) r = ask_uv(py, uv, err);
	if (r < 0) return err_wrap(err, "uv");
	*ret_uv = uv;
	return 0;
}

int py_uv_bootstrap(struct py *py, const char *python, const char **ret_uv, struct err *err) {
	/* The interpreter may have no pip of its own, so a venv that lives as long as the fetch lends one. */
	const struct fs_root *root = py->ctx->machine.root;
	const char *dir = arena_printf(py->ctx->arena, "%s-fetch", tool_dir(py));
	const char *helper = py_host_path(py->ctx, dir);
	const char *argv[] = {python, "-m", "venv", "--clear", helper, NULL};
	uid_t uid = py->user ? py->user->uid : (uid_t)-1;
	gid_t gid = py->user ? py->user->gid : (gid_t)-1;
	struct err ignored;
	int r = fs_mkdirs(root, dir, 0755, uid, gid, err);
	if (r == 0) r = py_command(py, argv, "make a venv to fetch uv with", err);
	if (r == 0) r = py_uv_fetch(py, arena_printf(py->ctx->arena, "%s/bin/python", helper), ret_uv, err);
	if (fs_remove(root, dir, true, &ignored) < 0) err_clear(&ignored); /* --clear does it the next time */
	return r;
}

int py_uv_python(struct py *py, const char *uv, const char **ret_python, struct err *err) {
	const char *install[] = {uv, "python", "install", py->p->version, NULL};
	const char *find[] = {uv, "python", "find", "--managed-python", py->p->version, NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	machine_note(&py->ctx->machine, 0, 0, "installing Python %s by uv", py->p->version);
	int r = py_command(py, install, "install Python by uv", err);
	if (r < 0) return r;
	struct machine_command cmd = {.argv = find,
				      .extra_env = py->env,
				      .user = py->user,
				      .timeout_ms = ASK_MS,
				      .stdout_max = 4096,
				      .is_quiet = true};
	r = machine_check(&py->ctx->machine, &cmd, &result, err);
	if (r == 0) *ret_python = str_trim(arena_strdup(py->ctx->arena, buf_str(&result.out)));
	return r;
}
