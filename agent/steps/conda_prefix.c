/* Miniforge at its prefix: what is there, and its installer. */
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/conda.h"
#include "steps/download.h"
#include "sys/pkg.h"

#define INSTALLER_BYTES_MAX (1024LL * 1024 * 1024)

/* Miniforge 25.3.1-0 as released by conda-forge; hashes as its .sha256 files, pyenv and the AUR have them. */
#define MINIFORGE "https://github.com/conda-forge/miniforge/releases/download/25.3.1-0/Miniforge3-25.3.1-0-Linux-"
static const struct {
	const char *arch, *url, *sha256;
} installers[] = {
	{"x86_64", MINIFORGE "x86_64.sh", "376b160ed8130820db0ab0f3826ac1fc85923647f75c1b8231166e3d559ab768"},
	{"aarch64", MINIFORGE "aarch64.sh", "a57c9e3d6c0c449c0283fd07e0bfa30d95eb8d547a14e8dc06c606405d01a7f0"},
};

/* Beside the prefix while its installer runs. */
static const char *making_path(const struct conda_params *p, struct arena *arena) {
	return download_beside(p->prefix, ".dsagent-making", arena);
}

int conda_prefix_look(const struct conda_params *p, struct step_ctx *ctx, enum conda_prefix *ret_state,
		      struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	AUTO_STRS struct strs names = {0};
	*ret_state = CONDA_HALF;
	if (fs_exists(root, making_path(p, ctx->arena))) return 0;
	*ret_state = CONDA_READY;
	if (fs_exists(root, arena_printf(ctx->arena, "%s/bin/conda", p->prefix))) return 0;
	*ret_state = CONDA_ABSENT;
	int r = fs_list(root, p->prefix, ctx->arena, &names, err);
	if (r == 0 && names.count)
		r = err_set(err, ERR_STATE,
			    "%s exists and holds no conda, and dsagent did not make it: give another `prefix`, or move "
			    "that directory away",
			    p->prefix);
	return r;
}

/* The installer's address and hash: the recipe's own, or the one that is known for this machine. */
static int find_installer(const struct conda_params *p, struct step_ctx *ctx, struct download *d, struct err *err) {
	d->url = conda_is_given(p->installer) ? p->installer : NULL;
	d->sha256 = d->url ? p->sha256 : NULL;
	for (size_t i = 0; !d->url && i < sizeof installers / sizeof *installers; i++) {
		if (!str_eq(installers[i].arch, ctx->facts->os.arch)) continue;
		d->url = installers[i].url;
		d->sha256 = installers[i].sha256;
	}
	return d->url ? 0
		      : err_set(err, ERR_UNSUPPORTED,
				"there is no known Miniforge for %s: give `installer` and `sha256`",
				ctx->facts->os.arch);
}

int conda_run(struct step_ctx *ctx, const char *const *argv, const char *label, struct err *err) {
	/* No question, no colour; what other installations are set to does not count here. */
	static const char *const env[] = {"CONDA_ALWAYS_YES=true", "CI=1", "PIP_NO_INPUT=1",
					  "PIP_DISABLE_PIP_VERSION_CHECK=1", NULL};
	const struct machine_command cmd = {.argv = argv, .label = label, .extra_env = env, .user = ctx->user};
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

static int write_text(struct step_ctx *ctx, const char *path, const char *text, struct err *err) {
	const struct fs_write how = {.mode = 0644,
				     .uid = ctx->user ? ctx->user->uid : (uid_t)-1,
				     .gid = ctx->user ? ctx->user->gid : (gid_t)-1};
	return fs_write(ctx->machine.root, path, text, strlen(text), &how, err);
}

static int run_installer(const struct conda_params *p, struct step_ctx *ctx, const char *installer, struct err *err) {
	char shell[256];
	const struct fs_root *root = ctx->machine.root;
	bool has_bash = exec_find(root, "bash", shell, sizeof shell);
	/* -f: the directory is there already, so that it can be its user's. */
	const char *argv[] = {has_bash ? shell : "/bin/sh",
			      pkg_host_path(&ctx->machine, installer),
			      "-b",
			      "-f",
			      "-p",
			      pkg_host_path(&ctx->machine, p->prefix),
			      NULL};
	const char *making = making_path(p, ctx->arena);
	uid_t uid = ctx->user ? ctx->user->uid : (uid_t)-1;
	gid_t gid = ctx->user ? ctx->user->gid : (gid_t)-1;
	int r = write_text(ctx, making, "", err);
	if (r == 0) r = fs_remove(root, p->prefix, true, err);
	if (r == 0) r = fs_mkdirs(root, p->prefix, 0755, uid, gid, err);
	if (r == 0) machine_note(&ctx->machine, 0, 0, "installing Miniforge to %s", p->prefix);
	if (r == 0) r = conda_run(ctx, argv, "the Miniforge installer", err);
	if (r == 0 && !fs_exists(root, arena_printf(ctx->arena, "%s/bin/conda", p->prefix)))
		r = err_set(err, ERR_COMMAND, "the installer ended well, but %s/bin/conda is not there", p->prefix);
	if (r == 0 && !p->allows_anaconda)
		r = write_text(ctx, arena_printf(ctx->arena, "%s/.condarc", p->prefix),
			       "channels:\n  - conda-forge\n  - nodefaults\nchannel_priority: strict\n", err);
	return r < 0 ? r : fs_remove(root, making, false, err);
}

int conda_prefix_install(const struct conda_params *p, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	const char *slash = strrchr(p->prefix, '/');
	const char *parent = arena_dup(ctx->arena, p->prefix, (size_t)(slash - p->prefix));
	struct download d = {
		.to = download_beside(p->prefix, ".dsagent-installer.sh", ctx->arena),
		.work = download_beside(p->prefix, ".dsagent-installer-part", ctx->arena),
		.bytes_max = INSTALLER_BYTES_MAX,
		.mode = 0700,
	};
	struct err ignored; /* scratch */
	AUTO_CLOSE int lock = -1;
	int r = find_installer(p, ctx, &d, err);
	if (r == 0 && *parent) r = fs_mkdirs(root, parent, 0755, (uid_t)-1, (gid_t)-1, err);
	if (r == 0) r = download_lock(p->prefix, ctx, &lock, err);
	if (r < 0) return r;
	r = download_get(&d, ctx, NULL, err);
	if (r == 0) r = run_installer(p, ctx, d.to, err);
	(void)!fs_remove(root, d.to, false, &ignored);
	download_unlock(p->prefix, ctx, &lock);
	return r < 0 ? err_wrap(err, "Miniforge") : 0;
}
