#include <string.h>

#include "base/str.h"
#include "engine/run_internal.h"
#include "engine/state.h"

/* A resource that both lists name, or NULL. */
static const char *common(const struct strs *a, const struct strs *b) {
	for (size_t i = 0; i < a->count; i++)
		if (strs_has(b, a->items[i])) return a->items[i];
	return NULL;
}

/* False while a running step has something that this one must have alone: the view says which, and what. */
static bool resources_are_free(const struct run *run, size_t index) {
	struct step_view *v = &run->view.steps[index];
	v->held_by = 0;
	for (size_t i = 0; i < run->plan->count && !v->held_by; i++) {
		if (run->steps[i].phase != PHASE_RUNNING) continue;
		v->held_what = common(&run->plan->steps[i].resources, &run->plan->steps[index].resources);
		if (v->held_what) v->held_by = i + 1;
	}
	return v->held_by == 0;
}

enum readiness { NOT_YET, MAY_START, MUST_SKIP };

/*
 * A step that names its needs cannot do without them. One that merely stands below another goes on when that one was
 * allowed to fail (optional, on_error: continue) or was left out.
 */
static enum readiness readiness(const struct run *run, size_t index, const char **ret_blocker) {
	const struct plan_step *p = &run->plan->steps[index];
	for (size_t i = 0; i < p->needs_count; i++) {
		size_t need = p->needs[i];
		if (run->steps[need].phase != PHASE_ENDED) return NOT_YET;
		enum step_status status = run->view.steps[need].status;
		bool is_left_out = status == STEP_SKIPPED && run->plan->steps[need].skip_reason;
		bool has_failed =
			status == STEP_FAILED || status == STEP_WARNED || (status == STEP_SKIPPED && !is_left_out);
		if (has_failed && p->common.has_needs) {
			*ret_blocker = run->view.steps[need].id;
			return MUST_SKIP;
		}
	}
	return MAY_START;
}

static unsigned jobs(const struct run *run) { return run->options->jobs ? run->options->jobs : RUN_JOBS_DEFAULT; }

/* A machine on which a step has failed is not ready because another was run alone. */
static void leave_out(struct run *run, size_t index) {
	const struct plan_step *p = &run->plan->steps[index];
	if (!p->is_left_out || !state_has_failed(run->options->state, run->plan->recipe_name, p)) {
		step_skip(run, index, p->skip_reason);
		return;
	}
	run->view.warnings++;
	step_skip(run, index, arena_printf(&run->arena, "%s; it did not end well last time", p->skip_reason));
}

/* Starts or skips one pending step if its time has come; true if anything was done. */
static bool advance(struct run *run, size_t index) {
	const struct plan_step *p = &run->plan->steps[index];
	if (p->skip_reason) {
		leave_out(run, index);
		return true;
	}
	if (run->is_stopping) return false;
	const char *blocker = NULL;
	switch (readiness(run, index, &blocker)) {
	case NOT_YET: return false;
	case MUST_SKIP:
		step_skip(run, index, arena_printf(&run->arena, "it needs '%s', which did not end well", blocker));
		return true;
	case MAY_START: break;
	}
	if (!resources_are_free(run, index) || run->running >= jobs(run)) return false;
	step_start(run, index);
	return true;
}

bool run_schedule(struct run *run) {
	bool has_moved = true, is_alive = false;
	while (has_moved) {
		has_moved = false;
		is_alive = false;
		for (size_t i = 0; i < run->plan->count; i++) {
			if (run->steps[i].phase == PHASE_PENDING && advance(run, i)) has_moved = true;
			enum phase phase = run->steps[i].phase;
			if (phase == PHASE_RUNNING || phase == PHASE_RETRY_WAIT) is_alive = true;
		}
	}
	return is_alive;
}
