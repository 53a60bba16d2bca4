#pragma once
/*
 * Accounts, read from the passwd and group files below the root (a --root tree has its own).
 */
#include "base/exec.h"

struct arena;
struct err;
struct fs_root;
struct strs;

/** The account of that name (or a decimal uid), strings in the arena. ERR_NOT_FOUND. */
CHECK_RESULT int user_find(const struct fs_root *root, const char *name, struct arena *arena,
			   struct exec_user *ret_user, struct err *err);

/** The gid of a group name or decimal gid. ERR_NOT_FOUND. */
CHECK_RESULT int user_group(const struct fs_root *root, const char *name, gid_t *ret_gid, struct err *err);

/** The names for a uid and gid, or their decimal text. */
const char *user_name(const struct fs_root *root, uid_t uid, struct arena *arena);
const char *user_group_name(const struct fs_root *root, gid_t gid, struct arena *arena);

/** The groups that list the account as a member (its primary group is not among them unless it does so too). */
CHECK_RESULT int user_groups(const struct fs_root *root, const char *name, struct arena *arena, struct strs *ret_groups,
			     struct err *err);

/**
 * True if a password opens the account: its field in the shadow file is empty or a hash (shadow(5): "!" or "*" in front
 * locks it). False without an entry. ERR_DENIED unless root.
 */
CHECK_RESULT int user_has_password(const struct fs_root *root, const char *name, bool *ret_has_password,
				   struct err *err);
