#pragma once
/*
 * A package repository with its key pinned, for the `repo` step and for steps that need one of their own (`r`). Its
 * index is fetched from a file beside first: a repository that cannot be reached never becomes part of the system.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct changes;
struct err;
struct step_ctx;

struct repo_key {
	const char *url;	  /* https:// or a path */
	const char *sha256;	  /* of the file; NULL: its fingerprints decide */
	struct strs fingerprints; /* every primary key in the file must be one of these */
};

/** One repository of this machine's package manager. */
struct repo {
	const char *name;
	bool is_absent;
	struct strs uris, suites, components, architectures; /* apt */
	const char *baseurl, *metalink, *mirrorlist;	     /* dnf: one of them */
	int64_t priority;				     /* dnf; 0: not said */
	struct repo_key key;
};

CHECK_RESULT int repo_probe(const struct repo *repo, struct step_ctx *ctx, struct changes *changes, struct err *err);
CHECK_RESULT int repo_apply(const struct repo *repo, struct step_ctx *ctx, struct err *err);
