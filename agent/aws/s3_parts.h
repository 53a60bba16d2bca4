#pragma once
/*
 * A multipart upload: s3_parts.c sends the parts, s3_upload.c begins and ends it, s3_note.c knows of it after a kill,
 * s3_stale.c finds one that was begun by a run that was killed before it knew its id.
 */
#include "aws/s3_put_private.h"
#include "aws/s3_worker.h"
#include "base/buf.h"
#include "base/vec.h"

struct xml;

#define S3_PARTS_MAX 10000
/** Parts of one file in flight. */
#define S3_PART_SLOTS 16
/** Those of a stream are held in memory until they are sent. */
#define S3_STREAM_SLOTS 3

struct s3_part {
	char *etag; /* without quotes; NULL: not sent yet */
	int64_t size;
	uint64_t crc;
	bool has_crc, is_begun;
};

struct s3_part_slot {
	struct s3_request request; /* first: see slot_of */
	struct s3_job reading;	   /* for sums */
	struct s3_parts *parts;
	size_t index;
	char number[16];
	int64_t offset, size;
	char *data; /* of a stream */
	struct s3_sums sums;
	bool is_busy;
};

struct s3_parts {
	struct s3_putting *p;
	struct s3_op op; /* of the requests: not known to struct s3 */
	struct s3_request control;
	char *upload_id;   /* NULL: not begun */
	int64_t asked_at;  /* epoch seconds of S3's clock: of a note without an id, when it was asked for; 0: no such
			      note */
	struct strs stale; /* ids still to be aborted */
	int64_t part_size;
	VEC(struct s3_part) parts;
	size_t next, done, reading; /* reading: slots that the readers have */
	bool has_failed;
	bool has_all; /* of a stream: its end was seen */
	struct s3_part_slot slots[S3_PART_SLOTS];
	struct err err; /* the first failure */
	/* Of s3_upload.c. */
	struct buf body;
	struct s3_part listed; /* by ListParts: the part that is being read */
	int64_t listed_number;
	char marker[16]; /* for its next page; "": none */
	char error_code[64], error_message[256];
	bool has_result;
};

/** Size of each part but the last: 8 MiB, more where 10,000 of these would not hold the file. */
int64_t s3_part_size(int64_t size);
/** Size of a stream's part: it grows, since nobody knows where the stream ends. */
int64_t s3_stream_part_size(size_t index);
/** Of the parts' ETags, where they are MD5: that of the object. False where they are not. */
bool s3_parts_etag(const struct s3_parts *parts, char etag[S3_ETAG_MAX]);

/** s3_upload.c: goes on with an upload that was noted, or begins one; then s3_parts_go, or s3_parts_fail. */
void s3_upload_open(struct s3_parts *parts);
/** All parts are there; then s3_put_ended. */
void s3_upload_complete(struct s3_parts *parts);
/** Forgets all about it, here and there; then s3_put_ended with parts->err. */
void s3_upload_abort(struct s3_parts *parts);

/** Makes control a request of the upload; further parameters and hooks are the caller's. */
struct s3_request *s3_upload_ask(struct s3_parts *parts, const char *method,
				 void (*on_end)(struct s3_request *r, struct err *err));
struct s3_parts *s3_parts_of(void *request);
/** CreateMultipartUpload, then s3_parts_go. */
void s3_upload_create(struct s3_parts *parts);

/**
 * s3_note.c: a note that cannot be written only costs the run after a kill. Written twice: before the upload is asked
 * for, and with its id.
 */
void s3_note_write(const struct s3_parts *parts);
void s3_note_remove(const struct s3_parts *parts);
/** The upload that is noted, in upload_id, or asked_at; true when it is of this very file. */
bool s3_note_read(struct s3_parts *parts);

/** s3_stale.c: aborts what was begun for this key since asked_at, then s3_upload_create. */
void s3_stale_abort(struct s3_parts *parts);

/** s3_parts.c */
void s3_parts_go(struct s3_parts *parts);
void s3_parts_fail(struct s3_parts *parts, const struct err *err);
