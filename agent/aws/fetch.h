#pragma once
/*
 * One small object into memory: a file, https://… or s3://bucket/key, its SHA-256 checked when given. For recipes and
 * wheels; whole directories are aws/s3sync's work.
 */
#include <stddef.h>

#include "base/buf.h"

struct arena;
struct aws;
struct err;
struct http;

struct fetch {
	struct http *http;
	struct aws *aws; /* NULL: s3:// is refused with the reason */
};

/** True for text that starts with https://, http:// or s3://. */
bool fetch_is_url(const char *url);

/**
 * GETs url into *body (at most body->max bytes). Redirects of https are followed to https only, at most 5. sha256_hex
 * NULL: not checked. ERR_INVALID names expected and actual hash; nothing unverified is left in *body.
 */
CHECK_RESULT int fetch_get(struct fetch *fetch, const char *url, const char *sha256_hex, struct buf *body,
			   struct err *err);

/**
 * Where the Location of url's answer leads, in the arena. ERR_DENIED when that is not https (from http: neither http
 * nor https).
 */
CHECK_RESULT int fetch_follow(const char *url, const char *location, struct arena *arena, const char **ret_url,
			      struct err *err);
