/* Index and lock of a sync: one each for endpoint, bucket, prefix and folder. */
#include "aws/s3sync_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

static int lock(struct s3sync *s, struct err *err) {
	char *path AUTO_FREE = mem_printf("%s/%s.lock", s->o->state_dir, s->index_name);
	pid_t holder = 0;
	int rc = fs_lock(s->o->root, path, &s->lock_fd, &holder, err);
	if (rc == -ERR_BUSY)
		return err_set(err, ERR_BUSY, "process %d syncs %s with s3://%s/%s already; wait for its end",
			       (int)holder, s->o->folder, s->o->bucket, s->o->prefix);
	return rc;
}

static void open_index(struct s3sync *s) {
	struct err err = {0};
	int rc = s3index_open(s->state_fd, s->index_name, s->index_owner, &s->index, &err);
	if (!rc || rc == -ERR_NOT_FOUND) return;
	(void)err_wrap(&err, "the index of earlier runs (%s/%s) is not used", s->o->state_dir, s->index_name);
	s3sync_tell(s, S3SYNC_NOTICE, NULL, -1, &err);
}

static void open_writer(struct s3sync *s) {
	struct err err = {0};
	if (s3index_write(s->state_fd, s->index_name, s->index_owner, &s->writer, &err))
		s3sync_tell(s, S3SYNC_NOTICE, NULL, -1, &err); /* the next run compares by time then */
}

int s3sync_state_open(struct s3sync *s, struct err *err) {
	const struct s3sync_options *o = s->o;
	const char *endpoint = s3_endpoint(o->s3);
	char hex[SHA256_HEX_SIZE];
	int rc = 0;
	if (!o->state_dir) return 0;
	s->index_owner = mem_printf("%s\n%s\n%s\n%s", endpoint ? endpoint : "aws", o->bucket, o->prefix, o->folder);
	digest_sha256_hex(s->index_owner, strlen(s->index_owner), hex);
	s->index_name = mem_printf("%.32s.index", hex);
	if (!o->is_dry) rc = fs_mkdirs(o->root, o->state_dir, 0700, (uid_t)-1, (gid_t)-1, err);
	if (!rc) rc = fs_open(o->root, o->state_dir, O_RDONLY | O_DIRECTORY, 0, &s->state_fd, err);
	if (rc && o->is_dry) { /* nothing was ever synced */
		err_clear(err);
		return 0;
	}
	if (!rc && !o->is_dry) rc = lock(s, err);
	if (rc) return rc;
	open_index(s);
	if (!o->is_dry) open_writer(s);
	return 0;
}

void s3sync_remember(struct s3sync *s, const struct s3index_entry *entry) {
	s->index_differs = true;
	if (s->writer) s3index_add(s->writer, entry);
}

void s3sync_keep(struct s3sync *s, const struct s3index_entry *e, const struct s3index_entry *before) {
	if (!before || before->size != e->size || before->mtime_ns != e->mtime_ns || !str_eq(before->etag, e->etag))
		s->index_differs = true;
	if (s->writer) s3index_keep(s->writer, e);
}

void s3sync_state_close(struct s3sync *s) {
	struct err err = {0};
	bool has_entry = s->has_entry;
	int rc = 0;
	while (!rc && has_entry && s->writer && !s->is_joined) {
		s3index_keep(s->writer, &s->entry);
		rc = s3index_next(s->index, &s->entry, &has_entry, &err);
	}
	if (rc || (s->index && !s->index_differs)) {
		s3index_discard(s->writer);
	} else if (s->writer && s3index_commit(s->writer, &err)) {
		s3sync_tell(s, S3SYNC_NOTICE, NULL, -1, &err);
	}
	s3index_close(s->index);
	cleanup_close(&s->lock_fd);
	cleanup_close(&s->state_fd);
	free(s->index_name);
	free(s->index_owner);
}
