#pragma once
/*
 * Accounts, read from the passwd and group files below the root (a --root tree has its own).
 */
#include "base/exec.h"

struct arena;
struct err;
struct fs_root;

/** The account of that name (or a decimal uid), strings in the arena. ERR_NOT_FOUND. */
CHECK_RESULT int user_find(const struct fs_root *root, const char *name, struct arena *arena,
			   struct exec_user *ret_user, struct err *err);

/** The gid of a group name or decimal gid. ERR_NOT_FOUND. */
CHECK_RESULT int user_group(const struct fs_root *root, const char *name, gid_t *ret_gid, struct err *err);

/** The names for a uid and gid, or their decimal text. */
const char *user_name(const struct fs_root *root, uid_t uid, struct arena *arena);
const char *user_group_name(const struct fs_root *root, gid_t gid, struct arena *arena);
