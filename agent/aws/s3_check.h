#pragma once
/*
 * Checksums of whole objects: what S3 names in the headers of a GET against what came.
 *
 * Source: S3 User Guide, "Checking object integrity". A composite one (of parts) says nothing of the whole and is not
 * taken.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "fmt/crc.h"
#include "fmt/digest.h"

struct err;
struct http_response;

enum s3_check_how { S3_CHECK_NONE, S3_CHECK_CRC, S3_CHECK_SHA256 };

struct s3_check {
	enum s3_check_how how;
	enum crc_kind kind;
	uint64_t crc;
	struct digest *digest;
	const char *name; /* "CRC-64/NVME" */
	unsigned char want[SHA256_SIZE];
};

/** Picks a checksum that the answer's headers name; S3_CHECK_NONE when there is none that can be used. */
void s3_check_begin(struct s3_check *check, const struct http_response *answer);
void s3_check_add(struct s3_check *check, const void *data, size_t len);

/** For pieces that come in any order: the CRC of all, in place of what was added. */
void s3_check_set_crc(struct s3_check *check, uint64_t crc);

/** Retryable ERR_REMOTE when what came is not what S3 has. */
CHECK_RESULT int s3_check_end(struct s3_check *check, struct err *err);
void s3_check_clear(struct s3_check *check);

#define S3_CRC_TEXT_SIZE 16 /* base64 of 8 bytes and a NUL */
/** Base64 as S3's headers have it; returns text. */
const char *s3_crc_text(enum crc_kind kind, uint64_t crc, char text[S3_CRC_TEXT_SIZE]);
/** False for anything else. */
bool s3_crc_parse(enum crc_kind kind, const char *text, uint64_t *ret_crc);
