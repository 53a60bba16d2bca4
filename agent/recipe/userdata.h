#pragma once
/*
 * The recipes in bytes as they come from user-data or a file: plain, gzip, base64 (also of each other), or parts of a
 * MIME multi-part document. What is cloud-init's own (#cloud-config, scripts, …) is no recipe; a recipe whose first
 * line is `#!/usr/bin/dsagent boot` is one.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;

/** Deepest nesting of encodings: base64 of gzip of MIME of gzip is already more than anything makes. */
#define USERDATA_DEPTH_MAX 4

struct userdata_doc {
	const char *data; /* in the arena or the caller's bytes */
	size_t len;
};

/**
 * The documents in order, at least one. ERR_INVALID (damaged encoding; it is something else: the text says what),
 * ERR_NOT_FOUND (a MIME document without a recipe), ERR_LIMIT (more than YML_BYTES_MAX once unpacked).
 */
CHECK_RESULT int userdata_decode(const char *data, size_t len, struct arena *arena, struct userdata_doc **ret_docs,
				 size_t *ret_count, struct err *err);
