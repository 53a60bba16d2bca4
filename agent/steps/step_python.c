#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/recipe.h"
#include "recipe/step.h"
#include "steps/python.h"
#include "steps/python_version.h"
#include "steps/steps.h"

/** Text of all requirements, for hashing and comparing. */
#define TEXT_MAX (8 * 1024 * 1024)
/** Names that one line of a plan shows. */
#define NAMES_SHOWN 12

static const char *const installers[] = {"auto", "uv", "pip", NULL};

#define PYTHON_FIELD(n, k, member, text)                                                                               \
	.name = n, .kind = k, .offset = offsetof(struct python_params, member), .help = text

static const struct field python_fields[] = {
	{PYTHON_FIELD("venv", FIELD_TEXT, venv, "absolute path of the virtual environment"), .is_required = true},
	{PYTHON_FIELD("version", FIELD_TEXT, version, "such as 3.11; default: the distribution's, 3.9 or newer")},
	{PYTHON_FIELD("sets", FIELD_TEXTS, sets, "built-in sets of packages by name")},
	{PYTHON_FIELD("packages", FIELD_TEXTS, packages, "requirements such as polars or numpy>=2,<3")},
	{PYTHON_FIELD("requirements", FIELD_TEXTS, requirements, "absolute paths of requirements files")},
	{PYTHON_FIELD("installer", FIELD_CHOICE, installer, "auto takes uv where it can be had, else pip"),
	 .choices = installers, .fallback = "auto"},
	{PYTHON_FIELD(
		"keep", FIELD_TEXTS, keep,
		"packages such as torch to take from the interpreter's own, at their version (on a Deep Learning AMI: "
		"of /opt/pytorch)")},
	{PYTHON_FIELD("imports", FIELD_TEXTS, imports, "further modules that must load")},
	{PYTHON_FIELD("interpreter", FIELD_TEXT, interpreter,
		      "path of the Python to use instead of searching for one")},
	{PYTHON_FIELD("system_site_packages", FIELD_BOOL, has_system_packages,
		      "let the venv see the interpreter's own packages")},
	{PYTHON_FIELD("index_url", FIELD_TEXT, index_url, "package index instead of PyPI or the configured one")},
	{0},
};

static void check_paths(const struct python_params *p, const struct yml_node *node, struct diags *diags) {
	const char *single[] = {p->venv, p->interpreter};
	for (size_t i = 0; i < 2; i++)
		if (single[i] && single[i][0] != '/' && !step_text_is_open(single[i]))
			diag_add(diags, node, "%s '%s' is not an absolute path", i ? "interpreter" : "venv", single[i]);
	if (p->venv && p->venv[0] == '/' && (!p->venv[strspn(p->venv, "/.")] || str_ends(p->venv, "/")))
		diag_add(diags, node, "venv '%s' is the root directory or ends in '/'", p->venv);
	for (size_t i = 0; i < p->requirements.count; i++)
		if (p->requirements.items[i][0] != '/' && !step_text_is_open(p->requirements.items[i]))
			diag_add(diags, node, "requirements file '%s' is not an absolute path",
				 p->requirements.items[i]);
}

static void check_sets(const struct python_params *p, const struct yml_node *node, struct diags *diags) {
	AUTO_STRS struct strs recipes = {0};
	AUTO_STRS struct strs sets = {0};
	recipe_builtin_names(&recipes, &sets);
	for (size_t i = 0; i < p->sets.count; i++) {
		const char *name = p->sets.items[i];
		if (step_text_is_open(name) || strs_has(&sets, name)) continue;
		const char *near = str_nearest(name, sets.items, sets.count);
		if (near)
			diag_add(diags, node, "there is no set '%s'; did you mean '%s'?", name, near);
		else
			diag_add(diags, node, "there is no set '%s'; there are: %s", name,
				 strs_join(&sets, ", ", diags->arena));
	}
}

static void check_requirements(const struct python_params *p, const struct yml_node *node, struct diags *diags) {
	const struct py_env env = {.version = "3.11", .full_version = "3.11.0", .machine = ""};
	struct py_req req;
	struct err err;
	for (size_t i = 0; i < p->packages.count; i++) {
		const char *text = p->packages.items[i];
		if (step_text_is_open(text)) continue;
		if (text[0] == '-')
			diag_add(diags, node, "'%s' is an option of pip: put it into a requirements file", text);
		else if (strchr(text, '\n'))
			diag_add(diags, node, "a package holds a line break: one item for each");
		else if (py_req_parse(text, &env, diags->arena, &req, &err) < 0)
			diag_add(diags, node, "%s", err.msg);
	}
}

static void python_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct python_params *p = params;
	struct err err;
	int64_t minor;
	check_paths(p, node, diags);
	check_sets(p, node, diags);
	check_requirements(p, node, diags);
	if (p->version && !step_text_is_open(p->version) &&
	    (!str_starts(p->version, "3.") || parse_i64(p->version + 2, 8, 99, &minor, &err) < 0))
		diag_add(diags, node, "version '%s' is not like 3.11 (major and minor, 3.8 or newer)", p->version);
	if ((p->keep.count || p->has_system_packages) && p->installer == PYTHON_INSTALLER_UV)
		diag_add(diags, node,
			 "%s needs `installer: pip` (or auto): uv does not look at the interpreter's own packages",
			 p->keep.count ? "keep" : "system_site_packages");
	for (size_t i = 0; i < p->imports.count; i++)
		if (!step_text_is_open(p->imports.items[i]) &&
		    p->imports.items[i][strspn(p->imports.items[i],
					       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")])
			diag_add(diags, node, "'%s' is not a module's name", p->imports.items[i]);
}

static void python_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct python_params *p = params;
	strs_add_once(names, arena_printf(arena, "venv:%s", p->venv));
	if (!py_interpreter_is_likely(p, facts)) strs_add_once(names, "packages");
}

static int load_texts(struct py *py, const struct py_env *env, struct buf *all, struct err *err) {
	const struct python_params *p = py->p;
	const struct fs_root *root = py->ctx->machine.root;
	struct arena *arena = py->ctx->arena;
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->sets.count; i++) {
		size_t len;
		const char *text = recipe_builtin_set(p->sets.items[i], &len);
		if (!text) return err_set(err, ERR_INVALID, "there is no built-in set '%s'", p->sets.items[i]);
		r = py_reqs_add_text(&py->reqs, p->sets.items[i], text, NULL, root, env, all, arena, err);
	}
	for (size_t i = 0; r == 0 && i < p->packages.count; i++)
		r = py_reqs_add_text(&py->reqs, "packages", p->packages.items[i], NULL, root, env, all, arena, err);
	for (size_t i = 0; r == 0 && i < p->requirements.count; i++)
		r = py_reqs_add_file(&py->reqs, p->requirements.items[i], root, env, all, arena, err);
	return r;
}

/* What is asked for, for the Python that the venv has or will have. */
static int load_requirements(struct py *py, const char *full_version, struct err *err) {
	AUTO_BUF struct buf all = BUF_INIT(TEXT_MAX);
	const struct python_params *p = py->p;
	struct py_version v;
	const char *version = full_version;
	if (py_version_parse(full_version, strlen(full_version), &v) && v.release_count >= 2)
		version = arena_printf(py->ctx->arena, "%d.%d", (int)v.release[0], (int)v.release[1]);
	const struct py_env env = {
		.version = version, .full_version = full_version, .machine = py->ctx->facts->os.arch};
	py->reqs = (struct py_reqs){0};
	buf_addf(&all, "python %s\nkeep %s\nimports %s\nsystem %d\n", version, strs_join(&p->keep, ",", py->ctx->arena),
		 strs_join(&p->imports, ",", py->ctx->arena), p->has_system_packages);
	int r = load_texts(py, &env, &all, err);
	if (r == 0) r = buf_check(&all, "the text of all requirements", err);
	if (r == 0) (void)digest_sha256_hex(buf_str(&all), all.len, py->hash);
	return r;
}

static int py_open(const struct python_params *p, struct step_ctx *ctx, struct py *py, struct err *err) {
	*py = (struct py){.p = p, .ctx = ctx, .venv = py_host_path(ctx, p->venv)};
	int r = py_venv_read(p, ctx, &py->state, err);
	if (r < 0) return r;
	struct py_interpreter python;
	const char *version = p->version;
	if (py->state.state == PY_VENV_READY)
		version = py->state.full_version;
	else if (!version && py_interpreter_find(p, ctx, &python))
		version = arena_strdup(ctx->arena, python.version);
	r = load_requirements(py, version ? version : "3.12", err);
	return r < 0 ? r : py_lock_check(py, err);
}

/* "numpy" or "numpy>=2 (1.26 is there)" when it has to be installed, NULL when it is in place. */
static const char *lacking(const struct py *py, const struct py_req *q) {
	if (!q->name[0] || !q->is_needed || q->is_unsure) return NULL;
	const struct py_dist *dist = py_dists_find(&py->state.dists, q->name);
	if (!dist) return arena_printf(py->ctx->arena, "%s%s", q->name, q->specs);
	if (q->is_direct || py_version_match(q->specs, dist->version) == PY_MATCH_YES) return NULL;
	return arena_printf(py->ctx->arena, "%s%s (%s is there)", q->name, q->specs, dist->version);
}

static void add_install_change(const struct py *py, struct changes *changes) {
	AUTO_STRS struct strs shown = {0};
	size_t count = 0;
	for (size_t i = 0; i < py->reqs.count; i++) {
		const char *text = lacking(py, &py->reqs.items[i]);
		if (!text) continue;
		if (count++ < NAMES_SHOWN) strs_add_once(&shown, text);
	}
	if (!count) return;
	struct arena *arena = py->ctx->arena;
	const char *names = strs_join(&shown, ", ", arena);
	if (count > NAMES_SHOWN) names = arena_printf(arena, "%s and %zu more", names, count - NAMES_SHOWN);
	changes_add(changes, arena, NULL, "install %s", names);
}

static void add_venv_change(const struct py *py, struct changes *changes) {
	const struct python_params *p = py->p;
	struct arena *arena = py->ctx->arena;
	struct py_interpreter python;
	bool is_found = py_interpreter_find(p, py->ctx, &python);
	const char *version = p->version ? p->version : is_found ? python.version : "3";
	if (!is_found) changes_add(changes, arena, NULL, "install Python %s", version);
	if (py->state.state == PY_VENV_OUTDATED)
		changes_add(changes, arena, NULL, "make venv %s anew with Python %s (%s)", p->venv, version,
			    py->state.why);
	else
		changes_add(changes, arena, NULL, "make venv %s with Python %s%s", p->venv, version,
			    py->state.state == PY_VENV_HALF ? " (an earlier attempt was interrupted)" : "");
}

/* What is there at another version than the manifest has. */
static void add_locked_change(const struct py *py, struct changes *changes) {
	AUTO_STRS struct strs others = {0}, shown = {0};
	struct arena *arena = py->ctx->arena;
	py_lock_others(py, &others);
	for (size_t i = 0; i < others.count && i < NAMES_SHOWN; i++) strs_add(&shown, others.items[i]);
	if (!others.count) return;
	const char *names = strs_join(&shown, ", ", arena);
	if (others.count > NAMES_SHOWN)
		names = arena_printf(arena, "%s and %zu more", names, others.count - NAMES_SHOWN);
	changes_add(changes, arena, NULL, "install %s, as the manifest has them", names);
}

static int python_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct py py;
	int r = py_open(params, ctx, &py, err);
	if (r < 0) return r;
	if (py.state.state != PY_VENV_READY) add_venv_change(&py, changes);
	add_install_change(&py, changes);
	add_locked_change(&py, changes);
	if (py.reqs.has_absent_file)
		changes_add(changes, ctx->arena, NULL, "install from a requirements file that is not there yet");
	bool has_content = py.reqs.count || py.p->imports.count || py.p->keep.count;
	if (!changes->count && has_content && !str_eq(py.state.proof_hash, py.hash))
		changes_add(changes, ctx->arena, NULL, "resolve and load what is asked for (%zu requirements)",
			    py.reqs.count);
	return 0;
}

static int make_venv(struct py *py, struct err *err) {
	struct py_interpreter python;
	bool sees_others = py->p->keep.count || py->p->has_system_packages;
	int r = py_interpreter_ensure(py, &python, err);
	if (r < 0) return r;
	bool wants_uv = py->p->installer != PYTHON_INSTALLER_PIP && !sees_others;
	const char *uv = wants_uv ? py_uv_find(py) : NULL;
	bool wants_pip = python.has_ensurepip && !uv;
	return py_venv_make(py, &python, wants_pip, err);
}

/* Decides on uv or pip; uv is fetched with the pip of the new venv. */
static int choose_installer(struct py *py, struct err *err) {
	const struct python_params *p = py->p;
	if (p->installer == PYTHON_INSTALLER_PIP || p->keep.count || p->has_system_packages) return 0;
	const char *python = arena_printf(py->ctx->arena, "%s/bin/python", py->venv);
	py->uv = py_uv_find(py);
	if (py->uv || (!py->reqs.count && p->installer == PYTHON_INSTALLER_AUTO)) return 0;
	int r = py_uv_fetch(py, python, &py->uv, err);
	if (r == 0 || p->installer == PYTHON_INSTALLER_UV) return r;
	machine_note(&py->ctx->machine, 0, 0, "uv cannot be had, using pip: %s", err->msg);
	err_clear(err);
	return 0;
}

/* What an interrupted installer left half-written: without its dist-info it is written again, whole. */
static int remove_half(struct py *py, struct err *err) {
	AUTO_STRS struct strs paths = {0};
	str_split(py->state.half, "\n", py->ctx->arena, &paths);
	int r = 0;
	for (size_t i = 0; r == 0 && i < paths.count; i++)
		r = fs_remove(py->ctx->machine.root, paths.items[i], true, err);
	return r;
}

/*
 * Packages in, and pip too: people expect it in a venv. Where uv made ours without, uv puts it there; if uv is not to
 * be had, ensurepip does.
 */
static int install_all(struct py *py, struct err *err) {
	AUTO_STRS struct strs others = {0};
	bool lacks_pip = py->state.is_ours && !py_dists_find(&py->state.dists, "pip");
	const char *ensurepip[] = {arena_printf(py->ctx->arena, "%s/bin/python", py->venv), "-m", "ensurepip",
				   "--default-pip", NULL};
	int r = remove_half(py, err);
	if (r == 0 && lacks_pip && !py->uv) r = py_command(py, ensurepip, "put pip into the venv", err);
	py_lock_others(py, &others);
	if (r == 0 && (py->reqs.count || others.count || (lacks_pip && py->uv)))
		r = py_install(py, lacks_pip && py->uv, err);
	return r;
}

static int ensure(struct py *py, struct err *err) {
	int r = 0;
	if (py->state.state != PY_VENV_READY) {
		r = make_venv(py, err);
		if (r == 0) r = py_venv_read(py->p, py->ctx, &py->state, err);
		if (r == 0) r = load_requirements(py, py->state.full_version, err);
	}
	if (r == 0 && py->reqs.has_absent_file)
		r = err_set(err, ERR_NOT_FOUND, "a requirements file of %s is not there",
			    strs_join(&py->p->requirements, ", ", py->ctx->arena));
	if (r == 0) r = choose_installer(py, err);
	if (r == 0) r = install_all(py, err);
	if (r == 0) r = py_prove(py, err);
	if (r == 0) r = py_venv_record(py, true, err);
	return r;
}

static int python_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	struct py py;
	struct err ignored;
	const struct fs_root *root = ctx->machine.root;
	int r = py_open(params, ctx, &py, err);
	if (r < 0) return r;
	py.user = py_owner(py.p, ctx);
	py.env = py_environment(&py);
	const char *tmp = arena_printf(ctx->arena, "%s.dsagent-tmp", py.p->venv);
	uid_t uid = py.user ? py.user->uid : (uid_t)-1;
	gid_t gid = py.user ? py.user->gid : (gid_t)-1;
	r = fs_remove(root, tmp, true, err);
	if (r == 0) r = fs_mkdirs(root, tmp, 0755, uid, gid, err);
	if (r == 0) r = ensure(&py, err);
	if (fs_remove(root, tmp, true, &ignored) < 0) err_clear(&ignored); /* scratch; the next run removes it too */
	return r;
}

static int python_record(const void *params, struct step_ctx *ctx, struct js *into, struct err *err) {
	const struct python_params *p = params;
	struct py_venv venv;
	int r = py_venv_read(p, ctx, &venv, err);
	if (r < 0 || venv.state != PY_VENV_READY) return r;
	struct js *entry = js_child(js_child(into, "venvs"), p->venv);
	js_set_str(entry, "python", venv.full_version);
	return py_dists_record(&venv, ctx, js_child(entry, "distributions"), err);
}

const struct step_type step_python = {
	.name = "python",
	.summary = "a Python of the asked version, a venv, and packages in it that are proved to load",
	.example = "- name: Python 3.11\n"
		   "  python:\n"
		   "    version: 3.11\n"
		   "    venv: /opt/ds\n"
		   "    packages: [numpy, \"pandas>=2\"]\n",
	.shape = {.fields = python_fields, .size = sizeof(struct python_params)},
	.timeout_ms = 60LL * 60 * 1000,
	.check = python_check,
	.resources = python_resources,
	.probe = python_probe,
	.apply = python_apply,
	.record = python_record,
};
