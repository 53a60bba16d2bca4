#pragma once
/*
 * Strict parsing of scalars: the whole string must match, no white space, no silent overflow. The message names the
 * text and says what is accepted.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;

/** Decimal integer with optional '-', within [min, max]. */
CHECK_RESULT int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret_value, struct err *err);

/** "90s", "10m", "1h30m", "500ms", "2d"; a bare number is seconds. At most 366 days. */
CHECK_RESULT int parse_duration(const char *s, int64_t *ret_ms, struct err *err);

/** "512", "10K", "4M", "2G", "1T" with optional "iB" or "B"; all binary (1K = 1024), as in fallocate(1). */
CHECK_RESULT int parse_size(const char *s, int64_t *ret_bytes, struct err *err);

/** Octal file mode, "0644" or "0o644"; a first digit other than 0 is refused, since it may be meant as decimal. */
CHECK_RESULT int parse_mode(const char *s, mode_t *ret_mode, struct err *err);

/** true/false, yes/no, on/off in any case. */
CHECK_RESULT int parse_bool(const char *s, bool *ret_value, struct err *err);

/** ISO 8601 UTC, "2026-11-20T13:00:00Z" (fractions of a second ignored), to epoch seconds. */
CHECK_RESULT int parse_time(const char *s, int64_t *ret_epoch_s, struct err *err);

/** Lower- or upper-case hexadecimal to bytes; s must hold exactly 2 * n digits. */
CHECK_RESULT int parse_hex(const char *s, unsigned char *ret_bytes, size_t n, struct err *err);
