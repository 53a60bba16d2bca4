#pragma once
/*
 * What was the same here and in the bucket when it was last looked at: for each path its size, the file's mtime and the
 * object's LastModified and ETag, sorted by path. It holds for both directions. With it a sync that finds nothing to do
 * needs neither HEAD requests nor hashes, and knows where to split a listing.
 *
 * The file: "dsas3idx", version, SHA-256 of whose index it is; records; a table of places of every S3INDEX_STRIDE-th
 * record; its place and counts; SHA-256 of all that. Records are read in a stream and not mapped: memory stays the same
 * however long it is, and a file that shrinks is an error and no SIGBUS. A damaged one, or one of another version, is
 * no index.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;

/** Every so many records are in the table: a page of a listing. The last of each such row: 999, 1999, … */
#define S3INDEX_STRIDE 1000

struct s3index_entry {
	const char *path; /* below the prefix, and below the folder */
	int64_t size, mtime_ns, modified_at_ms;
	const char *etag;
};

struct s3index;

/**
 * Opens NAME below dir_fd; owner is text that says whose index it must be. ERR_NOT_FOUND when absent, ERR_STATE when it
 * is damaged, of another version or another owner's.
 */
CHECK_RESULT int s3index_open(int dir_fd, const char *name, const char *owner, struct s3index **ret_index,
			      struct err *err);
void s3index_close(struct s3index *index); /* NULL is fine */

size_t s3index_count(const struct s3index *index);

/** The next entry, in order; its texts live until the next call. False at the end. ERR_STATE only if it was changed
 * since it was opened. */
CHECK_RESULT int s3index_next(struct s3index *index, struct s3index_entry *ret_entry, bool *ret_has, struct err *err);

/** The path of record row * S3INDEX_STRIDE + S3INDEX_STRIDE - 1; NULL behind the end. The caller frees. */
char *s3index_split(const struct s3index *index, size_t row);

struct s3index_writer;

/** Begins a new one beside it; nothing is seen of it before s3index_commit. */
CHECK_RESULT int s3index_write(int dir_fd, const char *name, const char *owner, struct s3index_writer **ret_writer,
			       struct err *err);

/** Adds one that follows all that were kept before: entries that did not change. Errors show at commit. */
void s3index_keep(struct s3index_writer *writer, const struct s3index_entry *entry);

/** Adds one in any order, each path once: what was transferred. It counts more than what was kept of that path. */
void s3index_add(struct s3index_writer *writer, const struct s3index_entry *entry);

/** Puts it in place; the writer is freed in any case. */
CHECK_RESULT int s3index_commit(struct s3index_writer *writer, struct err *err);
void s3index_discard(struct s3index_writer *writer); /* NULL is fine */
