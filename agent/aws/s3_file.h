#pragma once
/*
 * A file that comes into being beside its final name: written under a temporary one, then renamed. Nothing is synced:
 * whoever fetched many files does that once.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;

struct s3_file {
	int dir_fd;	  /* borrowed */
	const char *name; /* final; borrowed */
	int fd;
	bool is_open;
	char temp[NAME_MAX + 1];
};

/** ".NAME.dsagent.XXXXXX" with XXXXXX made of mark; NAME is cut where the whole would be too long. */
void s3_file_temp(const char *name, uint64_t mark, char temp[NAME_MAX + 1]);

/** True for a temporary name that was made of a mark from first on, before end. */
bool s3_file_is_between(const char *name, uint64_t first, uint64_t end);

/** Creates the temporary file, mode 0600. seed is raised at each try. */
CHECK_RESULT int s3_file_create(struct s3_file *f, int dir_fd, const char *name, uint64_t *seed, struct err *err);

/** For one that takes its time: another process that tidies up the folder leaves it alone from now on. */
void s3_file_hold(const struct s3_file *f);
/** Removes what a killed run has left under a temporary name; false when somebody is at it. */
bool s3_file_tidy(int dir_fd, const char *temp);

/** All of it, at offset. ERR_NO_SPACE, ERR_IO. */
CHECK_RESULT int s3_file_write(int fd, const void *data, size_t len, int64_t offset, struct err *err);

struct s3_file_how {
	mode_t mode;
	uid_t uid; /* -1: ours */
	gid_t gid;
	int64_t modified_at_ms;
};

/** Owner, mode, time, final name. The temporary file is gone either way. */
CHECK_RESULT int s3_file_commit(struct s3_file *f, const struct s3_file_how *how, struct err *err);

/** Closes and removes it, if there is one. */
void s3_file_drop(struct s3_file *f);
