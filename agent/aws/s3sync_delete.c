/*
 * What only the destination has. Paths are kept in a file until both sides are known whole: deleting while listing
 * would delete what an interrupted listing had not come to.
 */
#include "aws/s3sync_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Without --max-delete: more than so many files, if they are more than half of all, need a word. */
#define GUARD_FILES 100

int s3sync_guard(int64_t extras, int64_t targets, int64_t sources, int64_t max_delete, struct err *err) {
	if (!extras) return 0;
	if (!sources)
		return err_set(err, ERR_DENIED,
			       "nothing was deleted: the source is empty, which is more often a mistake than meant; "
			       "%" PRId64 " files of the destination are not in it",
			       extras);
	if (max_delete >= 0 && extras > max_delete)
		return err_set(err, ERR_DENIED,
			       "nothing was deleted: %" PRId64 " files are not in the source, more than --max-delete "
			       "%" PRId64,
			       extras, max_delete);
	if (max_delete < 0 && extras > GUARD_FILES && extras > targets / 2)
		return err_set(err, ERR_DENIED,
			       "nothing was deleted: %" PRId64 " of %" PRId64 " files of the destination are not in "
			       "the source; if that is right, say --max-delete %" PRId64,
			       extras, targets, extras);
	return 0;
}

static void open_file(struct s3sync *s) {
	int fd = s->state_fd < 0 ? -1 : openat(s->state_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	s->extras.file = fd < 0 ? tmpfile() : fdopen(fd, "w+"); /* not every file system has O_TMPFILE */
	if (s->extras.file) return;
	s->extras.errnum = errno;
	cleanup_close(&fd);
}

void s3extras_add(struct s3sync *s, const char *path) {
	struct s3extras *e = &s->extras;
	e->count++;
	if (!s->o->deletes || e->errnum) return;
	if (!e->file) open_file(s);
	if (e->file && fwrite(path, strlen(path) + 1, 1, e->file) != 1) e->errnum = errno;
}

static void tell_deleted(struct s3sync *s, const char *path) {
	s->counts.deleted++;
	s3sync_tell(s, S3SYNC_DELETE, path, -1, NULL);
}

/* One DeleteObjects call. */
struct batch {
	struct s3sync *s;
	char *keys[S3_DELETE_MAX];
	bool is_refused[S3_DELETE_MAX];
	size_t count;
	bool has_ended;
};

static void on_refused(const char *key, const struct err *err, void *arg) {
	struct batch *b = arg;
	for (size_t i = 0; i < b->count; i++)
		if (str_eq(b->keys[i], key)) b->is_refused[i] = true;
	s3sync_fail(b->s, S3SYNC_DELETE, key + strlen(b->s->o->prefix), err);
}

static void on_deleted(const struct err *err, void *arg) {
	struct batch *b = arg;
	for (size_t i = 0; i < b->count; i++) {
		const char *path = b->keys[i] + strlen(b->s->o->prefix);
		if (err)
			s3sync_fail(b->s, S3SYNC_DELETE, path, err);
		else if (!b->is_refused[i])
			tell_deleted(b->s, path);
	}
	b->has_ended = true;
}

static void batch_send(struct batch *b) {
	struct err err = {0};
	struct s3_delete spec = {
		.keys = (const char *const *)b->keys,
		.count = b->count,
		.on_refused = on_refused,
		.on_end = on_deleted,
		.arg = b,
	};
	b->has_ended = false;
	memset(b->is_refused, 0, sizeof b->is_refused);
	if (b->count) s3_delete(b->s->o->s3, &spec);
	while (b->count && !b->has_ended)
		if (s3sync_turn(b->s, 200, &err)) {
			s3sync_stop(b->s, &err);
			break;
		}
	for (size_t i = 0; i < b->count; i++) free(b->keys[i]);
	b->count = 0;
}

static void delete_file(struct s3sync *s, const char *path) {
	struct err err = {0};
	if (s3tree_remove_file(s->tree, path, &err))
		s3sync_fail(s, S3SYNC_DELETE, path, &err);
	else
		tell_deleted(s, path);
}

static void delete_all(struct s3sync *s) {
	struct batch *b AUTO_FREE = mem_zalloc(sizeof *b);
	char *path AUTO_FREE = NULL;
	size_t size = 0;
	b->s = s;
	rewind(s->extras.file);
	while (!s->is_stopping && getdelim(&path, &size, '\0', s->extras.file) > 0) {
		if (s->o->is_dry) {
			tell_deleted(s, path);
		} else if (s->o->way == S3WAY_DOWN) {
			delete_file(s, path);
		} else {
			b->keys[b->count++] = s3sync_key(s, path);
			if (b->count == S3_DELETE_MAX) batch_send(b);
		}
		if (s->o->is_cancelled && s->o->is_cancelled(s->o->arg)) break;
	}
	batch_send(b);
}

void s3sync_delete(struct s3sync *s) {
	struct err err = {0};
	int rc = 0;
	if (!s->o->deletes || !s->extras.count) return;
	if (s->has_listing_failed || (s->walk && !s3walk_is_complete(s->walk)))
		rc = err_set(&err, ERR_STATE, "nothing was deleted: not all could be listed");
	if (!rc && (s->extras.errnum || fflush(s->extras.file)))
		rc = err_set_errno(&err, s->extras.errnum ? s->extras.errnum : errno,
				   "nothing was deleted: cannot keep the list of files");
	if (!rc) rc = s3sync_guard(s->extras.count, s->targets, s->sources, s->o->max_delete, &err);
	if (rc)
		s3sync_fail(s, S3SYNC_DELETE, NULL, &err);
	else
		delete_all(s);
}
