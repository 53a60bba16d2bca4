#pragma once
/*
 * manifest.json: what the recipe has put on this machine, with versions: packages, wheels, R packages, driver. Written
 * atomically after a run that changed something, so that another machine can be made the same (`apply --locked`).
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct err;
struct facts;
struct js;
struct run_options;
struct run_result;

/** Its shape: a reader of another one refuses it. */
#define MANIFEST_VERSION 1

/**
 * Writes dir/manifest.json unless it holds this recipe already and nothing has been changed since: neither by this run
 * nor by one that was killed (state.json is younger then). is_partial: steps were left out by --only or --from; what an
 * earlier run of the recipe recorded of them stays.
 */
CHECK_RESULT int manifest_update(const struct run_options *options, const struct run_result *result, const char *dir,
				 bool is_partial, struct err *err);

/** Reads one for --locked; path is the caller's. ERR_INVALID when it is none, or is of another system. */
CHECK_RESULT int manifest_read_lock(const char *path, const struct facts *facts, struct js **ret_lock, struct err *err);
