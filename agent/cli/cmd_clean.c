#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/boot.h"
#include "cli/boot_unit.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "fmt/js.h"

/* cloud-init keeps the user-data script of an instance and never deletes it (cloud-init docs, "User-data scripts"). */
#define SCRIPTS_DIR "/var/lib/cloud/instance/scripts"
/* EC2 takes at most 16 KiB of user-data; a part of it is no longer after gzip than this by far. */
#define SCRIPT_BYTES_MAX (1024 * 1024)
#define CLEAN_TEXT_MAX (1024 * 1024)

struct options {
	bool is_image;
};

static const struct opt opts[] = {
	{"image", 0, NULL, "before an AMI is made: everything that belongs to this one instance", OPT_FLAG,
	 offsetof(struct options, is_image), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "clean",
	.arguments = "",
	.description =
		"Forgets what dsagent has done here: its state, its runs with their logs, the manifest. What the "
		"steps\n"
		"put in place stays; the next apply looks at all of it anew.\n"
		"With --image also whatever else dsagent keeps of this instance, its script in cloud-init's folder,\n"
		"and the dsagent.service that `boot` wrote, unless it has recipes of the image to start.",
	.opts = opts,
	.example = "sudo dsagent clean --image",
	.has_json = true,
};

struct clean {
	struct context *ctx;
	const struct fs_root *root;
	struct context_paths paths;
	struct strs removed;
};

static int remove_path(struct clean *c, const char *path, struct err *err) {
	struct stat st;
	int rc = fs_lstat(c->root, path, &st, err);
	if (rc == -ERR_NOT_FOUND) return 0;
	if (!rc) rc = fs_remove(c->root, path, true, err);
	if (!rc) strs_add(&c->removed, path);
	return rc;
}

static int remove_in(struct clean *c, const char *dir, const char *name, struct err *err) {
	return remove_path(c, arena_printf(&c->ctx->arena, "%s/%s", dir, name), err);
}

/* Everything below dir but keep (NULL: nothing is kept). */
static int remove_all_in(struct clean *c, const char *dir, const char *keep, struct err *err) {
	AUTO_STRS struct strs names = {0};
	int rc = fs_list(c->root, dir, &c->ctx->arena, &names, err);
	for (size_t i = 0; !rc && i < names.count; i++)
		if (!str_eq(arena_printf(&c->ctx->arena, "%s/%s", dir, names.items[i]), keep))
			rc = remove_in(c, dir, names.items[i], err);
	return rc;
}

static int forget_runs(struct clean *c, struct err *err) {
	static const char *const names[] = {"state.json", "state.json.damaged", "manifest.json", "runs"};
	int rc = 0;
	for (size_t i = 0; !rc && i < sizeof names / sizeof *names; i++)
		rc = remove_in(c, c->paths.state_dir, names[i], err);
	if (!rc) rc = remove_in(c, c->paths.run_dir, "status.json", err);
	return rc ? rc : remove_in(c, c->paths.run_dir, "motd", err);
}

static bool is_ours(const struct clean *c, const char *path) {
	AUTO_BUF struct buf text = BUF_INIT(SCRIPT_BYTES_MAX);
	struct err ignored = {0}; /* what cannot be read is not known to be ours */
	return !fs_read(c->root, path, &text, &ignored) && text.len &&
	       memmem(text.data, text.len, "dsagent", strlen("dsagent"));
}

static int remove_scripts(struct clean *c, struct err *err) {
	AUTO_STRS struct strs names = {0};
	int rc = fs_list(c->root, SCRIPTS_DIR, &c->ctx->arena, &names, err);
	for (size_t i = 0; !rc && i < names.count; i++) {
		const char *path = arena_printf(&c->ctx->arena, "%s/%s", SCRIPTS_DIR, names.items[i]);
		if (is_ours(c, path)) rc = remove_path(c, path, err);
	}
	return rc;
}

/* A plain user's run_dir may lie within the state_dir, with the lock that we hold. */
static int forget_instance(struct clean *c, struct err *err) {
	int rc = remove_all_in(c, c->paths.state_dir, c->paths.run_dir, err);
	if (!rc) rc = remove_path(c, BOOT_RECIPE, err);
	if (!rc) rc = boot_forget_unit(c->ctx, c->root, &c->removed, err);
	return rc ? rc : remove_scripts(c, err);
}

static int lock(struct clean *c, int *ret_fd, struct err *err) {
	pid_t holder = 0;
	const char *path = arena_printf(&c->ctx->arena, "%s/lock", c->paths.run_dir);
	int rc = fs_mkdirs(c->root, c->paths.run_dir, 0755, (uid_t)-1, (gid_t)-1, err);
	if (!rc) rc = fs_lock(c->root, path, ret_fd, &holder, err);
	if (rc == -ERR_BUSY)
		return err_set(err, ERR_BUSY,
			       "a run is at work (pid %d): nothing was removed; `dsagent wait` waits for its end",
			       (int)holder);
	return rc;
}

static int print(const struct clean *c) {
	if (c->ctx->is_json) {
		AUTO_JS struct js *js = js_object();
		struct js *removed = js_array();
		for (size_t i = 0; i < c->removed.count; i++) js_push_str(removed, c->removed.items[i]);
		js_set(js, "removed", removed);
		return cli_print_json(js);
	}
	AUTO_BUF struct buf out = BUF_INIT(CLEAN_TEXT_MAX);
	for (size_t i = 0; i < c->removed.count; i++) buf_addf(&out, "removed %s\n", c->removed.items[i]);
	if (!c->removed.count) buf_adds(&out, "nothing to remove\n");
	return cli_print(&out);
}

int cmd_clean(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	AUTO_CLOSE int lock_fd = -1;
	struct clean c = {.ctx = ctx};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	int rc = context_root(ctx, &c.root, &err);
	if (!rc) rc = context_paths(ctx, &c.paths, &err);
	if (!rc) rc = lock(&c, &lock_fd, &err);
	if (!rc) rc = forget_runs(&c, &err);
	if (!rc && o.is_image) rc = forget_instance(&c, &err);
	if (rc) (void)cli_fail(EXIT_NO_START, &err);
	code = rc && !c.removed.count ? EXIT_OK_ : print(&c); /* what is gone is said in any case */
	strs_clear(&c.removed);
	return rc ? EXIT_NO_START : code;
}
