#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/run_internal.h"

/* Less is a clock that is kept in time. */
#define CLOCK_SET_MIN_MS 1000

void run_set_text(char *field, size_t size, const char *text) {
	struct buf clean AUTO_BUF = BUF_INIT(2 * FRAME_TEXT_MAX);
	log_redact(text, &clean);
	const char *s = buf_str(&clean);
	size_t n = strlen(s);
	if (n >= size) {
		n = size - 1;
		while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80) n--; /* not in mid-character */
	}
	memcpy(field, s, n);
	field[n] = '\0';
}

void run_view_init(struct run *run) {
	const struct run_options *o = run->options;
	struct run_view *v = &run->view;
	*v = (struct run_view){
		.run_id = o->run_id, .version = o->version, .status = RUN_RUNNING, .count = run->plan->count};
	v->recipe = arena_printf(&run->arena, "%s@%.8s", run->plan->recipe_name, run->plan->hash);
	v->started_at_ms = v->updated_at_ms = clock_now_ms();
	run->began_mono_ms = clock_mono_ms();
	run->clock_offset_ms = v->started_at_ms - run->began_mono_ms;
	v->steps = mem_zalloc(v->count * sizeof *v->steps);
	for (size_t i = 0; i < v->count; i++) {
		const struct plan_step *p = &run->plan->steps[i];
		struct step_view *s = &v->steps[i];
		s->id = p->common.id;
		s->name = p->common.name;
		s->type = p->type->name;
		s->is_background = p->common.is_background;
		s->needs = p->needs;
		s->needs_count = p->needs_count;
		(void)snprintf(s->log_path, sizeof s->log_path, "%s/%02zu-%s.log", o->log_dir, i + 1, s->id);
	}
	run_view_count(run);
}

void run_view_clear(struct run *run) { free(run->view.steps); }

/* A step that failed or was never run is no progress: a run that failed half way says 50%. */
static bool has_ended_well(const struct step_view *s) {
	return s->status == STEP_OK || s->status == STEP_CHANGED || s->status == STEP_WARNED;
}

/* How far one step is, in thousandths; a running step that cannot say is at its beginning. */
static int64_t step_share(const struct step_view *s) {
	if (has_ended_well(s)) return 1000;
	if (s->status != STEP_RUNNING || s->total <= 0 || s->done <= 0) return 0;
	return s->done >= s->total ? 990 : s->done * 990 / s->total;
}

void run_view_count(struct run *run) {
	struct run_view *v = &run->view;
	size_t done = 0, total = 0;
	int64_t share = 0;
	for (size_t i = 0; i < v->count; i++) {
		if (run->plan->steps[i].skip_reason) continue;
		total++;
		done += has_ended_well(&v->steps[i]);
		share += step_share(&v->steps[i]);
	}
	v->done = done;
	v->total = total;
	v->percent = total == 0 ? 100 : (int)(share / (int64_t)(10 * total));
}

static void shift(int64_t *at_ms, int64_t by_ms) {
	if (*at_ms) *at_ms += by_ms;
}

/*
 * The first answer of NTP after a boot may set the clock by hours. Durations are differences of times in the view, so
 * these move with the clock: then both are right, what is shown as a time and what is shown as a duration.
 */
void run_view_clock(struct run *run) {
	struct run_view *v = &run->view;
	int64_t offset_ms = clock_now_ms() - clock_mono_ms(), by_ms = offset_ms - run->clock_offset_ms;
	run->clock_offset_ms = offset_ms;
	if (by_ms < CLOCK_SET_MIN_MS && by_ms > -CLOCK_SET_MIN_MS) return; /* slewed: no difference that anyone sees */
	shift(&v->started_at_ms, by_ms);
	shift(&v->ready_at_ms, by_ms);
	for (size_t i = 0; i < v->count; i++) {
		shift(&v->steps[i].started_at_ms, by_ms);
		shift(&v->steps[i].ended_at_ms, by_ms);
	}
}

void run_emit(struct run *run, enum event_type type, size_t step, const char *text, const char *diff) {
	struct buf clean_text AUTO_BUF = BUF_INIT(2 * FRAME_TEXT_MAX);
	struct buf clean_diff AUTO_BUF = BUF_INIT(2 * FRAME_TEXT_MAX);
	if (text) log_redact(text, &clean_text);
	if (diff) log_redact(diff, &clean_diff);
	run_view_count(run);
	run_view_clock(run);
	run->view.updated_at_ms = clock_now_ms();
	struct event event = {.type = type,
			      .at_ms = run->view.updated_at_ms,
			      .since_ms = clock_mono_ms() - run->began_mono_ms,
			      .step = step,
			      .text = text ? buf_str(&clean_text) : NULL,
			      .diff = diff ? buf_str(&clean_diff) : NULL};
	for (struct sink *const *s = run->options->sinks; *s; s++) (*s)->event(*s, &event, &run->view);
}

void step_end_wait(struct step_view *v) {
	v->waited_ms += v->waiting_ms;
	v->waiting_ms = 0;
	v->waiting_for[0] = '\0';
}

void step_clear_progress(struct run *run, size_t index) {
	struct step_view *v = step_view_of(run, index);
	v->done = v->total = v->bytes_per_s = v->stalled_ms = v->left_ms = 0;
	v->is_bytes = false;
	run->steps[index].meter = (struct meter){0};
}

void step_meter(struct run *run, size_t index, int64_t now) {
	struct step_view *v = step_view_of(run, index);
	struct meter *m = &run->steps[index].meter;
	if (!v->is_bytes && v->total <= 0) return;
	meter_add(m, now, v->done);
	int64_t left_ms = meter_left_ms(m, v->total, v->is_bytes);
	v->left_ms = left_ms > 0 ? left_ms : 0;
	if (!v->is_bytes) return;
	v->bytes_per_s = meter_rate(m);
	v->stalled_ms = meter_stalled_ms(m);
}
