/* What a worker says, taken into the view and told to the sinks. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/run_internal.h"

static void on_change(struct run *run, size_t index, const struct frame *frame) {
	size_t what_len = strlen(frame->text);
	const char *diff = what_len + 1 < frame->len ? frame->text + what_len + 1 : NULL;
	struct step_view *v = step_view_of(run, index);
	if (v->changes++ == 0) {
		run_set_text(v->text, sizeof v->text, frame->text);
		run_set_text(run->steps[index].first_change, sizeof run->steps[index].first_change, frame->text);
	}
	char *line AUTO_FREE = mem_printf("> %s", frame->text);
	step_log(run, index, line);
	if (diff) step_log(run, index, diff);
	run_emit(run, EVENT_STEP_CHANGE, index, frame->text, diff);
}

/* A step that cannot succeed fails in the first second, and nothing is begun for its sake. */
static void preflight(struct run *run) {
	const struct run_options *o = run->options;
	struct err err = {0};
	size_t step = 0;
	if (run->is_preflighted || !o->preflight) return;
	run->is_preflighted = true;
	if (!o->preflight(o->arg, &step, &err)) return;
	run->is_refused = run->is_stopping = true;
	if (run->steps[step].phase == PHASE_ENDED) return;
	step_fail(run, step, err.msg);
	if (run->steps[step].phase == PHASE_RUNNING) return; /* said when its worker has ended */
	run->steps[step].phase = PHASE_ENDED;
	run_emit(run, EVENT_STEP_ENDED, step, step_view_of(run, step)->error, NULL);
}

static void take_result(struct step_run *s, enum err_code code, const char *msg) {
	s->has_result = true;
	s->result.code = code;
	(void)snprintf(s->result.msg, sizeof s->result.msg, "%s", msg);
}

/* The worker waits: "running" is on disk before it may touch anything. One that may not has failed for our reason. */
static void on_probed(struct run *run, size_t index, const struct frame *frame) {
	if (frame->a == 0) return;
	preflight(run);
	run->steps[index].has_changes = !run->is_refused;
	if (!run->is_refused) step_record(run, index, STATE_RUNNING);
	if (run->fatal.code == ERR_NONE && run->signal == 0 && !run->is_refused) {
		worker_go(&run->steps[index].worker);
		return;
	}
	worker_kill(&run->steps[index].worker);
	if (run->fatal.code != ERR_NONE) take_result(&run->steps[index], run->fatal.code, run->fatal.msg);
}

static void on_progress(struct run *run, size_t index, const struct frame *frame) {
	struct step_view *v = step_view_of(run, index);
	step_end_wait(v);
	run_set_text(v->text, sizeof v->text, frame->text);
	bool is_other = (frame->type == FRAME_BYTES) != v->is_bytes || frame->b != v->total;
	if (is_other) step_clear_progress(run, index);
	v->is_bytes = frame->type == FRAME_BYTES;
	v->done = frame->a;
	v->total = frame->b;
	step_meter(run, index, clock_mono_ms());
	run_emit(run, EVENT_STEP_PROGRESS, index, frame->text, NULL);
}

static void on_waiting(struct run *run, size_t index, const struct frame *frame) {
	struct step_view *v = step_view_of(run, index);
	if (frame->a < v->waiting_ms) step_end_wait(v);
	run_set_text(v->waiting_for, sizeof v->waiting_for, frame->text);
	v->waiting_ms = frame->a;
	run_emit(run, EVENT_STEP_WAITING, index, frame->text, NULL);
}

static void on_publish(struct run *run, size_t index, const struct frame *frame) {
	size_t key_len = strlen(frame->text);
	const char *value = frame->text + key_len + 1;
	if (key_len + 1 > frame->len) return;
	if (str_eq(frame->text, "text")) {
		struct step_run *s = &run->steps[index];
		(void)snprintf(s->last_word, sizeof s->last_word, "%s", value);
	} else if (str_eq(frame->text, "reboot")) {
		run->steps[index].wants_reboot = true;
		(void)snprintf(run->reboot_cause, sizeof run->reboot_cause, "%s", value);
	} else if (str_eq(frame->text, "gpu")) {
		run_set_text(run->view.gpu, sizeof run->view.gpu, value);
		run_emit(run, EVENT_STEP_PROGRESS, index, NULL, NULL);
	}
}

void step_on_frame(struct run *run, size_t index, const struct frame *frame) {
	switch (frame->type) {
	case FRAME_CHANGE: on_change(run, index, frame); break;
	case FRAME_PROBED: on_probed(run, index, frame); break;
	case FRAME_LINE:
		step_end_wait(step_view_of(run, index));
		step_log(run, index, frame->text);
		run_emit(run, EVENT_STEP_LINE, index, frame->text, NULL);
		break;
	case FRAME_PROGRESS:
	case FRAME_BYTES: on_progress(run, index, frame); break;
	case FRAME_PUBLISH: on_publish(run, index, frame); break;
	case FRAME_WAITING: on_waiting(run, index, frame); break;
	case FRAME_RESULT: take_result(&run->steps[index], (enum err_code)frame->a, frame->text); break;
	}
}
