#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "recipe/recipe.h"
#include "recipe/step.h"
#include "steps/python.h"

/** Output kept for explaining a failure; what is older is dropped by halves. */
#define OUTPUT_MAX (128 * 1024)
/** Requirements that we write. */
#define LIST_MAX (512 * 1024)
#define ARGS_EXTRA 16

/* What is known while an installer runs. */
struct watch {
	struct py *py;
	struct buf output;
	char package[80]; /* being worked on */
	int64_t done, total;
	bool is_pip;
};

static void keep(struct watch *w, const char *line) {
	size_t len = strlen(line);
	if (w->output.len + len + 2 > OUTPUT_MAX) {
		AUTO_FREE char *all = buf_take(&w->output);
		w->output = BUF_INIT(OUTPUT_MAX);
		buf_adds(&w->output, all + strlen(all) / 2);
	}
	buf_addf(&w->output, "%s\n", line);
}

/* The word behind prefix: a package's name up to what ends it. */
static bool take_package(struct watch *w, const char *line, const char *prefix) {
	if (!str_starts(line, prefix)) return false;
	line += strlen(prefix);
	size_t len = strcspn(line, " \t=<>!~;[(");
	(void)snprintf(w->package, sizeof w->package, "%.*s", (int)len, line); /* for a message: may be cut */
	return true;
}

static void note(struct watch *w, const char *what) {
	machine_note(&w->py->ctx->machine, w->done, w->total, "%s %s", what, w->package);
}

static void watch_pip(struct watch *w, const char *line) {
	const char *trimmed = line + strspn(line, " ");
	if (take_package(w, line, "Collecting ")) {
		w->done++;
		note(w, "collecting");
	} else if (str_starts(trimmed, "Building wheel for ")) {
		(void)take_package(w, trimmed, "Building wheel for ");
		note(w, "building");
	} else if (str_starts(line, "Installing collected packages: ")) {
		const char *list = line + strlen("Installing collected packages: ");
		w->total = 1;
		for (const char *c = list; *c; c++) w->total += *c == ',';
		w->done = 0;
		w->package[0] = 0;
		machine_note(&w->py->ctx->machine, 0, 0, "installing %lld package%s", (long long)w->total,
			     w->total == 1 ? "" : "s");
	}
}

static void watch_uv(struct watch *w, const char *line) {
	const char *trimmed = line + strspn(line, " ");
	if (str_starts(line, "Resolved ")) {
		const char *count = line + strlen("Resolved ");
		struct err ignored; /* no number: not known */
		count = arena_dup(w->py->ctx->arena, count, strcspn(count, " "));
		if (parse_i64(count, 0, 1000000, &w->total, &ignored) < 0) w->total = 0;
		machine_note(&w->py->ctx->machine, 0, 0, "resolved %lld package%s", (long long)w->total,
			     w->total == 1 ? "" : "s");
	} else if (take_package(w, trimmed, "Downloaded ") || take_package(w, trimmed, "Built ")) {
		if (w->done < w->total) w->done++;
		note(w, "fetched");
	} else if (take_package(w, trimmed, "Downloading ")) {
		note(w, "downloading");
	} else if (take_package(w, trimmed, "Building ")) {
		note(w, "building");
	} else if (str_starts(line, "Prepared ") || str_starts(line, "Installed ")) {
		machine_note(&w->py->ctx->machine, w->total, w->total, "%s", line);
	}
}

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	struct watch *w = arg;
	keep(w, line);
	if (w->is_pip)
		watch_pip(w, line);
	else
		watch_uv(w, line);
}

static int64_t free_bytes(const struct py *py) {
	int64_t bytes;
	struct err ignored;
	return fs_free_bytes(py->ctx->machine.root, py->p->venv, &bytes, &ignored) < 0 ? -1 : bytes;
}

int py_command(struct py *py, const char *const *argv, const char *what, struct err *err) {
	struct watch w = {.py = py, .output = BUF_INIT(OUTPUT_MAX), .is_pip = !str_ends(argv[0], "/uv")};
	struct machine_command cmd = {
		.argv = argv, .extra_env = py->env, .user = py->user, .on_line = on_line, .arg = &w};
	int r = machine_check(&py->ctx->machine, &cmd, NULL, err);
	if (r < 0) {
		struct py_failure failure = {
			.output = buf_str(&w.output),
			.last_package = w.package,
			.tool = w.is_pip ? "pip" : "uv",
			.python = py->state.full_version ? py->state.full_version : "",
			.venv = py->p->venv,
			.free_bytes = free_bytes(py),
		};
		(void)py_explain(&failure, py->ctx->arena, err);
		r = err_wrap(err, "cannot %s", what);
	}
	buf_clear(&w.output);
	return r;
}

/* A file that the installer reads; its path for the command. */
static int write_list(struct py *py, const char *name, const struct buf *list, const char **ret_path, struct err *err) {
	struct fs_write how = {.mode = 0644,
			       .uid = py->user ? py->user->uid : (uid_t)-1,
			       .gid = py->user ? py->user->gid : (gid_t)-1,
			       .is_unsynced = true};
	const char *path = arena_printf(py->ctx->arena, "%s.dsagent-tmp/%s", py->p->venv, name);
	int r = buf_check(list, "the list of requirements", err);
	if (r == 0) r = fs_write(py->ctx->machine.root, path, buf_str(list), list->len, &how, err);
	if (r == 0) *ret_path = py_host_path(py->ctx, path);
	return r;
}

static int write_requirements(struct py *py, bool adds_pip, const char **ret_path, struct err *err) {
	AUTO_STRS struct strs others = {0};
	AUTO_BUF struct buf list = BUF_INIT(LIST_MAX);
	const struct python_params *p = py->p;
	for (size_t i = 0; i < p->sets.count; i++) {
		const char *set = recipe_builtin_set(p->sets.items[i], NULL);
		if (!set) return err_set(err, ERR_INVALID, "there is no built-in set '%s'", p->sets.items[i]);
		buf_addf(&list, "%s\n", set);
	}
	for (size_t i = 0; i < p->packages.count; i++) buf_addf(&list, "%s\n", p->packages.items[i]);
	if (adds_pip) buf_adds(&list, "pip\n");
	py_lock_others(py, &others);
	for (size_t i = 0; i < others.count; i++) buf_addf(&list, "%s\n", others.items[i]);
	return write_list(py, "requirements.txt", &list, ret_path, err);
}

/* Pins what is to be kept to what the venv sees now, and all to what the manifest of --locked has. */
static int write_constraints(struct py *py, const char **ret_path, struct err *err) {
	AUTO_BUF struct buf list = BUF_INIT(LIST_MAX);
	const struct python_params *p = py->p;
	for (size_t i = 0; i < p->keep.count; i++) {
		const char *name = p->keep.items[i];
		const struct py_dist *dist =
			py_dists_find(&py->state.dists, py_normalise(name, strlen(name), py->ctx->arena));
		if (!dist)
			return err_set(err, ERR_NOT_FOUND,
				       "keep: %s is not among the packages that %s brings: take it off `keep`, or name "
				       "an `interpreter` that has it",
				       name, p->interpreter ? p->interpreter : "the interpreter");
		buf_addf(&list, "%s==%s\n", name, dist->version);
	}
	py_lock_constraints(py, &list);
	return write_list(py, "constraints.txt", &list, ret_path, err);
}

static int run_installer(struct py *py, const char *list, const char *constraints, struct err *err) {
	const struct python_params *p = py->p;
	size_t n = 0;
	const char **argv = arena_alloc(py->ctx->arena, (ARGS_EXTRA + 2 * p->requirements.count) * sizeof *argv);
	const char *python = arena_printf(py->ctx->arena, "%s/bin/python", py->venv);
	if (py->uv) {
		argv[n++] = py->uv;
		argv[n++] = "pip";
		argv[n++] = "install";
		argv[n++] = "--python";
		argv[n++] = python;
	} else {
		argv[n++] = python;
		argv[n++] = "-m";
		argv[n++] = "pip";
		argv[n++] = "install";
	}
	argv[n++] = "-r";
	argv[n++] = list;
	for (size_t i = 0; i < p->requirements.count; i++) {
		argv[n++] = "-r";
		argv[n++] = py_host_path(py->ctx, p->requirements.items[i]);
	}
	if (constraints) {
		argv[n++] = "-c";
		argv[n++] = constraints;
	}
	if (py->reqs.count) machine_note(&py->ctx->machine, 0, 0, "resolving %zu requirements", py->reqs.count);
	return py_command(py, argv, "install packages", err);
}

int py_install(struct py *py, bool adds_pip, struct err *err) {
	const char *list = NULL, *constraints = NULL;
	int r = write_requirements(py, adds_pip, &list, err);
	if (r == 0 && (py->p->keep.count || py->ctx->lock)) r = write_constraints(py, &constraints, err);
	return r < 0 ? r : run_installer(py, list, constraints, err);
}
