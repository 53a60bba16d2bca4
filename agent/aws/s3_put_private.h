#pragma once
/* What s3_put.c (one PUT) and s3_parts.c (multipart uploads) share. */
#include <sys/stat.h>

#include "aws/s3_private.h"
#include "fmt/digest.h"

/** Larger ones are sent in parts, at least so large: S3 takes 5 MiB and more. */
#define S3_PART_SIZE ((int64_t)8 * 1024 * 1024)
/** Read, hashed or sent at once. */
#define S3_READ_SIZE ((size_t)256 * 1024)

struct s3_parts;

/** What headers say of a body before it is sent: its SHA-256 over plain http, its CRC to AWS. */
struct s3_sums {
	bool wants_hash, wants_crc;
	char hash[SHA256_HEX_SIZE];
	uint64_t crc;
};

struct s3_putting {
	struct s3_op op;
	struct s3_request request; /* the PUT; the beginning and end of a multipart upload */
	struct arena arena;	   /* of the texts of spec */
	struct s3_put spec;
	int fd;		/* -1: not open */
	struct stat st; /* as it was when sending began */
	char *body;	/* a small file, or the first part of a stream */
	int64_t size;
	struct s3_sums sums;
	bool is_read;	  /* sums are known */
	bool wants_parts; /* is larger than one PUT should be */
	struct s3_parts *parts;
	struct s3_done done;
};

/** Which are wanted. */
void s3_sums_begin(const struct s3 *s3, struct s3_sums *sums);
void s3_sums_of(struct s3_sums *sums, const void *data, size_t len);
/** Those of a range of the file. May be called by a thread of its own. */
CHECK_RESULT int s3_sums_read(const struct s3_putting *p, int64_t offset, int64_t len, struct s3_sums *sums,
			      struct err *err);

/** Headers that make the object what it is to be: of a PUT and of CreateMultipartUpload. */
void s3_add_object_headers(const struct s3_putting *p, struct arena *arena, struct strs *headers);
void s3_add_checksum_header(const struct s3_putting *p, uint64_t crc, struct arena *arena, struct strs *headers);

/** "UNSIGNED-PAYLOAD" over https, where TLS protects the body, else the hash. */
const char *s3_payload_hash(const struct s3_sums *sums);

/** ERR_BUSY when the file is not what it was. */
CHECK_RESULT int s3_check_unchanged(const struct s3_putting *p, struct err *err);

/** ETag and date of a 2xx answer. */
void s3_read_done(const struct http_response *answer, struct s3_done *done);

void s3_put_ended(struct s3_putting *p, struct err *err);

/** "application/json" for "x.json", else application/octet-stream. */
const char *s3_content_type(const char *name);

/** Exactly len bytes of the file; ERR_BUSY when it has become shorter. */
CHECK_RESULT int s3_read_at(const struct s3_putting *p, void *data, size_t len, int64_t offset, struct err *err);

/** Reads from the stream until data is full or it has ended. */
CHECK_RESULT int s3_read_stream(struct s3_putting *p, char *data, size_t size, size_t *ret_len, struct err *err);

/** Goes on with a multipart upload: the file is open, or body holds the first part of a stream. */
void s3_parts_begin(struct s3_putting *p);
void s3_parts_free(struct s3_parts *parts);
