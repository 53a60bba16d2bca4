#pragma once
/*
 * Writing tar archives (POSIX.1-1988 ustar, which every tar reads): regular files in memory, the same bytes for the
 * same input.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct buf;
struct err;

/** Longest name; the format splits it at a '/' into 155 and 100 bytes, and that is not needed here. */
#define TAR_NAME_MAX 100

/** Adds a file. ERR_INVALID for a name that is empty or longer than TAR_NAME_MAX. */
CHECK_RESULT int tar_add(const char *name, const void *data, size_t len, mode_t mode, int64_t mtime_s, struct buf *out,
			 struct err *err);

/** Ends the archive. */
void tar_end(struct buf *out);
