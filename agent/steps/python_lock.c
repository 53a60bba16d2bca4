#include "base/buf.h"
#include "base/err.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/python.h"

/** Names that one message shows. */
#define NAMES_SHOWN 12

static const struct js *distributions(const struct py *py) {
	return js_get(js_get(js_get(py->ctx->lock, "venvs"), py->p->venv), "distributions");
}

static bool is_kept(const struct py *py, const char *name) {
	for (size_t i = 0; i < py->p->keep.count; i++) {
		const char *kept = py->p->keep.items[i];
		if (str_eq(py_normalise(kept, strlen(kept), py->ctx->arena), name)) return true;
	}
	return false;
}

int py_lock_check(const struct py *py, struct err *err) {
	AUTO_STRS struct strs unknown = {0};
	const struct js *locked = distributions(py);
	if (!py->ctx->lock) return 0;
	for (size_t i = 0; i < py->reqs.count; i++) {
		const struct py_req *q = &py->reqs.items[i];
		bool is_open = !q->name[0] || !q->is_needed || q->is_unsure || is_kept(py, q->name);
		/* What the base interpreter brings is not the venv's. */
		if (py->p->has_system_packages && py_dists_find(&py->state.dists, q->name)) continue;
		if (!is_open && !js_get(locked, q->name) && unknown.count < NAMES_SHOWN)
			strs_add_once(&unknown, q->name);
	}
	if (!unknown.count) return 0;
	return err_set(err, ERR_INVALID,
		       "the manifest of --locked has no version of %s in %s: apply without --locked once, and take the "
		       "manifest of that",
		       strs_join(&unknown, ", ", py->ctx->arena), py->p->venv);
}

void py_lock_others(const struct py *py, struct strs *ret_requirements) {
	const struct js *locked = distributions(py);
	struct py_dists own = {0};
	struct err ignored; /* a venv that cannot be read has failed before */
	if (!locked || py->state.state != PY_VENV_READY ||
	    py_dists_read(&own, py->ctx->machine.root, py->state.site, NULL, py->ctx->arena, &ignored) < 0)
		return;
	for (size_t i = 0; i < own.count; i++) {
		const char *wanted = js_get_str(js_get(locked, own.items[i].name), "version");
		if (wanted && !str_eq(wanted, own.items[i].version) && !is_kept(py, own.items[i].name))
			strs_add_once(ret_requirements,
				      arena_printf(py->ctx->arena, "%s==%s", own.items[i].name, wanted));
	}
}

struct constraints {
	const struct py *py;
	struct buf *out;
};

static void add_constraint(const char *name, const struct js *value, void *arg) {
	const struct constraints *c = arg;
	const char *version = js_get_str(value, "version");
	if (version && !is_kept(c->py, name)) buf_addf(c->out, "%s==%s\n", name, version);
}

void py_lock_constraints(const struct py *py, struct buf *out) {
	struct constraints c = {py, out};
	const struct js *locked = distributions(py);
	if (locked) js_each(locked, add_constraint, &c);
}
