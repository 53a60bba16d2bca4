#pragma once
/*
 * Byte encodings: base64 (RFC 4648), gzip (RFC 1952, by zlib) and percent-encoding (RFC 3986), each with a cap on what
 * comes out.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct err;

void codec_base64(const void *data, size_t len, struct buf *out);

/** White space is skipped, padding may be missing; any other byte is ERR_INVALID. */
CHECK_RESULT int codec_unbase64(const char *text, size_t len, struct buf *out, struct err *err);

bool codec_is_gzip(const void *data, size_t len);

/** All members of a gzip stream; ERR_INVALID for a damaged or cut one, ERR_LIMIT past out->max (no bomb gets further).
 */
CHECK_RESULT int codec_gunzip(const void *data, size_t len, struct buf *out, struct err *err);

/** One gzip member, as small as zlib makes it, the same bytes for the same data: no name, no time. */
void codec_gzip(const void *data, size_t len, struct buf *out);

/** Percent-encodes all but A-Z a-z 0-9 - . _ ~ and, if asked, '/'; upper-case hex, per byte. */
void codec_percent(const char *s, bool keeps_slash, struct buf *out);
