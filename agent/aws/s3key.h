#pragma once
/*
 * Which keys a file system can hold, and how. Legal keys that it cannot (S3 User Guide, "Creating object key names",
 * allows any UTF-8): parts "." and "..", empty parts ("a//b", a leading "/"), parts above NAME_MAX bytes. They are
 * reported by name, never renamed, never skipped in silence.
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct err;

/** 0, or ERR_INVALID with why no file can have the name. key is what follows the prefix; it may end in one '/'. */
CHECK_RESULT int s3key_check(const char *key, struct err *err);

/** 0, or ERR_INVALID with why no object can have the name prefix + path (S3_KEY_MAX, UTF-8). */
CHECK_RESULT int s3key_check_path(const char *prefix, const char *path, struct err *err);

/** True for "dir/": the marker of a folder. */
bool s3key_is_folder(const char *key);
