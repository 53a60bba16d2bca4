/* The merge of listing, tree and index in key order, and what each path's decision leads to. */
#include "aws/s3sync_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/s3key.h"
#include "aws/s3sum.h"

/* Decisions between two looks at the network. */
#define SLICE_DECISIONS 2000

/* One path, as each of the three has it. */
struct row {
	const char *path;
	const struct s3walk_entry *local;
	const struct s3_object *object;
	const struct s3index_entry *entry;
};

static void next_local(struct s3sync *s) { s->has_local = s->walk && s3walk_next(s->walk, &s->local); }

static void next_entry(struct s3sync *s) {
	struct err err = {0};
	s->has_entry = false;
	if (s->index && s3index_next(s->index, &s->entry, &s->has_entry, &err)) s->index_differs = true;
}

void s3sync_join_begin(struct s3sync *s) {
	next_local(s);
	next_entry(s);
}

/* The heads that have the least path. False when all have ended. */
static bool least(const struct s3sync *s, const struct s3_object *object, struct row *row) {
	*row = (struct row){0};
	if (s->has_local) row->path = s->local.path;
	if (object && (!row->path || strcmp(object->key, row->path) < 0)) row->path = object->key;
	if (s->has_entry && (!row->path || strcmp(s->entry.path, row->path) < 0)) row->path = s->entry.path;
	if (!row->path) return false;
	if (s->has_local && str_eq(s->local.path, row->path)) row->local = &s->local;
	if (object && str_eq(object->key, row->path)) row->object = object;
	if (s->has_entry && str_eq(s->entry.path, row->path)) row->entry = &s->entry;
	return true;
}

static void advance(struct s3sync *s, const struct row *row) {
	if (row->local) next_local(s);
	if (row->entry) next_entry(s);
	if (row->object) s3source_pop(s->source); /* last: path may be its key */
}

static void plan(struct s3sync *s, struct s3item *item) {
	s->counts.planned++;
	s->counts.planned_bytes += item->size;
	if (!s->o->is_dry) {
		s3queue_push(&s->queue, item);
		return;
	}
	s->counts.copied++;
	s->counts.copied_bytes += item->size;
	s3sync_tell(s, s3sync_copy_verb(s), item->path, item->size, NULL);
	free(item);
}

static struct s3item *item_of(struct s3sync *s, const struct row *row) {
	const struct s3_object *o = row->object;
	struct s3item *item;
	if (s->o->way == S3WAY_DOWN && o)
		item = s3item_new(s, row->path, o->size, o->modified_at_ms, o->etag);
	else
		item = s3item_new(s, row->path, row->local ? row->local->size : 0, o ? o->modified_at_ms : 0,
				  o ? o->etag : "");
	item->is_new = !row->local || row->local->kind != S3WALK_FILE;
	return item;
}

static void own(struct s3sync *s, const struct row *row) {
	struct s3dir *dir = NULL;
	const char *name = NULL;
	struct err err = {0};
	const struct s3walk_entry *l = row->local;
	const struct s3sync_options *o = s->o;
	bool has_owner = !o->has_owner ||
			 ((o->uid == (uid_t)-1 || o->uid == l->uid) && (o->gid == (gid_t)-1 || o->gid == l->gid));
	bool has_mode = !o->has_mode || o->file_mode == l->mode;
	if (has_owner && has_mode) return;
	int rc = o->is_dry ? 0 : s3tree_dir(s->tree, row->path, false, &dir, &name, &err);
	/* Owner before mode: chown clears bits. A link that took the file's place meanwhile is not followed. */
	if (!rc && !o->is_dry && !has_owner && fchownat(dir->fd, name, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0)
		rc = err_set_errno(&err, errno, "cannot set its owner");
	if (!rc && !o->is_dry && !has_mode && fchmodat(dir->fd, name, o->file_mode, AT_SYMLINK_NOFOLLOW) < 0)
		rc = err_set_errno(&err, errno, "cannot set its mode");
	s3tree_release(dir);
	if (rc) {
		s3sync_fail(s, S3SYNC_OWNER, row->path, &err);
		return;
	}
	s->counts.owned++;
	s3sync_tell(s, S3SYNC_OWNER, row->path, -1, NULL);
}

static void keep(struct s3sync *s, const struct row *row) {
	if (!row->local || !row->object) return; /* only what both have is equal */
	struct s3index_entry now = {
		.path = row->path,
		.size = row->local->size,
		.mtime_ns = row->local->mtime_ns,
		.modified_at_ms = row->object->modified_at_ms,
		.etag = row->object->etag,
	};
	s->counts.kept++;
	/* That the sizes are equal says nothing for later. */
	if (s->o->compare != S3COMPARE_SIZE)
		s3sync_keep(s, &now, row->entry);
	else if (row->entry)
		s3sync_keep(s, row->entry, row->entry);
	if (s->o->way == S3WAY_DOWN) own(s, row);
}

/* Opens the file to read it; -1 when it cannot be: then it is copied, and that says why. */
static int open_file(struct s3sync *s, const char *path) {
	struct s3dir *dir = NULL;
	const char *name = NULL;
	struct err ignored = {0};
	int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | (s->o->way == S3WAY_DOWN || s->o->skips_links ? O_NOFOLLOW : 0);
	if (s3tree_dir(s->tree, path, false, &dir, &name, &ignored)) return -1;
	int fd = openat(dir->fd, name, flags);
	s3tree_release(dir);
	return fd;
}

static void check(struct s3sync *s, const struct row *row) {
	if (!row->local || !row->object) return; /* as above */
	int fd = open_file(s, row->path);
	if (fd < 0)
		plan(s, item_of(s, row));
	else
		s->sum = s3sum_new(fd, row->local->size, row->object->etag);
}

static void make_folder(struct s3sync *s, const struct row *row) {
	struct err err = {0};
	int rc = s->o->is_dry ? 0 : s3sync_need_folder(s, &err);
	if (!rc && !s->o->is_dry) rc = s3tree_make(s->tree, row->path, &err);
	if (rc) {
		s3sync_fail(s, S3SYNC_FOLDER, row->path, &err);
		return;
	}
	s->counts.folders++;
	s3sync_tell(s, S3SYNC_FOLDER, row->path, -1, NULL);
}

/* Names that cannot be on the other side are refused whatever is to be done. */
static int check_name(const struct s3sync *s, const struct row *row, enum s3action action, struct err *err) {
	if (action != S3DO_COPY && action != S3DO_FOLDER && action != S3DO_REFUSE) return 0;
	if (s->o->way == S3WAY_UP) return s3key_check_path(s->o->prefix, row->path, err);
	return row->local ? 0 : s3key_check(row->path, err);
}

static void act(struct s3sync *s, const struct row *row) {
	const char *why = "";
	struct err err = {0};
	enum s3action action = s3decide(s->o->way, s->o->compare, row->local, row->object, row->entry, &why);
	int rc = check_name(s, row, action, &err);
	if (!rc && action == S3DO_REFUSE) rc = err_set(&err, ERR_INVALID, "%s", why);
	if (rc) {
		s3sync_fail(s, s3sync_copy_verb(s), row->path, &err);
		return;
	}
	if (action != S3DO_KEEP && action != S3DO_CHECK && row->entry) s->index_differs = true;
	switch (action) {
	case S3DO_NOTHING:
	case S3DO_REFUSE: break;
	case S3DO_KEEP: keep(s, row); break;
	case S3DO_COPY: plan(s, item_of(s, row)); break;
	case S3DO_CHECK: check(s, row); break;
	case S3DO_FOLDER: make_folder(s, row); break;
	case S3DO_EXTRA: s3extras_add(s, row->path); break;
	}
}

/* What the guard and the manifest want to know of the two sides. */
static void count(struct s3sync *s, const struct row *row) {
	bool is_file = row->local && row->local->kind == S3WALK_FILE;
	if (s->o->way == S3WAY_DOWN) {
		s->targets += is_file;
		s->sources += row->object != NULL;
	} else {
		s->targets += row->object != NULL;
		s->sources += is_file;
	}
	if (!row->object) return;
	if (s->o->on_object) s->o->on_object(row->object, s->o->arg);
	s->counts.objects++;
	s->counts.objects_bytes += row->object->size;
	digest_add(s->digest, row->object->key, strlen(row->object->key) + 1);
	digest_add(s->digest, &row->object->size, sizeof row->object->size);
	digest_add(s->digest, row->object->etag, strlen(row->object->etag) + 1);
}

/* The prefix itself, as consoles make it for a folder, stands for the folder that is synced. */
static bool is_prefix_itself(struct s3sync *s, const struct row *row) {
	struct err err = {0};
	if (!row->object || *row->path) return false;
	if (row->object->size) {
		(void)err_set(&err, ERR_INVALID, "the key ends in '/' but holds data: no file can have that name");
		s3sync_fail(s, s3sync_copy_verb(s), s->o->prefix, &err);
	}
	return true;
}

static void handle(struct s3sync *s, const struct row *row) {
	if (is_prefix_itself(s, row)) return;
	if (!s3filter_keeps(&s->o->filter, row->path)) {
		if (row->entry) s3sync_keep(s, row->entry, row->entry);
		return;
	}
	if (s->o->way == S3WAY_DOWN && row->object) s3stems_next(s, row->path);
	count(s, row);
	act(s, row);
}

/* A file that is read to be compared; the row is still at the heads. True when it is decided. */
static bool go_on_checking(struct s3sync *s, const struct row *row) {
	enum s3sum_state state = s3sum_step(s->sum);
	if (state == S3SUM_GOES_ON) return false;
	s3sum_free(s->sum);
	s->sum = NULL;
	const char *why = "";
	/* What the ETag cannot tell, time and index tell. */
	bool is_same = state == S3SUM_SAME ||
		       (state == S3SUM_UNKNOWN &&
			s3decide(s->o->way, S3COMPARE_STRICT, row->local, row->object, row->entry, &why) == S3DO_KEEP);
	if (is_same) {
		keep(s, row);
		return true;
	}
	if (row->entry) s->index_differs = true;
	plan(s, item_of(s, row));
	return true;
}

static void end(struct s3sync *s) {
	s->is_joined = true;
	s->counts.is_listed = !s->has_listing_failed;
}

/* The next object; false when it is to be waited for. */
static bool peek(struct s3sync *s, const struct s3_object **ret_object) {
	*ret_object = NULL;
	switch (s3source_peek(s->source, ret_object)) {
	case S3SOURCE_OBJECT:
	case S3SOURCE_ENDED: return true;
	case S3SOURCE_WAITS: return false;
	case S3SOURCE_FAILED: break;
	}
	s->has_listing_failed = true;
	s3sync_stop(s, s3source_error(s->source));
	return false;
}

bool s3sync_join(struct s3sync *s) {
	for (int i = 0; i < SLICE_DECISIONS && !s->is_joined && !s->is_stopping; i++) {
		const struct s3_object *object = NULL;
		struct row row;
		if (s->queue.count >= S3SYNC_QUEUE_MAX || !peek(s, &object)) return false;
		if (!least(s, object, &row)) {
			end(s);
			return false;
		}
		if (!s->sum) {
			handle(s, &row);
			if (!s->sum) advance(s, &row);
		} else {
			if (go_on_checking(s, &row)) advance(s, &row);
			return true;
		}
	}
	return !s->is_joined;
}
