#pragma once
/*
 * "s3://bucket/key" taken apart. Sources: S3 User Guide, "Bucket naming rules", "Directory bucket naming rules".
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct arena;
struct err;

struct s3url {
	const char *bucket, *key; /* key: "" for the bucket itself; never starts with the slash after the bucket */
};

bool s3url_is(const char *text);

/**
 * Texts in the arena. ERR_INVALID for what is no s3:// URL or names no bucket; ERR_UNSUPPORTED for access point ARNs
 * and directory buckets (--x-s3), whose listings are not in key order.
 */
CHECK_RESULT int s3url_parse(const char *text, struct arena *arena, struct s3url *ret_url, struct err *err);

/** The key as a folder: "" or ending in '/'. In the arena. */
const char *s3url_folder(const char *key, struct arena *arena);
