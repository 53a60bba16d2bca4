#pragma once
/*
 * authorized_keys(5) for the `user` step: which lines are keys, and which of them are not there yet. Two lines are the
 * same key when type and base64 agree; options and comment do not count.
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct arena;
struct err;
struct exec_user;
struct fs_root;
struct strs;

/** Largest authorized_keys file. */
#define USER_KEYS_MAX (256 * 1024)

/**
 * Adds the key lines of text, comments and empty lines left out. ERR_INVALID, without showing it, for what is no public
 * key: a private one, a type that OpenSSH does not take any more (ssh-dss), cut base64.
 */
CHECK_RESULT int user_keys_split(const char *text, struct arena *arena, struct strs *ret_keys, struct err *err);

/** The lines of USER's authorized_keys that are keys; none without the file. Read with that user's own rights. */
CHECK_RESULT int user_keys_read(const struct fs_root *root, const struct exec_user *user, struct arena *arena,
				const char **ret_text, struct strs *ret_keys, struct err *err);

/** Adds the keys of wanted that have lacks. */
void user_keys_missing(const struct strs *wanted, const struct strs *have, struct arena *arena,
		       struct strs *ret_missing);

/** "ssh-ed25519 …8Kq2 ana@laptop": enough for a person to know it. */
const char *user_key_text(const char *key, struct arena *arena);

/** Writes the file and its directory (0700, 0600) with the user's own rights. */
CHECK_RESULT int user_keys_write(const struct fs_root *root, const struct exec_user *user, struct arena *arena,
				 const char *text, struct err *err);
