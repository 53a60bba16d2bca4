#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aws/s3.h"
#include "aws/s3sync.h"
#include "aws/s3url.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "cli/s3_cli.h"
#include "cli/s3_watch.h"

#define TURN_MS 200
#define STREAM "-"

struct options {
	struct s3_cli s3;
	bool is_recursive;
};

static const struct opt opts[] = {
	{"recursive", 'r', NULL, "everything below a prefix or folder", OPT_FLAG,
	 offsetof(struct options, is_recursive), 0, 0},
	S3_CLI_TRANSFER(struct options, s3),
	S3_CLI_CONNECTION(struct options, s3),
	{0},
};

static const struct opt_verb verb = {
	.name = "cp",
	.arguments = "SRC DST",
	.description =
		"Copies one file, or with --recursive all below a prefix or folder, to or from S3, whatever is there.\n"
		"'-' is standard input or output. Exit code 0: copied; 1: some failed, each is named.",
	.opts = opts,
	.example = "dsagent cp s3://my-bucket/model.bin .\n"
		   "tar c results | dsagent cp - s3://my-bucket/results.tar",
	.min_args = 2,
	.max_args = 2,
	.has_json = true,
};

struct copying {
	struct context *ctx;
	const struct options *o;
	const struct fs_root *root;
	struct s3_watch watch;
	struct s3url url;
	const char *local; /* as given */
	enum s3way way;
	struct s3 *s3;
	int dir_fd;
	struct s3sync_counts counts;
	bool has_ended, has_failed;
	struct err err;
};

static int find_way(struct copying *c, const struct strs *args, struct err *err) {
	const char *from = args->items[0], *to = args->items[1];
	if (s3_cli_way("cp", args, &c->way, err)) return -(int)err->code;
	bool is_from = c->way == S3WAY_DOWN;
	c->local = is_from ? to : from;
	if (c->o->is_recursive && str_eq(c->local, STREAM))
		return err_set(err, ERR_INVALID, "'-' is one stream: --recursive does not go with it");
	if (!c->o->is_recursive && c->o->s3.filters.count)
		return err_set(err, ERR_INVALID, "--exclude and --include belong to --recursive");
	return s3url_parse(is_from ? from : to, &c->ctx->arena, &c->url, err);
}

static const char *base_name(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* The directory that holds a path, open; made for a download. */
static int open_parent(struct copying *c, const char *path, struct err *err) {
	const char *dir = arena_dup(&c->ctx->arena, path, (size_t)(base_name(path) - path));
	unsigned file_mode, folder_mode;
	s3_cli_modes(&file_mode, &folder_mode);
	int rc = 0;
	if (c->way == S3WAY_DOWN) rc = fs_mkdirs(c->root, dir, folder_mode, (uid_t)-1, (gid_t)-1, err);
	return rc ? rc : fs_open(c->root, dir, O_PATH | O_DIRECTORY, 0, &c->dir_fd, err);
}

static bool is_folder(const struct copying *c, const char *path) {
	AUTO_CLOSE int fd = -1;
	struct err ignored = {0}; /* absent: then it is none */
	return fs_open(c->root, path, O_PATH | O_DIRECTORY, 0, &fd, &ignored) == 0;
}

static void on_end(const struct s3_done *done, const struct err *err, void *arg) {
	struct copying *c = arg;
	c->has_ended = true;
	c->has_failed = err != NULL;
	if (err)
		c->err = *err;
	else
		c->counts.copied_bytes = done->size;
}

static int write_out(const void *data, size_t len, void *arg, struct err *err) {
	(void)arg;
	for (size_t at = 0; at < len;) {
		ssize_t n = write(STDOUT_FILENO, (const char *)data + at, len - at);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot write to standard output");
		at += (size_t)n;
	}
	return 0;
}

static int read_in(void *data, size_t size, size_t *ret_len, void *arg, struct err *err) {
	struct copying *c = arg;
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = c->watch.signal_fd, .events = POLLIN}};
	(void)poll(fds, 2, -1); /* whatever it says, read tells what there is */
	if (s3_watch_is_cancelled(&c->watch)) return err_set(err, ERR_CANCELLED, "told to stop");
	ssize_t n;
	do n = read(STDIN_FILENO, data, size);
	while (n < 0 && errno == EINTR);
	if (n < 0) return err_set_errno(err, errno, "cannot read standard input");
	*ret_len = (size_t)n;
	return 0;
}

/* What is there is replaced, which /dev/null would not survive. */
static int check_place(const struct copying *c, const char *path, struct err *err) {
	AUTO_CLOSE int fd = -1;
	struct err ignored = {0}; /* absent, or what follows says why not */
	struct stat st;
	if (fs_open(c->root, path, O_PATH, 0, &fd, &ignored) != 0 || fstat(fd, &st) < 0) return 0;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) return 0;
	return err_set(err, ERR_INVALID, "%s is a device, pipe or socket: `dsagent cp s3://%s/%s - > %s` writes to it",
		       c->local, c->url.bucket, c->url.key, c->local);
}

static int begin_get(struct copying *c, struct err *err) {
	struct s3_get spec = {
		.key = c->url.key, .size = -1, .uid = (uid_t)-1, .gid = (gid_t)-1, .on_end = on_end, .arg = c};
	unsigned folder_mode;
	if (!c->url.key[0] || str_ends(c->url.key, "/"))
		return err_set(err, ERR_INVALID, "s3://%s/%s is a prefix: say --recursive, or use `dsagent sync`",
			       c->url.bucket, c->url.key);
	s3_cli_modes(&spec.mode, &folder_mode);
	if (str_eq(c->local, STREAM)) {
		spec.on_data = write_out;
	} else {
		const char *path = NULL;
		int rc = s3_cli_path(c->ctx, c->local, &path, err);
		if (rc) return rc;
		if (str_ends(c->local, "/") || is_folder(c, path)) {
			path = arena_printf(&c->ctx->arena, "%s/%s", path, base_name(c->url.key));
			c->watch.show.local = arena_printf(&c->ctx->arena, "%s%s%s", c->local,
							   str_ends(c->local, "/") ? "" : "/", base_name(c->url.key));
		}
		rc = check_place(c, path, err);
		if (!rc && !c->o->s3.is_dry) rc = open_parent(c, path, err);
		if (rc) return rc;
		spec.name = base_name(path);
		spec.dir_fd = c->dir_fd;
	}
	if (!c->o->s3.is_dry) s3_get(c->s3, &spec);
	return 0;
}

static int begin_put(struct copying *c, struct err *err) {
	struct s3_put spec = {.follows_link = !c->o->s3.skips_links, .on_end = on_end, .arg = c};
	const char *path = NULL;
	bool is_stream = str_eq(c->local, STREAM), is_prefix = !c->url.key[0] || str_ends(c->url.key, "/");
	if (is_stream && is_prefix)
		return err_set(err, ERR_INVALID, "standard input has no name: write s3://BUCKET/KEY in full");
	int rc = is_stream ? 0 : s3_cli_path(c->ctx, c->local, &path, err);
	if (rc) return rc;
	if (!is_stream && is_folder(c, path))
		return err_set(err, ERR_INVALID, "%s is a folder: say --recursive, or use `dsagent sync`", c->local);
	spec.key = c->url.key;
	if (is_prefix) spec.key = arena_printf(&c->ctx->arena, "%s%s", c->url.key, base_name(path));
	c->watch.show.url = arena_printf(&c->ctx->arena, "s3://%s/%s", c->url.bucket, spec.key);
	if (is_stream) {
		spec.on_read = read_in;
	} else {
		rc = open_parent(c, path, err);
		if (!rc && faccessat(c->dir_fd, base_name(path), R_OK, 0) < 0)
			rc = err_set_errno(err, errno, "cannot read %s", c->local);
		if (rc) return rc;
		spec.name = base_name(path);
		spec.dir_fd = c->dir_fd;
	}
	if (!c->o->s3.is_dry) s3_put(c->s3, &spec);
	return 0;
}

static int wait_for_end(struct copying *c, struct err *err) {
	bool is_told = false;
	while (!c->o->s3.is_dry && s3_active(c->s3)) {
		if (s3_watch_is_cancelled(&c->watch) && !is_told) {
			s3_cancel(c->s3);
			is_told = true;
		}
		int rc = s3_run(c->s3, TURN_MS, err);
		if (rc) return rc;
		c->counts.done_bytes = s3_stats(c->s3)->done_bytes;
		s3_show_progress(&c->counts, &c->watch.show);
	}
	return 0;
}

static int copy_one(struct copying *c, struct err *err) {
	c->counts = (struct s3sync_counts){.planned = 1};
	int rc = c->way == S3WAY_DOWN ? begin_get(c, err) : begin_put(c, err);
	if (!rc) rc = wait_for_end(c, err);
	if (rc) return rc;
	struct s3sync_event event = {
		.verb = c->way == S3WAY_DOWN ? S3SYNC_DOWNLOAD : S3SYNC_UPLOAD,
		.size = c->o->s3.is_dry ? -1 : c->counts.copied_bytes,
		.err = c->has_failed ? &c->err : NULL,
	};
	c->counts.failed = c->has_failed;
	c->counts.copied = !c->has_failed;
	c->counts.requests = s3_stats(c->s3)->requests;
	if (!c->watch.signal) s3_show_event(&event, &c->watch.show);
	return 0;
}

static int copy_all(struct copying *c, struct err *err) {
	struct s3sync_options sync = {
		.way = c->way,
		.compare = S3COMPARE_NOTHING,
		.s3 = c->s3,
		.bucket = c->url.bucket,
		.prefix = s3url_folder(c->url.key, &c->ctx->arena),
		.root = c->root,
		.filter = s3_cli_filter(c->ctx, &c->o->s3),
		.is_dry = c->o->s3.is_dry,
		.max_delete = -1,
		.skips_links = c->o->s3.skips_links,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
	};
	s3_watch_hook(&c->watch, &sync);
	c->watch.show.url = arena_printf(&c->ctx->arena, "s3://%s/%s", sync.bucket, sync.prefix);
	s3_cli_modes(&sync.file_mode, &sync.folder_mode);
	int rc = s3_cli_path(c->ctx, c->local, &sync.folder, err);
	return rc ? rc : s3sync_run(&sync, &c->counts, err);
}

static int run(struct copying *c) {
	AUTO_S3 struct s3 *s3 = NULL;
	struct err err = {0};
	int rc = context_root(c->ctx, &c->root, &err);
	if (!rc) rc = s3_cli_open(c->ctx, &c->o->s3, c->url.bucket, &s3, &err);
	/* Who writes to a pipe may wait for its reader for ever: a signal ends that, and nothing is left behind. */
	if (!rc && !c->watch.show.is_quiet) rc = s3_watch_open(&c->watch, &err);
	if (rc) return cli_fail(EXIT_NO_START, &err);
	c->s3 = s3;
	s3_show_begin(&c->watch.show);
	rc = c->o->is_recursive ? copy_all(c, &err) : copy_one(c, &err);
	if (rc == -ERR_INVALID) return cli_fail(EXIT_USAGE, &err);
	/* One file has one line: that sums it up. */
	if (c->o->is_recursive || c->watch.show.is_json) s3_show_end(&c->watch.show, &c->counts, rc ? &err : NULL);
	if (c->watch.signal) return EXIT_SIGNAL_BASE + c->watch.signal;
	if (rc) return cli_fail(EXIT_STEP_FAILED, &err);
	return c->counts.failed ? EXIT_STEP_FAILED : EXIT_OK_;
}

int cmd_cp(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	struct err err = {0};
	struct copying c = {.ctx = ctx, .o = &o, .watch = S3_WATCH_INIT, .dir_fd = -1};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code == OPT_GO && find_way(&c, &args, &err)) code = cli_fail(EXIT_USAGE, &err);
	if (code == OPT_GO) {
		c.watch.show =
			(struct s3_show){.is_json = ctx->is_json,
					 .is_dry = o.s3.is_dry,
					 .is_quiet = c.way == S3WAY_DOWN && str_eq(c.local, STREAM),
					 .way = c.way,
					 .local = c.local,
					 .url = arena_printf(&ctx->arena, "s3://%s/%s", c.url.bucket, c.url.key)};
		code = c.watch.show.is_quiet && ctx->is_json
			       ? cli_fail(EXIT_USAGE, (err_set(&err, ERR_INVALID,
							       "--json and data cannot both go to "
							       "standard output"),
						       &err))
			       : run(&c);
	}
	s3_watch_close(&c.watch);
	cleanup_close(&c.dir_fd);
	strs_clear(&o.s3.filters);
	return code;
}
