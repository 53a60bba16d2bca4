#pragma once
/*
 * Records of the index as bytes, and a stream of them. A record: how many bytes of the path are those of the one
 * before, the rest, size, mtime, LastModified, ETag (an MD5, alone or with a part count, takes its 16 bytes). Numbers
 * are LEB128.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/s3.h"
#include "aws/s3index.h"
#include "base/buf.h"
#include "base/cleanup.h"

struct err;

/** Longest path: a key's. */
#define S3RECORD_PATH_MAX S3_KEY_MAX
/** Most bytes of a record. */
#define S3RECORD_MAX (S3RECORD_PATH_MAX + S3_ETAG_MAX + 80)

/** Adds the record; previous is the path before it ("" : the whole path is written). */
void s3record_put(const struct s3index_entry *entry, const char *previous, struct buf *out);

/** One that was read. */
struct s3record {
	char path[S3RECORD_PATH_MAX + 1]; /* on entry: that of the record before */
	char etag[S3_ETAG_MAX];
	struct s3index_entry entry; /* points into the others */
};

/** Reads one of at most len bytes: how many it takes, or 0 when they are no record that may follow. */
size_t s3record_get(const unsigned char *data, size_t len, struct s3record *record);

/** A stream of records in a file, from `at` to `end`. */
struct s3stream {
	int fd; /* borrowed */
	int64_t at, end;
	unsigned char *data; /* S3STREAM_SIZE bytes */
	size_t have, used;
	struct s3record record;
};

#define S3STREAM_SIZE (32 * 1024)

void s3stream_open(struct s3stream *stream, int fd, int64_t at, int64_t end);
void s3stream_close(struct s3stream *stream);

/** The next record in stream->record.entry. */
CHECK_RESULT int s3stream_next(struct s3stream *stream, bool *ret_has, struct err *err);
