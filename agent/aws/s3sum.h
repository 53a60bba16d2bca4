#pragma once
/*
 * Whether a file has the content of an object, by the object's ETag: the MD5 of one that was put in one piece without
 * KMS, or the MD5 of the MD5s of its parts, whose size is not told and so found among the usual ones. Any other ETag
 * says nothing. Work comes in slices, so that transfers go on beside it. Source: S3 API Reference, "Object", ETag.
 */
#include <stdbool.h>
#include <stdint.h>

struct s3sum;

enum s3sum_state {
	S3SUM_GOES_ON,
	S3SUM_SAME,
	S3SUM_DIFFERS,
	S3SUM_UNKNOWN, /* the file cannot be read, or the ETag fits no usual size of parts */
};

/** True if the ETag has the form of an MD5, alone (has_parts false) or with a part count. */
bool s3sum_is_md5(const char *etag, bool *ret_has_parts);

/** Takes fd over. size: of both. */
struct s3sum *s3sum_new(int fd, int64_t size, const char *etag);
void s3sum_free(struct s3sum *sum); /* NULL is fine */

/** Reads some more. */
enum s3sum_state s3sum_step(struct s3sum *sum);
