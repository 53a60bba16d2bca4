#pragma once
/*
 * Who is told of what this machine does, as its configuration has it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct config;
struct context;
struct err;
struct facts;
struct sink;

struct remote_how {
	const struct config *config;
	const struct facts *facts;
	const char *status_path; /* on the machine; NULL: of no run */
	bool has_no_tags;	 /* --no-tags */
	bool has_bundles;	 /* a failed run leaves one */
	int64_t linger_ms;
};

/** *ret_sink is NULL when nobody is to be told. */
CHECK_RESULT int remote_open(struct context *ctx, const struct remote_how *how, struct sink **ret_sink,
			     struct err *err);
