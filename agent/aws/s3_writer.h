#pragma once
/*
 * Pieces of large files, written by workers while the loop receives the next ones. Buffers are few and aligned for
 * O_DIRECT; when all wait for the disk, so does the loop: that is what slows the senders down.
 */
#include <stddef.h>
#include <stdint.h>

#include "aws/s3_worker.h"

/** One write. Volumes of EC2 count 256 KiB as one operation, but want neighbours merged: larger is better, and memory
 * is what it costs. */
#define S3_PIECE_SIZE ((size_t)512 * 1024)
#define S3_PIECES_MAX 44
/** Ranges in flight: each fills a piece; the others are being written. */
#define S3_RANGES_MAX 32

struct s3_writer;

struct s3_piece {
	struct s3_job job; /* rc and err: how the writing went */
	struct s3_writer *writer;
	struct s3_piece *next, *older;
	char *data; /* S3_PIECE_SIZE bytes */
	size_t len;
	int64_t offset;
	int fd, direct_fd;			    /* direct_fd: of the same file with O_DIRECT, or -1 */
	void (*on_written)(struct s3_piece *piece); /* by the loop's thread */
	void *arg;
};

/** multi is woken when pieces have been written. */
CHECK_RESULT int s3_writer_new(struct http_multi *multi, struct s3_writer **ret_writer, struct err *err);
/** Pieces are freed, written or not; no one is told. NULL is fine. */
void s3_writer_free(struct s3_writer *writer);

/** An empty piece; waits for one that is being written when all are in use. */
struct s3_piece *s3_writer_take(struct s3_writer *writer);
void s3_writer_write(struct s3_piece *piece);
void s3_writer_give_back(struct s3_piece *piece);

/** Calls on_written of all that have been written; they are empty again then. NULL is fine. */
void s3_writer_collect(struct s3_writer *writer);
