#pragma once
/*
 * What the files of the `conda` step share: what is asked of an environment, read from the recipe and environment.yml
 * (conda_spec.c), what conda-meta says is there, and Miniforge itself (conda_prefix.c). No conda is started to look.
 */
#include <stdbool.h>

#include "base/str.h"
#include "recipe/step.h"

struct err;
struct js;

/** The recipe: an environment, and the step. */
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

/** False for "": recipes hand on a variable whose default is empty. */
static inline bool conda_is_given(const char *text) { return text && *text; }

enum conda_prefix { CONDA_ABSENT, CONDA_HALF, CONDA_READY };

/** What is at the prefix; CONDA_HALF: an installer was interrupted. ERR_STATE for what dsagent did not make. */
CHECK_RESULT int conda_prefix_look(const struct conda_params *p, struct step_ctx *ctx, enum conda_prefix *ret_state,
				   struct err *err);

/** Fetches the installer and runs it, whatever was left there. */
CHECK_RESULT int conda_prefix_install(const struct conda_params *p, struct step_ctx *ctx, struct err *err);

/** Runs one of conda's programs as the step's user, without questions. */
CHECK_RESULT int conda_run(struct step_ctx *ctx, const char *const *argv, const char *label, struct err *err);

/** One environment as it shall be. */
struct conda_env {
	const char *name, *dir;	   /* dir: "/opt/conda/envs/ds", or the prefix itself for base */
	struct strs channels;	   /* in order; never empty */
	struct strs packages, pip; /* match specifications; pip requirements */
	struct strs lacking;	   /* specs of packages not in place, in words */
	struct strs lacking_pip;
	bool is_there;
	bool is_locked; /* packages are NAME=VERSION=BUILD, exactly */
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

/** Whether version is what the specification asks for; false only when it surely is not. */
bool conda_spec_allows(const char *spec, const char *version, struct arena *arena);

/** The files of an environment's conda-meta, NAME-VERSION-BUILD.json each; none when it is not there. */
CHECK_RESULT int conda_meta_list(const struct conda_env *env, struct step_ctx *ctx, struct strs *ret_files,
				 struct err *err);

/** A file of conda-meta in its parts, in the arena; false for what is none ("history"). */
bool conda_meta_split(const char *file, struct arena *arena, const char **ret_name, const char **ret_version,
		      const char **ret_build);

/**
 * With --locked: what is asked of env becomes what the manifest has of it, each package with its version and build.
 * ERR_INVALID names what the manifest does not have. env is as the recipe has it, before conda_env_look.
 */
CHECK_RESULT int conda_env_lock(struct conda_env *env, struct step_ctx *ctx, struct err *err);

/** Adds {"conda": {DIR: {NAME: {"version": …, "build": …}}}}: all of an environment, of base only what is asked. */
CHECK_RESULT int conda_env_record(const struct conda_env *env, struct step_ctx *ctx, struct js *into, struct err *err);
