#pragma once
/*
 * Who holds a package database lock. dpkg, apt and rpm use fcntl(2) record locks, so F_GETLK names the holder. Nothing
 * is killed and no lock file is deleted, ever.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct machine;

struct lock_holder {
	pid_t pid; /* 0: held, but not known by whom (another pid namespace) */
	char comm[32];
};

/** True, and the holder, if somebody else holds path (below the machine's root). Absent or unreadable: false. */
bool locks_held(const struct machine *m, const char *path, struct lock_holder *ret_holder);

/**
 * Waits until none of the NULL-terminated paths is held, reporting by machine_wait as "the dpkg lock (apt-get, pid 17)"
 * (name is "dpkg lock"). ERR_BUSY with the holder after limit_ms or at the machine's deadline.
 */
CHECK_RESULT int locks_wait(const struct machine *m, const char *name, const char *const *paths, int64_t limit_ms,
			    struct err *err);
