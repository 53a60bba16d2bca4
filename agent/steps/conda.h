#pragma once
/*
 * What the files of the `conda` step share: what is asked of an environment, read from the recipe and environment.yml
 * (conda_spec.c), Miniforge (conda_install.c), what conda-meta says is there, and what a manifest keeps of it
 * (conda_lock.c). No conda is started to look.
 */
#include <stdbool.h>

#include "base/str.h"
#include "recipe/schema.h"

struct arena;
struct err;
struct js;
struct step_ctx;

struct conda_item {
	const char *name, *file;
	struct strs packages, pip, channels;
};

struct conda_params {
	const char *prefix, *installer, *sha256;
	struct strs channels, packages;
	struct field_items environments; /* struct conda_item */
	bool allows_anaconda;
};

/** One environment as it shall be. */
struct conda_env {
	const char *name, *dir;	   /* dir: "/opt/conda/envs/ds", or the prefix itself for base */
	struct strs channels;	   /* in order; never empty */
	struct strs packages, pip; /* match specifications; pip requirements */
	struct strs lacking;	   /* specs of packages not in place, in words */
	struct strs lacking_pip;
	bool is_there;
};

void conda_env_clear(struct conda_env *env);

/** NULL, or the channel's or specification's own word for Anaconda's paid channels ("defaults", "pkgs/main", …). */
const char *conda_paid_channel(const char *text);

/** The package name of "conda-forge::numpy>=1.2", lower case, in the arena; "" for what is none. */
const char *conda_spec_name(const char *spec, struct arena *arena);

/** Adds channels and dependencies of an environment.yml below the root. */
CHECK_RESULT int conda_env_read_file(struct conda_env *env, const char *path, struct step_ctx *ctx, struct err *err);

/** Compares with conda-meta and site-packages: fills is_there, lacking, lacking_pip. */
CHECK_RESULT int conda_env_look(struct conda_env *env, struct step_ctx *ctx, struct err *err);

/** Runs conda, its pip or its installer: as the step's user, without a question. */
CHECK_RESULT int conda_run(struct step_ctx *ctx, const char *const *argv, const char *label, struct err *err);

/** Beside the prefix while its installer runs: once it is there, what is in the prefix is half. */
const char *conda_making_path(const struct conda_params *p, struct arena *arena);

/** Fetches the installer and makes the prefix anew by it. */
CHECK_RESULT int conda_install(const struct conda_params *p, struct step_ctx *ctx, struct err *err);

/** One file of conda-meta. */
struct conda_package {
	const char *name, *version, *build;
};

/** Takes "numpy-1.26.4-py312_0.json" apart, in the arena; false for what is no package. */
bool conda_split_meta(const char *file, struct arena *arena, struct conda_package *ret);

/** {"conda": {DIR: {NAME: "VERSION=BUILD"}}} of one that was looked at. */
CHECK_RESULT int conda_env_record(const struct conda_env *env, struct step_ctx *ctx, struct js *into, struct err *err);

/**
 * With --locked: asks for every package of the manifest's environment, version and build, instead of the recipe's own.
 * ERR_INVALID names what the manifest does not have.
 */
CHECK_RESULT int conda_env_lock(struct conda_env *env, struct step_ctx *ctx, struct err *err);

/** Whether version is what the specification asks for; false only when it surely is not. */
bool conda_spec_allows(const char *spec, const char *version, struct arena *arena);
