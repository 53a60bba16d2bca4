#include "aws/s3index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/s3index_private.h"
#include "aws/s3index_record.h"
#include "base/err.h"
#include "base/mem.h"

#define CHUNK_SIZE (64 * 1024)

struct s3index {
	int fd;
	struct s3stream stream;
	int64_t table_at;
	size_t count, rows;
};

void s3index_put_u64(unsigned char *out, uint64_t n) {
	for (int i = 0; i < 8; i++) out[i] = (unsigned char)(n >> (8 * i));
}

static uint64_t get_u64(const unsigned char *data) {
	uint64_t n = 0;
	for (int i = 0; i < 8; i++) n |= (uint64_t)data[i] << (8 * i);
	return n;
}

void s3index_head(const char *owner, unsigned char head[S3INDEX_HEAD_SIZE]) {
	s3index_put_u64(head, S3INDEX_MAGIC);
	s3index_put_u64(head + S3INDEX_MAGIC_SIZE, S3INDEX_VERSION);
	digest_sha256(owner, strlen(owner), head + S3INDEX_MAGIC_SIZE + 8);
}

static int read_at(int fd, void *data, size_t n, int64_t at, struct err *err) {
	for (size_t done = 0; done < n;) {
		ssize_t got = pread(fd, (char *)data + done, n - done, at + (int64_t)done);
		if (got < 0 && errno == EINTR) continue;
		if (got < 0) return err_set_errno(err, errno, "cannot read it");
		if (!got) return err_set(err, ERR_STATE, "it is too short");
		done += (size_t)got;
	}
	return 0;
}

static int check_head(int fd, const char *owner, struct err *err) {
	unsigned char head[S3INDEX_HEAD_SIZE], want[S3INDEX_HEAD_SIZE];
	s3index_head(owner, want);
	int rc = read_at(fd, head, sizeof head, 0, err);
	if (rc) return rc;
	if (memcmp(head, want, S3INDEX_MAGIC_SIZE) != 0) return err_set(err, ERR_STATE, "it is no index");
	if (get_u64(head + S3INDEX_MAGIC_SIZE) != S3INDEX_VERSION)
		return err_set(err, ERR_STATE, "it is of another version of dsagent");
	if (memcmp(head, want, sizeof head) != 0) return err_set(err, ERR_STATE, "it belongs to another sync");
	return 0;
}

/* All of it, but the hash itself. */
static int check_hash(int fd, int64_t size, struct err *err) {
	unsigned char *chunk AUTO_FREE = mem_zalloc(CHUNK_SIZE);
	unsigned char want[SHA256_SIZE], have[SHA256_SIZE];
	struct digest *digest = digest_new();
	int rc = read_at(fd, want, sizeof want, size - SHA256_SIZE, err);
	for (int64_t at = 0, end = size - SHA256_SIZE; !rc && at < end;) {
		size_t n = end - at < CHUNK_SIZE ? (size_t)(end - at) : CHUNK_SIZE;
		rc = read_at(fd, chunk, n, at, err);
		if (!rc) digest_add(digest, chunk, n);
		at += (int64_t)n;
	}
	if (rc) {
		digest_free(digest);
		return rc;
	}
	digest_end(digest, have);
	return memcmp(want, have, sizeof want) == 0 ? 0 : err_set(err, ERR_STATE, "it is damaged");
}

static int read_tail(struct s3index *index, int64_t size, struct err *err) {
	unsigned char tail[S3INDEX_TAIL_SIZE];
	int rc = read_at(index->fd, tail, sizeof tail, size - S3INDEX_TAIL_SIZE, err);
	if (rc) return rc;
	uint64_t count = get_u64(tail), table_at = get_u64(tail + 8), rows = get_u64(tail + 16);
	uint64_t table_end = (uint64_t)size - S3INDEX_TAIL_SIZE;
	if (table_at < S3INDEX_HEAD_SIZE || table_at > table_end || rows != (table_end - table_at) / 8 ||
	    rows != count / S3INDEX_STRIDE)
		return err_set(err, ERR_STATE, "it contradicts itself");
	index->count = count;
	index->rows = rows;
	index->table_at = (int64_t)table_at;
	return 0;
}

int s3index_open(int dir_fd, const char *name, const char *owner, struct s3index **ret_index, struct err *err) {
	struct s3index *index = mem_zalloc(sizeof *index);
	struct stat st = {0};
	int rc = 0;
	index->fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (index->fd < 0 || fstat(index->fd, &st) < 0) rc = err_set_errno(err, errno, "cannot open it");
	if (!rc && (!S_ISREG(st.st_mode) || st.st_size < S3INDEX_HEAD_SIZE + S3INDEX_TAIL_SIZE))
		rc = err_set(err, ERR_STATE, "it is no index");
	if (!rc) rc = check_head(index->fd, owner, err);
	if (!rc) rc = check_hash(index->fd, st.st_size, err);
	if (!rc) rc = read_tail(index, st.st_size, err);
	if (rc) {
		s3index_close(index);
		return rc;
	}
	s3stream_open(&index->stream, index->fd, S3INDEX_HEAD_SIZE, index->table_at);
	*ret_index = index;
	return 0;
}

void s3index_close(struct s3index *index) {
	if (!index) return;
	s3stream_close(&index->stream);
	cleanup_close(&index->fd);
	free(index);
}

size_t s3index_count(const struct s3index *index) { return index->count; }

int s3index_next(struct s3index *index, struct s3index_entry *ret_entry, bool *ret_has, struct err *err) {
	int rc = s3stream_next(&index->stream, ret_has, err);
	if (!rc && *ret_has) *ret_entry = index->stream.record.entry;
	return rc;
}

char *s3index_split(const struct s3index *index, size_t row) {
	unsigned char place[8], data[S3RECORD_MAX];
	struct s3record record = {.path = ""};
	struct err ignored; /* what cannot be read is no split */
	if (row >= index->rows || read_at(index->fd, place, sizeof place, index->table_at + (int64_t)row * 8, &ignored))
		return NULL;
	uint64_t at = get_u64(place);
	if (at < S3INDEX_HEAD_SIZE || at >= (uint64_t)index->table_at) return NULL;
	size_t n =
		(uint64_t)index->table_at - at < sizeof data ? (size_t)((uint64_t)index->table_at - at) : sizeof data;
	if (read_at(index->fd, data, n, (int64_t)at, &ignored) || !s3record_get(data, n, &record)) return NULL;
	return mem_strdup(record.path);
}
