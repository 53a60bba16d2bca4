#include <inttypes.h>

#include "aws/s3.h"
#include "aws/s3sync.h"
#include "aws/s3url.h"
#include "base/err.h"
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "cli/s3_cli.h"
#include "cli/s3_watch.h"

/* Without --max-delete. */
#define MAX_DELETE_UNSET (-1)

struct options {
	struct s3_cli s3;
	bool compares_size, compares_content, deletes;
	int64_t max_delete;
};

static const struct opt opts[] = {
	{"size-only", 0, NULL, "files of equal size are equal", OPT_FLAG, offsetof(struct options, compares_size), 0,
	 0},
	{"checksum", 0, NULL, "compare the content with the ETag where that is an MD5", OPT_FLAG,
	 offsetof(struct options, compares_content), 0, 0},
	{"delete", 0, NULL, "delete what only the destination has", OPT_FLAG, offsetof(struct options, deletes), 0, 0},
	{"max-delete", 0, "N", "delete nothing if it would be more; otherwise 100 files, or half of all", OPT_INT,
	 offsetof(struct options, max_delete), 0, INT64_MAX},
	S3_CLI_TRANSFER(struct options, s3),
	S3_CLI_CONNECTION(struct options, s3),
	{0},
};

static const struct opt_verb verb = {
	.name = "sync",
	.arguments = "SRC DST",
	.description =
		"Makes a folder and an S3 prefix equal: one of SRC and DST is s3://BUCKET/PREFIX, the other a folder.\n"
		"Copied is what lacks or differs: by size and time, or by what the last sync noted of both. Nothing "
		"is\n"
		"deleted without --delete, and nothing is ever written outside the folder.\n"
		"Exit code 0: all is in place; 1: some failed, each is named; 3: it could not start.",
	.opts = opts,
	.example = "dsagent sync s3://my-bucket/data/ /data --exclude '*.tmp'\n"
		   "dsagent sync ./results s3://my-bucket/results/ --delete --dry-run",
	.min_args = 2,
	.max_args = 2,
	.has_json = true,
};

static int check_options(const struct options *o, enum s3way way, struct err *err) {
	if (o->compares_size && o->compares_content)
		return err_set(err, ERR_INVALID, "--size-only and --checksum exclude each other");
	if (o->max_delete != MAX_DELETE_UNSET && !o->deletes)
		return err_set(err, ERR_INVALID, "--max-delete belongs to --delete");
	if (o->s3.skips_links && way == S3WAY_DOWN)
		return err_set(err, ERR_INVALID,
			       "--no-follow-symlinks belongs to an upload: a download never follows one");
	return 0;
}

static int prepare(struct context *ctx, const struct options *o, const struct strs *args, struct s3sync_options *sync,
		   struct s3_show *show, struct err *err) {
	struct s3url url;
	int rc = s3_cli_way("sync", args, &sync->way, err);
	if (!rc) rc = check_options(o, sync->way, err);
	const char *remote = args->items[sync->way == S3WAY_DOWN ? 0 : 1];
	const char *local = args->items[sync->way == S3WAY_DOWN ? 1 : 0];
	if (!rc) rc = s3url_parse(remote, &ctx->arena, &url, err);
	if (!rc) rc = s3_cli_path(ctx, local, &sync->folder, err);
	if (rc) return rc;
	sync->bucket = url.bucket;
	sync->prefix = s3url_folder(url.key, &ctx->arena);
	sync->filter = s3_cli_filter(ctx, &o->s3);
	sync->compare = o->compares_size ? S3COMPARE_SIZE : o->compares_content ? S3COMPARE_CHECKSUM : S3COMPARE_STRICT;
	sync->deletes = o->deletes;
	sync->is_dry = o->s3.is_dry;
	sync->max_delete = o->max_delete;
	sync->skips_links = o->s3.skips_links;
	sync->uid = (uid_t)-1;
	sync->gid = (gid_t)-1;
	s3_cli_modes(&sync->file_mode, &sync->folder_mode);
	*show = (struct s3_show){.is_json = ctx->is_json, .is_dry = o->s3.is_dry, .way = sync->way, .local = local};
	show->url = arena_printf(&ctx->arena, "s3://%s/%s", sync->bucket, sync->prefix);
	return 0;
}

static int exit_code(const struct s3_watch *w, const struct s3sync_counts *counts, int rc, const struct err *err) {
	if (w->signal) return EXIT_SIGNAL_BASE + w->signal;
	if (rc) return cli_fail(rc == -ERR_BUSY ? EXIT_NO_START : EXIT_STEP_FAILED, err);
	return counts->failed ? EXIT_STEP_FAILED : EXIT_OK_;
}

static int run(struct context *ctx, const struct options *o, struct s3sync_options *sync, struct s3_watch *w) {
	AUTO_S3 struct s3 *s3 = NULL;
	struct err err = {0};
	struct s3sync_counts counts = {0};
	int rc = context_root(ctx, &sync->root, &err);
	if (!rc) rc = s3_cli_state_dir(ctx, &sync->state_dir, &err);
	if (!rc) rc = s3_cli_open(ctx, &o->s3, sync->bucket, &s3, &err);
	if (!rc) rc = s3_watch_open(w, &err);
	if (rc) return cli_fail(EXIT_NO_START, &err);
	sync->s3 = s3;
	s3_watch_hook(w, sync);
	s3_show_begin(&w->show);
	rc = s3sync_run(sync, &counts, &err);
	s3_show_end(&w->show, &counts, rc ? &err : NULL);
	return exit_code(w, &counts, rc, &err);
}

int cmd_sync(struct context *ctx, int argc, char **argv) {
	struct options o = {.max_delete = MAX_DELETE_UNSET};
	AUTO_STRS struct strs args = {0};
	struct err err = {0};
	struct s3sync_options sync = {0};
	struct s3_watch w = S3_WATCH_INIT;
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code == OPT_GO) {
		code = prepare(ctx, &o, &args, &sync, &w.show, &err) ? cli_fail(EXIT_USAGE, &err)
								     : run(ctx, &o, &sync, &w);
	}
	s3_watch_close(&w);
	strs_clear(&o.s3.filters);
	return code;
}
