#pragma once
/*
 * A bundle: what a bug report needs, in one tar.gz that holds no secret: events, status, logs, facts, versions,
 * manifest, the recipe without sensitive values, tails of the system's own logs, what doctor finds. Registered secrets
 * are replaced by ***, and so is all that looks like one (fmt/secrets); what was cut is named in its CONTENTS.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct context;
struct context_paths;
struct err;
struct fs_root;
struct recipe;
struct run_view;

/** Of all members together, before packing: a bundle can be mailed. */
#define BUNDLE_BYTES_MAX (24 * 1024 * 1024)

struct bundle_run {
	const struct fs_root *root;
	const struct context_paths *paths;
	const char *run_id;
	const struct recipe *recipe; /* of a run that has just failed; else NULL: what that run kept is taken */
	const struct run_view *view; /* likewise; NULL: status.json */
};

/** The packed bundle. */
CHECK_RESULT int bundle_make(struct context *ctx, const struct bundle_run *run, struct buf *ret_packed,
			     struct err *err);

/**
 * After a failed run: keeps its recipe beside its logs, and puts a bundle below the s3:// URL `to` (NULL: none is
 * wanted). where becomes its URL, or stays as it is after a warning. Takes a minute at most.
 */
void bundle_keep(struct context *ctx, const struct bundle_run *run, const char *to, char *where, size_t size);
