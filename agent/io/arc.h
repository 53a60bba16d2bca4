#pragma once
/*
 * Unpacking archives from outside by libarchive: tar (plain, gz, xz, zst) and zip. libarchive reads; the entries are
 * written here, below one directory and never through a link (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS).
 * Refused with the entry's name, the archive as a whole: absolute names, "..", links that lead out, devices, pipes and
 * sockets, encryption, and more entries, bytes or growth than the limits allow. Set-id bits, foreign owners and write
 * permission for all are dropped.
 */
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;

struct arc_limits {
	int64_t entries_max;
	int64_t bytes_max;
	int64_t ratio_max; /* unpacked bytes per byte of archive, once ARC_RATIO_FREE_BYTES are passed */
};

/** Small archives of zeros are no danger: the ratio counts from here. */
#define ARC_RATIO_FREE_BYTES (64LL * 1024 * 1024)

/** A million files is more than any release has; text packs at 20, sparse data at 200 times. */
#define ARC_ENTRIES_MAX 1000000
#define ARC_RATIO_MAX 500

struct arc_extract {
	int archive_fd; /* read from its start */
	int dir_fd;	/* an empty directory; O_PATH will not do */
	unsigned strip; /* leading components to drop; entries that have no more are left out */
	uid_t uid;	/* (uid_t)-1: ours */
	gid_t gid;
	struct arc_limits limits;
	/** Called for every entry, as it begins. May be NULL; non-zero stops (it fills err). */
	int (*on_entry)(const char *name, int64_t bytes, void *arg, struct err *err);
	void *arg;
	int64_t entries, bytes; /* out: written */
};

/** Unpacks all of it, or fails: what was written until then is the caller's to remove. */
CHECK_RESULT int arc_extract(struct arc_extract *x, struct err *err);
