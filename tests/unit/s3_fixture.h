#pragma once
/* One bucket on a scripted server, one request at a time, so that requests come in the script's order. */
#include <fcntl.h>
#include <sys/stat.h>

#include "aws/s3.h"
#include "aws_world.h"
#include "tree.h"

#define ETAG "ETag: \"e1\"\r\n"
#define MODIFIED "Last-Modified: Fri, 24 May 2013 00:00:00 GMT\r\n"
#define S3_ERROR(code) "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>m</Message></Error>"

struct s3_fixture {
	struct aws_world w;
	struct s3 *s3;
	char text[65536]; /* what came of it */
	struct tree tree;
	int dir_fd;
};

/** env: instead of keys in the environment, or NULL. */
static inline void fx_start_env(struct s3_fixture *f, const struct lo_row *script, const char *const *env,
				struct s3_options options) {
	struct err err = {0};

	*f = (struct s3_fixture){0};
	tree_open(&f->tree);
	f->dir_fd = open(f->tree.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	aws_world_start(&f->w, script, env, env == NULL);
	options.aws = &f->w.aws;
	if (!options.bucket) options.bucket = "bucket";
	if (options.jobs == 0) options.jobs = 1;
	if (s3_open(&options, &f->s3, &err) != 0) fail_msg("%s", err.msg);
}

static inline void fx_start(struct s3_fixture *f, const struct lo_row *script, struct s3_options options) {
	fx_start_env(f, script, NULL, options);
}

static inline void fx_turn(struct s3_fixture *f) {
	struct err err = {0};

	if (s3_run(f->s3, 1000, &err) != 0) fail_msg("%s", err.msg);
}

static inline void fx_run(struct s3_fixture *f) {
	while (s3_active(f->s3)) fx_turn(f);
}

/** Requests and the folder stay until fx_clear. */
static inline void fx_stop(struct s3_fixture *f) {
	s3_close(f->s3);
	aws_world_stop(&f->w);
}

static inline void fx_clear(struct s3_fixture *f) {
	aws_world_clear(&f->w);
	close(f->dir_fd);
	tree_close(&f->tree);
}

static inline void fx_add(struct s3_fixture *f, const char *fmt, ...) FORMAT(2, 3);
static inline void fx_add(struct s3_fixture *f, const char *fmt, ...) {
	size_t len = strlen(f->text);
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(f->text + len, sizeof f->text - len, fmt, args);
	va_end(args);
}

/** "size modified etag verified", or the error. */
static inline void fx_on_done(const struct s3_done *done, const struct err *err, void *arg) {
	struct s3_fixture *f = arg;

	if (err)
		fx_add(f, "%s: %s", err_code_name(err->code), err->msg);
	else
		fx_add(f, "%lld %lld %s%s", (long long)done->size, (long long)done->modified_at_ms, done->etag,
		       done->is_verified ? " verified" : "");
}

/** A file "f" of the object "k", of which all is known. */
static const struct s3_get fx_whole = {
	.key = "k",
	.size = 10,
	.etag = "e1",
	.modified_at_ms = 1369353600123, /* MODIFIED, to the millisecond */
	.name = "f",
	.mode = 0640,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.on_end = fx_on_done,
};

/** Begins a download into the folder; what came of it is told by fx_on_done. */
static inline void fx_get(struct s3_fixture *f, struct s3_get spec) {
	spec.dir_fd = f->dir_fd;
	spec.arg = f;
	s3_get(f->s3, &spec);
}

static inline void fx_on_end(const struct err *err, void *arg) {
	if (err)
		fx_add(arg, "%s: %s", err_code_name(err->code), err->msg);
	else
		fx_add(arg, "end");
}

/** Adds what is in the folder: "; name mode mtime text", hidden files too. */
static inline void fx_add_files(struct s3_fixture *f) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs names = {0};
	struct err err = {0};

	if (fs_list(&f->tree.root, "/", &arena, &names, &err) != 0) fail_msg("%s", err.msg);
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(&arena, "/%s", names.items[i]);
		AUTO_FREE char *text = tree_read(&f->tree, path);
		struct stat st;

		if (fs_lstat(&f->tree.root, path, &st, &err) != 0) fail_msg("%s", err.msg);
		if (S_ISDIR(st.st_mode))
			fx_add(f, "; %s/", names.items[i]);
		else
			fx_add(f, "; %s %o %lld '%.40s'", names.items[i], (unsigned)st.st_mode & 07777,
			       (long long)st.st_mtime, text);
	}
}

/** The port, which differs in each run, as $HOST. */
static inline const char *fx_text(struct s3_fixture *f) {
	const char *host = f->w.lo.url + strlen("http://");
	char *at;

	while ((at = strstr(f->text, host))) {
		memmove(at + 5, at + strlen(host), strlen(at + strlen(host)) + 1);
		memcpy(at, "$HOST", 5);
	}
	return f->text;
}

static inline void fx_check(struct s3_fixture *f, const char *name, const char *want) {
	if (lo_difference(&f->w.lo)) fail_msg("%s: %s (%s)", name, lo_difference(&f->w.lo), fx_text(f));
	if (!str_eq(fx_text(f), want)) fail_msg("%s:\n%s\n  is not\n%s", name, fx_text(f), want);
}
