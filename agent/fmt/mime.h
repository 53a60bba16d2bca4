#pragma once
/*
 * MIME multi-part documents as cloud-init takes them (RFC 2045, 2046): enough to find the parts of user-data. One level
 * of multipart; transfer encodings 7bit, 8bit, binary, base64 and quoted-printable.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;

#define MIME_PARTS_MAX 64

struct mime_part {
	const char *type;     /* "text/x-shellscript", lower case */
	const char *filename; /* may be NULL */
	const char *data;     /* decoded, in the arena, NUL-terminated */
	size_t len;
};

/** True when data begins with header lines that make it a MIME document ("Content-Type:" or "MIME-Version:"). */
bool mime_is(const char *data, size_t len);

/** ERR_INVALID (no boundary, cut, bad encoding), ERR_LIMIT. A document that is not multipart is one part. */
CHECK_RESULT int mime_parse(const char *data, size_t len, struct arena *arena, struct mime_part **ret_parts,
			    size_t *ret_count, struct err *err);
