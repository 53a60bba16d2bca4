#include "base/buf.h"
#include "base/err.h"
#include "recipe/step.h"
#include "steps/python.h"

/** Loading a large set from a cold disk takes a minute; ten are for a small box that swaps. */
#define PROOF_MS (10 * 60 * 1000)
#define FAILURES_SHOWN 5

/*
 * Prints "try NAME MODULE", then "ok NAME VERSION" or "bad NAME MODULE text" (tabs between), so that a module that ends
 * the process is known too. Of a distribution the module of its own name is loaded, else all public ones; those whose
 * file is a part of a test suite or a stub are no modules to load.
 */
static const char script[] =
	"import importlib, re, sys\n"
	"import importlib.metadata as md\n"
	"def say(*words): print('\\t'.join(' '.join(str(w).split()) for w in words), flush=True)\n"
	"def norm(s): return re.sub(r'[-_.]+', '-', s).lower()\n"
	"def tops(d):\n"
	"    names = set((d.read_text('top_level.txt') or '').split())\n"
	"    for f in ([] if names else d.files or []):\n"
	"        p = f.parts\n"
	"        if len(p) == 1 and p[0].endswith('.py'): names.add(p[0][:-3])\n"
	"        elif len(p) == 1 and p[0].endswith('.so'): names.add(p[0].split('.')[0])\n"
	"        elif len(p) == 2 and p[1] == '__init__.py': names.add(p[0])\n"
	"    skip = {'tests', 'test', 'docs', 'doc', 'examples', 'benchmarks'}\n"
	"    names = {n for n in names if n.isidentifier() and not n.startswith('_') and n not in skip}\n"
	"    own = {n for n in names if norm(n) == norm(d.metadata['Name'])}\n"
	"    return sorted(own or names)\n"
	"def load(name, module):\n"
	"    say('try', name, module)\n"
	"    try: importlib.import_module(module)\n"
	"    except BaseException as e:\n"
	"        say('bad', name, module, type(e).__name__ + ': ' + str(e))\n"
	"        return False\n"
	"    return True\n"
	"for arg in sys.argv[1:]:\n"
	"    kind, name = arg[0], arg[1:]\n"
	"    if kind == 'm':\n"
	"        if load(name, name): say('ok', name, '')\n"
	"        continue\n"
	"    try: d = md.distribution(name)\n"
	"    except Exception as e:\n"
	"        say('bad', name, '', 'not installed'); continue\n"
	"    if all([load(name, m) for m in tops(d)]): say('ok', name, d.version)\n";

struct proof {
	struct py *py;
	struct buf failures;
	size_t failed, done, total;
	char last[160]; /* "torch (module torch)" */
};

/* The next tab-separated word; at goes behind it. */
static const char *next_word(char **at) {
	char *word = *at;
	size_t len = strcspn(word, "\t");
	*at = word + len + (word[len] == '\t');
	word[len] = 0;
	return word;
}

static void on_proof_line(enum exec_stream stream, const char *line, void *arg) {
	struct proof *proof = arg;
	struct arena *arena = proof->py->ctx->arena;
	if (stream != EXEC_STDOUT) return;
	char *at = arena_strdup(arena, line);
	const char *kind = next_word(&at), *name = next_word(&at), *module = next_word(&at);
	if (str_eq(kind, "try")) {
		(void)snprintf(proof->last, sizeof proof->last, "%s", module); /* for a message: may be cut */
		machine_note(&proof->py->ctx->machine, (int64_t)proof->done, (int64_t)proof->total, "loading %s", name);
	} else if (str_eq(kind, "ok")) {
		proof->done++;
		proof->last[0] = 0;
	} else if (str_eq(kind, "bad")) {
		const char *hint = py_library_hint(at, arena);
		proof->last[0] = 0;
		if (++proof->failed > FAILURES_SHOWN) return;
		buf_addf(&proof->failures, "%spackage '%s' did not load: %s%s%s", proof->failed > 1 ? "; " : "", name,
			 at, hint ? ": " : "", hint ? hint : "");
	}
}

static const char **proof_argv(struct py *py, size_t *ret_count) {
	const struct python_params *p = py->p;
	struct arena *arena = py->ctx->arena;
	const char **argv = arena_alloc(arena, (py->reqs.count + p->imports.count + p->keep.count + 5) * sizeof *argv);
	size_t n = 0, first;
	argv[n++] = arena_printf(arena, "%s/bin/python", py->venv);
	argv[n++] = "-I";
	argv[n++] = "-c";
	argv[n++] = script;
	first = n;
	for (size_t i = 0; i < py->reqs.count; i++) {
		const struct py_req *q = &py->reqs.items[i];
		if (q->name[0] && q->is_needed && !q->is_unsure) argv[n++] = arena_printf(arena, "d%s", q->name);
	}
	for (size_t i = 0; i < p->keep.count; i++) argv[n++] = arena_printf(arena, "d%s", p->keep.items[i]);
	for (size_t i = 0; i < p->imports.count; i++) argv[n++] = arena_printf(arena, "m%s", p->imports.items[i]);
	*ret_count = n - first;
	return argv;
}

int py_prove(struct py *py, struct err *err) {
	struct proof proof = {.py = py, .failures = BUF_INIT(ERR_MSG_MAX)};
	const char **argv = proof_argv(py, &proof.total);
	if (!proof.total) return 0;
	struct machine_command cmd = {.argv = argv,
				      .extra_env = py->env,
				      .user = py->user,
				      .timeout_ms = PROOF_MS,
				      .on_line = on_proof_line,
				      .arg = &proof};
	int r = machine_check(&py->ctx->machine, &cmd, NULL, err);
	if (r < 0 && proof.last[0]) {
		r = err->code == ERR_NO_MEMORY ? err_set(err, ERR_NO_MEMORY,
							 "out of memory while loading '%s': add swap (`system` step) "
							 "or use a larger instance type",
							 proof.last)
					       : err_wrap(err, "module '%s' ends Python when it is loaded", proof.last);
	}
	if (r == 0 && proof.failed > FAILURES_SHOWN)
		buf_addf(&proof.failures, "; and %zu more", proof.failed - FAILURES_SHOWN);
	if (r == 0 && proof.failed) r = err_set(err, ERR_COMMAND, "%s", buf_str(&proof.failures));
	buf_clear(&proof.failures);
	return r;
}
