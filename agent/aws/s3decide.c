#include "aws/s3decide.h"

#include "aws/s3.h"
#include "aws/s3index.h"
#include "aws/s3key.h"
#include "aws/s3sum.h"
#include "aws/s3walk.h"
#include "base/str.h"

#define NS_PER_MS 1000000

/* The mtime is the object's time: ours has its milliseconds, the AWS CLI's its seconds. */
static bool has_time_of(const struct s3walk_entry *local, const struct s3_object *object) {
	int64_t ms = local->mtime_ns / NS_PER_MS;
	return local->mtime_ns == ms * NS_PER_MS &&
	       (ms == object->modified_at_ms || ms == object->modified_at_ms / 1000 * 1000);
}

static bool is_local_as(const struct s3walk_entry *local, const struct s3index_entry *index) {
	return local->size == index->size && local->mtime_ns == index->mtime_ns;
}

static bool is_object_as(const struct s3_object *object, const struct s3index_entry *index) {
	return object->size == index->size && str_eq(object->etag, index->etag);
}

static enum s3action compare_strict(enum s3way way, const struct s3walk_entry *local, const struct s3_object *object,
				    const struct s3index_entry *index) {
	bool has_parts = false;
	if (index && is_local_as(local, index) && is_object_as(object, index)) return S3DO_KEEP;
	if (has_time_of(local, object) && !(index && !is_object_as(object, index))) return S3DO_KEEP;
	/* A file that was only touched, or whose index is lost, is read again rather than sent again. */
	if (way == S3WAY_UP && s3sum_is_md5(object->etag, &has_parts) && !has_parts) return S3DO_CHECK;
	return S3DO_COPY;
}

static enum s3action compare_files(enum s3way way, enum s3compare compare, const struct s3walk_entry *local,
				   const struct s3_object *object, const struct s3index_entry *index) {
	bool has_parts = false;
	if (compare == S3COMPARE_NOTHING || local->size != object->size) return S3DO_COPY;
	if (compare == S3COMPARE_SIZE) return S3DO_KEEP;
	if (compare == S3COMPARE_CHECKSUM && s3sum_is_md5(object->etag, &has_parts)) return S3DO_CHECK;
	return compare_strict(way, local, object, index);
}

static enum s3action refuse(const char *why, const char **ret_why) {
	*ret_why = why;
	return S3DO_REFUSE;
}

static enum s3action decide_down(enum s3compare compare, const struct s3walk_entry *local,
				 const struct s3_object *object, const struct s3index_entry *index,
				 const char **ret_why) {
	if (!object) return local->kind == S3WALK_FILE ? S3DO_EXTRA : S3DO_NOTHING;
	if (s3key_is_folder(object->key)) {
		if (object->size)
			return refuse("its name ends in '/' but it holds data: no file can have that name", ret_why);
		return local ? S3DO_NOTHING : S3DO_FOLDER;
	}
	if (local && local->kind == S3WALK_SPECIAL) return refuse("a device, socket or FIFO is in its place", ret_why);
	if (local && local->kind == S3WALK_FILE) {
		enum s3action action = compare_files(S3WAY_DOWN, compare, local, object, index);
		if (action == S3DO_KEEP) return action;
		if (!object->is_archived) return action;
	}
	if (object->is_archived)
		return refuse("it is archived and must be restored first (aws s3api restore-object)", ret_why);
	return S3DO_COPY;
}

static enum s3action decide_up(enum s3compare compare, const struct s3walk_entry *local, const struct s3_object *object,
			       const struct s3index_entry *index, const char **ret_why) {
	if (!local) return S3DO_EXTRA;
	switch (local->kind) {
	case S3WALK_FOLDER: return S3DO_NOTHING;
	case S3WALK_SPECIAL: return refuse("it is a device, socket or FIFO: only files can be uploaded", ret_why);
	case S3WALK_LINK: return refuse("it is a symbolic link that leads nowhere", ret_why);
	case S3WALK_FILE: break;
	}
	return object ? compare_files(S3WAY_UP, compare, local, object, index) : S3DO_COPY;
}

enum s3action s3decide(enum s3way way, enum s3compare compare, const struct s3walk_entry *local,
		       const struct s3_object *object, const struct s3index_entry *index, const char **ret_why) {
	if (!local && !object) return S3DO_NOTHING; /* the index alone remembers it */
	return way == S3WAY_DOWN ? decide_down(compare, local, object, index, ret_why)
				 : decide_up(compare, local, object, index, ret_why);
}
