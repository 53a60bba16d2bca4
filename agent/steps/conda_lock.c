/* What conda-meta says, for the manifest and back from it. */
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/conda.h"

/** Names that one message shows. */
#define NAMES_SHOWN 12

int conda_meta_list(const struct conda_env *env, struct step_ctx *ctx, struct strs *ret_files, struct err *err) {
	return fs_list(ctx->machine.root, arena_printf(ctx->arena, "%s/conda-meta", env->dir), ctx->arena, ret_files,
		       err);
}

bool conda_meta_split(const char *file, struct arena *arena, const char **ret_name, const char **ret_version,
		      const char **ret_build) {
	if (!str_ends(file, ".json")) return false;
	char *name = arena_dup(arena, file, strlen(file) - strlen(".json"));
	char *build = strrchr(name, '-');
	if (!build) return false;
	*build = 0;
	char *version = strrchr(name, '-');
	if (!version) return false;
	*version = 0;
	*ret_name = name;
	*ret_version = version + 1;
	*ret_build = build + 1;
	return true;
}

/* base holds conda itself, which its installer brings. */
static bool is_base(const struct conda_env *env) { return str_eq(env->name, "base"); }

static bool is_asked(const struct conda_env *env, const char *name, struct arena *arena) {
	for (size_t i = 0; i < env->packages.count; i++)
		if (str_eq(conda_spec_name(env->packages.items[i], arena), name)) return true;
	return false;
}

struct locking {
	struct conda_env *env;
	struct arena *arena;
	struct strs specs;
};

static void add_spec(const char *name, const struct js *value, void *arg) {
	struct locking *l = arg;
	const char *version = js_get_str(value, "version"), *build = js_get_str(value, "build");
	if (version && build && (!is_base(l->env) || is_asked(l->env, name, l->arena)))
		strs_add(&l->specs, arena_printf(l->arena, "%s=%s=%s", name, version, build));
}

int conda_env_lock(struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	const struct js *locked = js_get(js_get(ctx->lock, "conda"), env->dir);
	AUTO_STRS struct strs unknown = {0};
	struct locking l = {.env = env, .arena = ctx->arena};
	if (!ctx->lock || (is_base(env) && !env->packages.count)) return 0;
	for (size_t i = 0; i < env->packages.count; i++) {
		const char *name = conda_spec_name(env->packages.items[i], ctx->arena);
		if (!js_get(locked, name) && unknown.count < NAMES_SHOWN) strs_add_once(&unknown, name);
	}
	for (size_t i = 0; i < env->pip.count && unknown.count < NAMES_SHOWN; i++)
		strs_add_once(&unknown, arena_printf(ctx->arena, "%s (by pip)", env->pip.items[i]));
	if (unknown.count)
		return err_set(err, ERR_INVALID,
			       "the manifest of --locked has no version of %s in %s: apply without --locked once, and "
			       "take the manifest of that; what pip adds to a conda environment it never has",
			       strs_join(&unknown, ", ", ctx->arena), env->dir);
	js_each(locked, add_spec, &l);
	strs_clear(&env->packages);
	env->packages = l.specs;
	env->is_locked = true;
	return 0;
}

int conda_env_record(const struct conda_env *env, struct step_ctx *ctx, struct js *into, struct err *err) {
	AUTO_STRS struct strs files = {0};
	int r = conda_meta_list(env, ctx, &files, err);
	for (size_t i = 0; r == 0 && i < files.count; i++) {
		const char *name, *version, *build;
		if (!conda_meta_split(files.items[i], ctx->arena, &name, &version, &build)) continue;
		if (is_base(env) && !is_asked(env, name, ctx->arena)) continue;
		struct js *package = js_child(js_child(js_child(into, "conda"), env->dir), name);
		js_set_str(package, "version", version);
		js_set_str(package, "build", build);
	}
	return r;
}
