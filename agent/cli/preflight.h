#pragma once
/*
 * What `apply` asks before it changes anything, and only when something is missing: is there a step that must fail? Not
 * whether all will be well: only what is certain counts, so that no run is refused that would have succeeded.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct context;
struct err;
struct facts;
struct fetch;
struct fs_root;
struct js;
struct plan;
struct state;

struct preflight {
	const struct plan *plan;
	const struct facts *facts;
	const struct fs_root *root;
	struct fetch *fetch;
	const struct state *state;
	const struct js *lock;
	const char *const *env;
};

/** 0, or why *ret_step cannot succeed. Takes 5 s at most, and a moment as a rule. */
CHECK_RESULT int preflight_run(struct context *ctx, const struct preflight *p, size_t *ret_step, struct err *err);
