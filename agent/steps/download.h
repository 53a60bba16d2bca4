#pragma once
/*
 * What the files of the `download` step share: the file that was fetched (download_get.c) and the directory that an
 * archive was unpacked into (download_tree.c). Other steps that need one file from outside use download_get too.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct arena;
struct err;
struct step_ctx;

/** One file to be had. */
struct download {
	const char *url, *to; /* to: absolute */
	const char *sha256;   /* NULL: whatever S3 has */
	const char *work;     /* where it grows: on the file system of `to` */
	int64_t bytes_max;
	mode_t mode;
};

/**
 * Holds what is being made of path: the worker of a killed run may still be at it for a moment. At most a minute is
 * waited. Closes with the descriptor; download_unlock removes the lock file as well.
 */
CHECK_RESULT int download_lock(const char *path, struct step_ctx *ctx, int *ret_fd, struct err *err);
void download_unlock(const char *path, struct step_ctx *ctx, int *fd);
/** Whether a lock file is there: somebody is at it, or was killed after his work. */
bool download_has_lock(const char *path, struct step_ctx *ctx);

/** dir/.base + suffix for dir/base. */
const char *download_beside(const char *path, const char *suffix, struct arena *arena);

/**
 * Fetches into work, goes on where an interrupted attempt was, checks the hash, gives it mode and (run_as) owner and
 * renames it to `to`. Its parent is there. With ret_sha256 (65 bytes): the hash of what came.
 */
CHECK_RESULT int download_get(const struct download *d, struct step_ctx *ctx, char *ret_sha256, struct err *err);

/** "NAME" of the last component of a URL or path, without query: for messages. */
const char *download_name(const char *url, struct arena *arena);

/** An unpacked archive and where it is. */
struct download_tree {
	const char *dir;
	const char *source; /* "sha256 HEX" or "url URL": what is to be there */
	unsigned strip;
};

/**
 * What is not in place, in words ("bin/x is gone; 3 of 120 entries differ"), or "" when all is. ERR_STATE with the
 * remedy when something foreign lies there.
 */
CHECK_RESULT int download_tree_probe(const struct download_tree *t, struct step_ctx *ctx, const char **ret_lack,
				     struct err *err);

/**
 * Unpacks archive (a path) there, whole or not at all, and removes it; what is not of an earlier one stays. On failure
 * the archive may be there still.
 */
CHECK_RESULT int download_tree_put(const struct download_tree *t, const char *archive, int64_t bytes_max,
				   struct step_ctx *ctx, struct err *err);
