/*
 * Writing an index: what is kept comes in order and is written at once; what was transferred comes in any order, is
 * sorted in pieces of BATCH_BYTES that are written aside, and merged at the end. Memory does not grow with the number
 * of entries.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "aws/s3index.h"
#include "aws/s3index_private.h"
#include "aws/s3index_record.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

#define BATCH_BYTES ((size_t)1024 * 1024)
/* Pieces at most: beyond them, some ten million entries, the rest is left out and looked at anew next time. */
#define PIECES_MAX 256
#define OUT_SIZE (64 * 1024)

/* A file of records as it grows. */
struct out {
	int fd;
	int64_t at; /* bytes written or in text */
	struct buf text;
	char last[S3RECORD_PATH_MAX + 1];
	uint64_t count;
	VEC(uint64_t) table;
	struct digest *digest; /* NULL: no index, a piece */
	int errnum;
};

struct piece {
	int fd;
	int64_t size;
};

struct s3index_writer {
	int dir_fd;
	char *name, *owner;
	char temp[2][64]; /* of kept, and of the merged */
	struct out kept;
	VEC(struct s3index_entry) batch; /* in the order of coming */
	struct arena arena;		 /* its texts */
	size_t batch_bytes;
	VEC(struct piece) pieces;
	int errnum; /* of pieces */
};

static void out_flush(struct out *o) {
	for (size_t done = 0; !o->errnum && done < o->text.len;) {
		ssize_t n = write(o->fd, o->text.data + done, o->text.len - done);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0)
			o->errnum = errno;
		else
			done += (size_t)n;
	}
	if (o->digest && o->text.len) digest_add(o->digest, o->text.data, o->text.len);
	buf_reset(&o->text);
}

static void out_bytes(struct out *o, const void *data, size_t n) {
	buf_add(&o->text, data, n);
	o->at += (int64_t)n;
	if (o->text.len >= OUT_SIZE) out_flush(o);
}

static void out_u64(struct out *o, uint64_t n) {
	unsigned char bytes[8];
	s3index_put_u64(bytes, n);
	out_bytes(o, bytes, sizeof bytes);
}

/* Takes fd over. owner NULL: a piece. */
static void out_open(struct out *o, int fd, const char *owner) {
	unsigned char head[S3INDEX_HEAD_SIZE];
	*o = (struct out){.fd = fd, .text = BUF_INIT(OUT_SIZE + S3RECORD_MAX), .digest = owner ? digest_new() : NULL};
	if (!owner) return;
	s3index_head(owner, head);
	out_bytes(o, head, sizeof head);
}

static void out_close(struct out *o) {
	digest_free(o->digest);
	o->digest = NULL;
	cleanup_close(&o->fd);
	o->fd = -1;
	buf_clear(&o->text);
	vec_clear(&o->table);
}

static void out_record(struct out *o, const struct s3index_entry *e) {
	bool is_in_table = o->digest && o->count % S3INDEX_STRIDE == S3INDEX_STRIDE - 1;
	size_t before = o->text.len;
	/* An entry in the table is read without those before it. */
	if (is_in_table) vec_push(&o->table, (uint64_t)o->at);
	s3record_put(e, is_in_table ? "" : o->last, &o->text);
	o->at += (int64_t)(o->text.len - before);
	o->count++;
	(void)snprintf(o->last, sizeof o->last, "%s", e->path); /* callers have looked at its length */
	if (o->text.len >= OUT_SIZE) out_flush(o);
}

/* Table, counts and hash; synced. 0, or an errno. */
static int out_end(struct out *o) {
	unsigned char hash[SHA256_SIZE];
	uint64_t table_at = (uint64_t)o->at;
	for (size_t i = 0; i < o->table.count; i++) out_u64(o, o->table.items[i]);
	out_u64(o, o->count);
	out_u64(o, table_at);
	out_u64(o, o->table.count);
	out_flush(o);
	digest_end(o->digest, hash);
	o->digest = NULL;
	out_bytes(o, hash, sizeof hash);
	out_flush(o);
	if (!o->errnum && fsync(o->fd) < 0) o->errnum = errno;
	return o->errnum;
}

static int open_temp(const struct s3index_writer *w, char temp[64]) {
	(void)snprintf(temp, 64, ".index-%016" PRIx64, clock_random(UINT64_MAX));
	return openat(w->dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int s3index_write(int dir_fd, const char *name, const char *owner, struct s3index_writer **ret_writer,
		  struct err *err) {
	struct s3index_writer *w = mem_zalloc(sizeof *w);
	w->dir_fd = dir_fd;
	w->name = mem_strdup(name);
	w->owner = mem_strdup(owner);
	int fd = open_temp(w, w->temp[0]);
	int saved = errno;
	out_open(&w->kept, fd, owner);
	if (fd < 0) {
		w->temp[0][0] = '\0';
		s3index_discard(w);
		return err_set_errno(err, saved, "cannot write the index of the sync");
	}
	*ret_writer = w;
	return 0;
}

void s3index_discard(struct s3index_writer *w) {
	if (!w) return;
	for (size_t i = 0; i < 2; i++)
		if (w->temp[i][0]) (void)unlinkat(w->dir_fd, w->temp[i], 0); /* ours; a leftover does no harm */
	for (size_t i = 0; i < w->pieces.count; i++) cleanup_close(&w->pieces.items[i].fd);
	vec_clear(&w->pieces);
	vec_clear(&w->batch);
	arena_clear(&w->arena);
	out_close(&w->kept);
	free(w->name);
	free(w->owner);
	free(w);
}

static bool fits(const struct s3index_entry *e) {
	return *e->path && strlen(e->path) <= S3RECORD_PATH_MAX && strlen(e->etag) < S3_ETAG_MAX;
}

void s3index_keep(struct s3index_writer *w, const struct s3index_entry *e) {
	if (fits(e) && strcmp(w->kept.last, e->path) < 0) out_record(&w->kept, e);
}

static int compare(const void *a, const void *b) {
	return strcmp(((const struct s3index_entry *)a)->path, ((const struct s3index_entry *)b)->path);
}

/* Writes the batch aside, sorted. */
static void spill(struct s3index_writer *w) {
	char temp[64];
	struct out o;
	if (!w->batch.count || w->errnum || w->pieces.count == PIECES_MAX) return;
	int fd = open_temp(w, temp);
	if (fd < 0) {
		w->errnum = errno;
		return;
	}
	(void)unlinkat(w->dir_fd, temp, 0); /* it lives as long as it is open */
	qsort(w->batch.items, w->batch.count, sizeof *w->batch.items, compare);
	out_open(&o, fd, NULL);
	for (size_t i = 0; i < w->batch.count; i++)
		if (!i || compare(&w->batch.items[i - 1], &w->batch.items[i]) != 0) out_record(&o, &w->batch.items[i]);
	out_flush(&o);
	w->errnum = o.errnum;
	vec_push(&w->pieces, ((struct piece){fd, o.at}));
	o.fd = -1; /* the piece has it */
	out_close(&o);
	w->batch.count = 0;
	w->batch_bytes = 0;
	arena_clear(&w->arena);
}

void s3index_add(struct s3index_writer *w, const struct s3index_entry *e) {
	struct s3index_entry own = *e;
	if (!fits(e)) return;
	own.path = arena_strdup(&w->arena, e->path);
	own.etag = arena_strdup(&w->arena, e->etag);
	vec_push(&w->batch, own);
	w->batch_bytes += sizeof own + strlen(own.path) + strlen(own.etag) + 32;
	if (w->batch_bytes >= BATCH_BYTES) spill(w);
}

/* Streams to be merged: what was kept, then the pieces; of equal paths the last stream's counts. */
struct merge {
	struct s3stream *streams;
	bool *has;
	size_t count;
};

static int merge_step(struct merge *m, struct out *o, bool *ret_has, struct err *err) {
	size_t least = SIZE_MAX;
	int rc = 0;
	for (size_t i = 0; i < m->count; i++)
		if (m->has[i] &&
		    (least == SIZE_MAX || strcmp(m->streams[i].record.path, m->streams[least].record.path) <= 0))
			least = i;
	*ret_has = least != SIZE_MAX;
	if (!*ret_has) return 0;
	out_record(o, &m->streams[least].record.entry);
	for (size_t i = 0; !rc && i < m->count; i++)
		if (m->has[i] && str_eq(m->streams[i].record.path, o->last))
			rc = s3stream_next(&m->streams[i], &m->has[i], err);
	return rc;
}

static int merge(struct s3index_writer *w, struct out *o, struct err *err) {
	struct merge m = {.count = 1 + w->pieces.count};
	bool goes_on = true;
	int rc = 0;
	m.streams = mem_zalloc(m.count * sizeof *m.streams);
	m.has = mem_zalloc(m.count * sizeof *m.has);
	s3stream_open(&m.streams[0], w->kept.fd, S3INDEX_HEAD_SIZE, w->kept.at);
	for (size_t i = 1; i < m.count; i++)
		s3stream_open(&m.streams[i], w->pieces.items[i - 1].fd, 0, w->pieces.items[i - 1].size);
	for (size_t i = 0; !rc && i < m.count; i++) rc = s3stream_next(&m.streams[i], &m.has[i], err);
	while (!rc && goes_on) rc = merge_step(&m, o, &goes_on, err);
	for (size_t i = 0; i < m.count; i++) s3stream_close(&m.streams[i]);
	free(m.streams);
	free(m.has);
	return rc;
}

/* Ends it and gives it its name. */
static int finish(const struct s3index_writer *w, struct out *o, char *temp, struct err *err) {
	int errnum = out_end(o);
	if (!errnum && renameat(w->dir_fd, temp, w->dir_fd, w->name) < 0) errnum = errno;
	if (errnum) return err_set_errno(err, errnum, "cannot write the index of the sync");
	temp[0] = '\0';
	return 0;
}

static int finish_merged(struct s3index_writer *w, struct err *err) {
	struct out o;
	int fd = open_temp(w, w->temp[1]);
	if (fd < 0) return err_set_errno(err, errno, "cannot write the index of the sync");
	out_open(&o, fd, w->owner);
	int rc = merge(w, &o, err);
	if (!rc) rc = finish(w, &o, w->temp[1], err);
	out_close(&o);
	return rc;
}

int s3index_commit(struct s3index_writer *w, struct err *err) {
	int rc = 0;
	spill(w);
	if (!w->pieces.count) {
		rc = finish(w, &w->kept, w->temp[0], err);
	} else {
		out_flush(&w->kept);
		int errnum = w->kept.errnum ? w->kept.errnum : w->errnum;
		rc = errnum ? err_set_errno(err, errnum, "cannot write the index of the sync") : finish_merged(w, err);
	}
	s3index_discard(w);
	return rc;
}
