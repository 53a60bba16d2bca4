#pragma once
/*
 * From where this machine and a plan fetch: the repositories that apt, dnf and pip are set up with, and what the steps
 * name. Read from files and the plan; nothing is asked.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct arena;
struct facts;
struct fs_root;
struct plan;

enum source_kind { SOURCE_PACKAGES, SOURCE_WEB, SOURCE_S3_OBJECT, SOURCE_S3_PREFIX };

struct source {
	enum source_kind kind;
	const char *url;  /* of packages and web: https://host[:port] alone */
	size_t step;	  /* the first that needs it; SIZE_MAX: the machine */
	bool is_required; /* the run fails without it */
	bool is_plain;	  /* as the service is by default: no requester that pays, no other endpoint */
};

struct sources {
	struct arena *arena;
	struct source *items;
	size_t count, cap;
};

/** http and https origins of the package repositories that are set up below root; those with variables are left out. */
void sources_of_packages(const struct fs_root *root, const struct facts *facts, struct arena *arena,
			 struct strs *ret_origins);

/** True when a proxy is set up for the package manager or by env: names are then resolved elsewhere. */
bool sources_have_proxy(const struct fs_root *root, const char *const *env);

/** All that a plan fetches from, each once. */
void sources_of_plan(const struct plan *plan, const struct fs_root *root, const struct facts *facts,
		     const char *const *env, struct sources *ret_sources);
