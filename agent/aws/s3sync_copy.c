/* Transfers of a sync: items from the queue to s3_get and s3_put, and what comes of them. */
#include "aws/s3sync_private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

struct s3item *s3item_new(struct s3sync *s, const char *path, int64_t size, int64_t modified_at_ms, const char *etag) {
	size_t path_len = strlen(path) + 1, etag_len = strlen(etag) + 1;
	struct s3item *item = mem_zalloc(sizeof *item + path_len + etag_len);
	item->sync = s;
	item->size = size;
	item->modified_at_ms = modified_at_ms;
	memcpy(item->path, path, path_len);
	memcpy(item->path + path_len, etag, etag_len);
	item->etag = item->path + path_len;
	return item;
}

void s3queue_push(struct s3queue *q, struct s3item *item) {
	fifo_push(&q->items, item);
	q->count++;
}

struct s3item *s3queue_pop(struct s3queue *q) {
	struct s3item *item = q->items.first;
	if (!item) return NULL;
	fifo_drop(&q->items);
	q->count--;
	return item;
}

void s3queue_clear(struct s3queue *q) {
	for (struct s3item *item; (item = s3queue_pop(q));) free(item);
}

static void item_free(struct s3item *item) {
	s3tree_release(item->dir);
	free(item);
}

static void item_fail(struct s3item *item, const struct err *err) {
	s3sync_fail(item->sync, s3sync_copy_verb(item->sync), item->path, err);
	item_free(item);
}

static void finish_ok(const struct s3item *item, const struct s3_done *done) {
	struct s3sync *s = item->sync;
	struct s3index_entry entry = {
		.path = item->path,
		.size = done->size,
		.mtime_ns = done->local_mtime_ns,
		.modified_at_ms = done->modified_at_ms,
		.etag = done->etag,
	};
	s->counts.copied++;
	s->counts.copied_bytes += done->size;
	s3sync_remember(s, &entry);
	s3sync_tell(s, s3sync_copy_verb(s), item->path, done->size, NULL);
}

static void on_end(const struct s3_done *done, const struct err *err, void *arg) {
	struct s3item *item = arg;
	struct s3sync *s = item->sync;
	s->active--;
	if (!err && !s3sync_is_clash(s, item->path)) finish_ok(item, done);
	bool is_told = !err || s3sync_is_clash(s, item->path) || (s->is_stopping && err->code == ERR_CANCELLED);
	if (err && err->code == ERR_NO_SPACE) s3sync_stop(s, err);
	if (is_told)
		item_free(item);
	else
		item_fail(item, err);
}

static void get(struct s3item *item, const char *name) {
	struct s3sync *s = item->sync;
	char *key AUTO_FREE = s3sync_key(s, item->path);
	struct s3_get spec = {
		.key = key,
		.size = item->size,
		.etag = item->etag,
		.modified_at_ms = item->modified_at_ms,
		.dir_fd = item->dir->fd,
		.name = name,
		.mode = s->o->file_mode,
		.uid = s->o->uid,
		.gid = s->o->gid,
		.on_end = on_end,
		.arg = item,
	};
	s->active++;
	s3_get(s->o->s3, &spec);
}

static void put(struct s3item *item, const char *name) {
	struct s3sync *s = item->sync;
	char *key AUTO_FREE = s3sync_key(s, item->path);
	struct s3_put spec = {
		.key = key,
		.dir_fd = item->dir->fd,
		.name = name,
		.follows_link = !s->o->skips_links,
		.on_end = on_end,
		.arg = item,
	};
	s->active++;
	s3_put(s->o->s3, &spec);
}

/* What waits for the deletions, if they may free its place. */
static bool defer(struct s3item *item) {
	struct s3sync *s = item->sync;
	if (!s->o->deletes || item->is_deferred || s->deferred.count == S3SYNC_DEFERRED_MAX) return false;
	item->is_deferred = true;
	s3queue_push(&s->deferred, item);
	return true;
}

/* A folder or special file in the file's place, or a name that was not there when its folder was listed. */
static int check_place(struct s3item *item, const char *name, struct err *err) {
	struct stat st;
	if (!item->is_new || fstatat(item->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return 0;
	if (S_ISDIR(st.st_mode)) return err_set(err, ERR_STATE, "a folder of that name is in its place");
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(err, ERR_STATE, "a device, pipe or socket is in its place");
	if (S_ISREG(st.st_mode) && item->sync->walk)
		return err_set(err, ERR_BUSY,
			       "a file is in its place that was not there before: something else writes here, or the "
			       "file system takes names that differ in upper and lower case for the same");
	return 0;
}

static int open_place(struct s3item *item, const char **ret_name, struct err *err) {
	struct s3sync *s = item->sync;
	int rc = s3sync_need_folder(s, err);
	if (rc) return rc;
	struct err ignored = {0}; /* a folder that is not empty is told below */
	if (item->is_deferred) (void)!s3tree_remove_empty(s->tree, item->path, &ignored);
	rc = s3tree_dir(s->tree, item->path, true, &item->dir, ret_name, err);
	if (rc == -ERR_STATE && s3sync_clear_way(s, item->path))
		rc = s3tree_dir(s->tree, item->path, true, &item->dir, ret_name, err);
	if (!rc) rc = check_place(item, *ret_name, err);
	return rc;
}

static void begin_get(struct s3item *item) {
	struct err err = {0};
	const char *name = NULL;
	if (s3sync_is_clash(item->sync, item->path)) { /* told already */
		item_free(item);
		return;
	}
	int rc = open_place(item, &name, &err);
	if (!rc) {
		get(item, name);
		return;
	}
	s3tree_release(item->dir);
	item->dir = NULL;
	if (rc == -ERR_NO_SPACE) s3sync_stop(item->sync, &err);
	if (rc != -ERR_STATE || !defer(item)) item_fail(item, &err);
}

static void begin_put(struct s3item *item) {
	struct err err = {0};
	const char *name = NULL;
	if (s3tree_dir(item->sync->tree, item->path, false, &item->dir, &name, &err))
		item_fail(item, &err);
	else
		put(item, name);
}

void s3sync_copy(struct s3sync *s) {
	while (!s->is_stopping && s3_has_room(s->o->s3)) {
		struct s3item *item = s3queue_pop(&s->queue);
		if (!item) break;
		if (s->o->way == S3WAY_DOWN)
			begin_get(item);
		else
			begin_put(item);
	}
}
