#pragma once
/*
 * Reading and writing in somebody's home with no more rights than theirs: a link that they put there leads nowhere they
 * could not go themselves. For the single-threaded worker only: the effective ids are the process's.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct exec_user;

struct as_user {
	bool is_other; /* something must be undone */
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int group_count;
};

/** Takes the user's effective uid and gid (no supplementary groups). Without root it does nothing. ERR_DENIED. */
CHECK_RESULT int as_user_begin(const struct exec_user *user, struct as_user *ret_before, struct err *err);

/** Back to who we were; ends the process when that cannot be. Does nothing on an all-zero value. */
void as_user_end(struct as_user *before);
#define AUTO_AS_USER AUTO(as_user_end)
