#include <limits.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/bundle.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"

struct options {
	const char *out;
};

static const struct opt opts[] = {
	{"output", 'o', "FILE", "where it is written, - for standard output (default: dsagent-RUN.tar.gz here)",
	 OPT_TEXT, offsetof(struct options, out), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "bundle",
	.arguments = "[RUN]",
	.description =
		"Packs what a bug report needs into one tar.gz: logs, events, status, facts, manifest, recipes, the\n"
		"system's own logs, what doctor finds. Secrets are taken out; CONTENTS in it names what was cut.\n"
		"RUN: the id of an older run, as in /var/lib/dsagent/runs/.",
	.opts = opts,
	.example = "sudo dsagent bundle -o report.tar.gz",
	.max_args = 1,
};

/* The run asked for, else the newest: ids sort by time. */
static int find_run(struct context *ctx, const struct bundle_run *run, const char *wanted, const char **ret_id,
		    struct err *err) {
	AUTO_STRS struct strs names = {0};
	const char *dir = arena_printf(&ctx->arena, "%s/runs", run->paths->state_dir);
	int rc = fs_list(run->root, dir, &ctx->arena, &names, err);
	if (rc) return rc;
	if (wanted && !strs_has(&names, wanted))
		return err_set(err, ERR_NOT_FOUND, "there is no run '%s' in %s", wanted, dir);
	if (!names.count) rc = context_deny_system(ctx, "bundle", err);
	if (rc) return rc;
	if (!wanted && !names.count) {
		*ret_id = "none"; /* nothing has run yet: facts and findings are something all the same */
		return 0;
	}
	*ret_id = wanted ? wanted : names.items[names.count - 1];
	return 0;
}

/* A file of the caller's own, not below --root. */
static int write_out(const char *path, const struct buf *data, struct err *err) {
	static const struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	AUTO_FREE char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
	AUTO_ARENA struct arena arena = {0};
	struct stat st;
	/* A file is put in its place whole; over /dev/null that would be the end of it for all. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is there and no plain file; `-o -` writes to standard output",
			       path);
	int rc = fs_root_open(NULL, &host, err);
	if (rc) return rc;
	return fs_write(&host, path[0] == '/' ? path : arena_printf(&arena, "%s/%s", cwd ? cwd : "", path),
			buf_str(data), data->len, &how, err);
}

/* What is to be printed: the bundle itself, or where it is. */
static int make(struct context *ctx, const struct options *o, const char *wanted, struct buf *ret_out,
		struct err *err) {
	AUTO_BUF struct buf packed = BUF_INIT(BUNDLE_BYTES_MAX);
	struct context_paths paths;
	struct bundle_run run = {.paths = &paths};
	int rc = context_root(ctx, &run.root, err);
	if (!rc) rc = context_paths(ctx, &paths, err);
	if (!rc) rc = find_run(ctx, &run, wanted, &run.run_id, err);
	if (!rc) rc = bundle_make(ctx, &run, &packed, err);
	if (rc) return rc;
	if (str_eq(o->out, "-")) {
		*ret_out = packed;
		packed = (struct buf){0};
		return 0;
	}
	const char *path = o->out ? o->out : arena_printf(&ctx->arena, "dsagent-%s.tar.gz", run.run_id);
	rc = write_out(path, &packed, err);
	if (rc) return rc;
	buf_addf(ret_out, "%s: %s\n", path, str_bytes(packed.len, &ctx->arena));
	return 0;
}

int cmd_bundle(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	AUTO_BUF struct buf out = BUF_INIT(PATH_MAX + 64);
	if (make(ctx, &o, args.count ? args.items[0] : NULL, &out, &err)) return cli_fail(EXIT_NO_START, &err);
	return cli_print(&out);
}
