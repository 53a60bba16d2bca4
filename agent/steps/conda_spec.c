/* Sources: conda's "Package match specification", "Managing environments"; Anaconda's terms name the paid channels. */
#include <ctype.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "recipe/step.h"
#include "steps/conda.h"
#include "steps/python.h"
#include "steps/python_version.h"

#define FILE_BYTES_MAX (1024 * 1024)

void conda_env_clear(struct conda_env *env) {
	strs_clear(&env->channels);
	strs_clear(&env->packages);
	strs_clear(&env->pip);
	strs_clear(&env->lacking);
	strs_clear(&env->lacking_pip);
}

const char *conda_paid_channel(const char *text) {
	static const char *const names[] = {"defaults", "anaconda", "main", "r", "free", "msys2", "pro"};
	size_t len = strcspn(text, ":/[");
	if (strstr(text, "repo.anaconda.com") || strstr(text, "repo.continuum.io") ||
	    strstr(text, "conda.anaconda.org/anaconda") || strstr(text, "anaconda.org/main") ||
	    str_starts(text, "pkgs/"))
		return text;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == len && strncmp(text, names[i], len) == 0 &&
		    (!text[len] || text[len] == '/' || strncmp(text + len, "::", 2) == 0))
			return names[i];
	return NULL;
}

/* Behind "channel::". */
static const char *without_channel(const char *spec) {
	const char *colons = strstr(spec, "::");
	return colons ? colons + 2 : spec;
}

const char *conda_spec_name(const char *spec, struct arena *arena) {
	spec = without_channel(spec);
	char *name = arena_dup(arena, spec, strcspn(spec, " =<>!~["));
	for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
	return name;
}

/* "1.2" and "1.2.*" allow 1.2 and 1.2.3, not 1.20. */
static bool has_prefix(const char *prefix, size_t len, const char *version) {
	if (len >= 2 && strncmp(prefix + len - 2, ".*", 2) == 0) len -= 2;
	if (len && prefix[len - 1] == '*') return strncmp(prefix, version, len - 1) == 0;
	return strncmp(prefix, version, len) == 0 && (!version[len] || version[len] == '.');
}

bool conda_spec_allows(const char *spec, const char *version, struct arena *arena) {
	spec = without_channel(spec);
	const char *rest = spec + strcspn(spec, " =<>!~[");
	rest += strspn(rest, " ");
	if (!*rest || *rest == '[') return true;
	if (rest[0] == '=' && rest[1] == '=')
		return str_eq(arena_dup(arena, rest + 2, strcspn(rest + 2, " =[")), version);
	if (rest[0] == '=') rest++;
	size_t len = strcspn(rest, " =["); /* what follows is the build */
	if (isdigit((unsigned char)*rest) && !memchr(rest, ',', len) && !memchr(rest, '|', len))
		return has_prefix(rest, len, version);
	return py_version_match(rest, version) != PY_MATCH_NO;
}

static int add_pip(struct conda_env *env, const char *path, const struct yml_node *list, struct arena *arena,
		   struct err *err) {
	for (size_t i = 0; i < list->count; i++) {
		const struct yml_node *item = list->items[i];
		if (item->kind != YML_SCALAR || item->text[0] == '-')
			return err_set(
				err, ERR_INVALID,
				"%s:%u: options and files of pip are not taken from here: use a `python` step with "
				"`requirements`",
				path, item->line);
		strs_add_once(&env->pip, arena_strdup(arena, item->text));
	}
	return 0;
}

static int add_dependency(struct conda_env *env, const char *path, const struct yml_node *item, struct arena *arena,
			  struct err *err) {
	const struct yml_node *pip = item->kind == YML_MAP ? yml_get(item, "pip") : NULL;
	if (pip && pip->kind == YML_SEQ && item->count == 1) return add_pip(env, path, pip, arena, err);
	if (item->kind != YML_SCALAR)
		return err_set(err, ERR_INVALID, "%s:%u: a dependency is text, or a map of `pip` alone", path,
			       item->line);
	/* `conda env export` writes numpy=1.26.4=py312h8753938_0; conda's own `-` would be an option. */
	if (item->text[0] == '-' || !conda_spec_name(item->text, arena)[0])
		return err_set(err, ERR_INVALID, "%s:%u: '%s' names no package", path, item->line, item->text);
	strs_add_once(&env->packages, arena_strdup(arena, item->text));
	return 0;
}

static int take_document(struct conda_env *env, const char *path, const struct yml_node *root, struct arena *arena,
			 struct err *err) {
	const struct yml_node *channels = yml_get(root, "channels"), *dependencies = yml_get(root, "dependencies");
	int r = 0;
	for (size_t i = 0; channels && channels->kind == YML_SEQ && i < channels->count; i++)
		if (channels->items[i]->kind == YML_SCALAR && !str_eq(channels->items[i]->text, "nodefaults"))
			strs_add_once(&env->channels, arena_strdup(arena, channels->items[i]->text));
	if (!dependencies || dependencies->kind != YML_SEQ)
		return err_set(err, ERR_INVALID, "%s has no list of `dependencies`: is it an environment.yml?", path);
	for (size_t i = 0; r == 0 && i < dependencies->count; i++)
		r = add_dependency(env, path, dependencies->items[i], arena, err);
	return r;
}

int conda_env_read_file(struct conda_env *env, const char *path, struct step_ctx *ctx, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(FILE_BYTES_MAX);
	AUTO_BUF struct buf said = BUF_INIT(ERR_MSG_MAX);
	AUTO_DIAGS struct diags diags = {.arena = ctx->arena};
	int r = fs_read(ctx->machine.root, path, &text, err);
	if (r < 0) return r;
	const struct yml_node *root = yml_parse(path, buf_str(&text), text.len, ctx->arena, &diags);
	if (root && root->kind == YML_MAP) return take_document(env, path, root, ctx->arena, err);
	diags_print(&diags, &said);
	return err_set(err, ERR_INVALID, "%s: %s", path, said.len ? buf_str(&said) : "it is no map");
}

/* "numpy-1.26.4-py312h8753938_0.json" */
static bool split_meta(const char *file, struct arena *arena, struct py_dist *ret) {
	const char *name, *version, *build;
	if (!conda_meta_split(file, arena, &name, &version, &build)) return false;
	*ret = (struct py_dist){.name = name, .version = version};
	return true;
}

static const char *find_version(const struct strs *files, const char *name, struct arena *arena) {
	for (size_t i = 0; i < files->count; i++) {
		struct py_dist dist;
		if (split_meta(files->items[i], arena, &dist) && str_eq(dist.name, name)) return dist.version;
	}
	return NULL;
}

/* What pip has put beside conda's packages. */
static int look_at_pip(struct conda_env *env, const struct strs *files, struct step_ctx *ctx, struct err *err) {
	struct py_dists dists = {0};
	struct arena *arena = ctx->arena;
	const char *python = find_version(files, "python", arena);
	struct py_version v;
	if (python && py_version_parse(python, strlen(python), &v) && v.release_count >= 2) {
		const char *dir = arena_printf(arena, "%s/lib/python%d.%d/site-packages", env->dir, (int)v.release[0],
					       (int)v.release[1]);
		int r = py_dists_read(&dists, ctx->machine.root, dir, NULL, arena, err);
		if (r < 0) return r;
	}
	for (size_t i = 0; i < env->pip.count; i++) {
		const char *req = env->pip.items[i];
		size_t len = strcspn(req, " =<>!~[;@");
		const struct py_dist *dist = py_dists_find(&dists, py_normalise(req, len, arena));
		const char *specs = req + strcspn(req, "=<>!~;@");
		bool is_plain = !strpbrk(req, ";@");
		if (!dist || (is_plain && *specs && py_version_match(specs, dist->version) == PY_MATCH_NO))
			strs_add(&env->lacking_pip, req);
	}
	return 0;
}

/* Of NAME=VERSION=BUILD. */
static const char *meta_file(const char *spec, struct arena *arena) {
	char *file = arena_printf(arena, "%s.json", spec);
	for (char *c = file; *c; c++)
		if (*c == '=') *c = '-';
	return file;
}

int conda_env_look(struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs files = {0};
	struct arena *arena = ctx->arena;
	const char *dir = arena_printf(arena, "%s/conda-meta", env->dir);
	strs_clear(&env->lacking);
	strs_clear(&env->lacking_pip);
	env->is_there = fs_exists(ctx->machine.root, arena_printf(arena, "%s/history", dir));
	int r = conda_meta_list(env, ctx, &files, err);
	for (size_t i = 0; r == 0 && i < env->packages.count; i++) {
		const char *spec = env->packages.items[i];
		if (env->is_locked) {
			if (!strs_has(&files, meta_file(spec, arena))) strs_add(&env->lacking, spec);
			continue;
		}
		const char *version = find_version(&files, conda_spec_name(spec, arena), arena);
		if (!version)
			strs_add(&env->lacking, spec);
		else if (!conda_spec_allows(spec, version, arena))
			strs_add(&env->lacking, arena_printf(arena, "%s (%s is there)", spec, version));
	}
	return r < 0 ? r : look_at_pip(env, &files, ctx, err);
}
