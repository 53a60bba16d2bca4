/* What conda environments hold, for the manifest, and what of it --locked asks for. */
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/conda.h"

/* "numpy-1.26.4-py312h8753938_0.json" */
bool conda_split_meta(const char *file, struct arena *arena, struct conda_package *ret) {
	char *name = arena_strdup(arena, file);
	if (!str_ends(name, ".json")) return false;
	name[strlen(name) - strlen(".json")] = '\0';
	char *build = strrchr(name, '-');
	if (!build) return false;
	*build = '\0';
	char *version = strrchr(name, '-');
	if (!version) return false;
	*version = '\0';
	*ret = (struct conda_package){.name = name, .version = version + 1, .build = build + 1};
	return true;
}

int conda_env_record(const struct conda_env *env, struct step_ctx *ctx, struct js *into, struct err *err) {
	AUTO_STRS struct strs files = {0};
	int r = fs_list(ctx->machine.root, arena_printf(ctx->arena, "%s/conda-meta", env->dir), ctx->arena, &files,
			err);
	if (r < 0 || !env->is_there) return r;
	struct js *packages = js_child(js_child(into, "conda"), env->dir);
	for (size_t i = 0; i < files.count; i++) {
		struct conda_package p;
		if (conda_split_meta(files.items[i], ctx->arena, &p))
			js_set_str(packages, p.name, arena_printf(ctx->arena, "%s=%s", p.version, p.build));
	}
	return 0;
}

struct locking {
	struct strs *specs;
	struct arena *arena;
};

static void add_spec(const char *name, const struct js *value, void *arg) {
	struct locking *l = arg;
	if (js_str(value)) strs_add(l->specs, arena_printf(l->arena, "%s=%s", name, js_str(value)));
}

int conda_env_lock(struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs unknown = {0};
	const struct js *locked = js_get(js_get(ctx->lock, "conda"), env->dir);
	if (!ctx->lock || (!env->packages.count && !env->pip.count)) return 0;
	for (size_t i = 0; i < env->packages.count; i++) {
		const char *name = conda_spec_name(env->packages.items[i], ctx->arena);
		if (!js_get(locked, name)) strs_add_once(&unknown, name);
	}
	for (size_t i = 0; i < env->pip.count; i++)
		strs_add_once(&unknown, env->pip.items[i]); /* pip's own are not kept */
	if (unknown.count)
		return err_set(
			err, ERR_INVALID,
			"the manifest of --locked has no version of %s in %s: apply without --locked once and take "
			"the manifest of that; what pip adds to a conda environment cannot be locked",
			strs_join(&unknown, ", ", ctx->arena), env->dir);
	strs_clear(&env->packages);
	js_each(locked, add_spec, &(struct locking){.specs = &env->packages, .arena = ctx->arena});
	return 0;
}
