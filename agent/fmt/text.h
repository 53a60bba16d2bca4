#pragma once
/*
 * UTF-8 byte by byte, for the parsers that must name or mend the first bad byte.
 */
#include <stddef.h>

/** Bytes of the longest prefix of the n bytes that is well-formed UTF-8 (RFC 3629); n when all of it is. */
size_t text_valid_prefix(const char *s, size_t n);
