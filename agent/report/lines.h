#pragma once
/*
 * A text file line by line, however large, in bounded memory; and the end of one.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct err;
struct fs_root;

/** Longest line: a change with its diff, redacted. A longer one is given as NULL. */
#define LINES_BYTES_MAX (512 * 1024)

/** line is NUL-terminated, without its end; NULL: it was too long. */
typedef void (*lines_fn)(const char *line, size_t len, void *arg);

/** Calls fn for every line, also for a last one that has no end. ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
CHECK_RESULT int lines_read(const struct fs_root *root, const char *path, lines_fn fn, void *arg, struct err *err);

/** Adds the last max bytes of a file, from the begin of a line on. */
CHECK_RESULT int lines_tail(const struct fs_root *root, const char *path, size_t max, struct buf *out, struct err *err);
