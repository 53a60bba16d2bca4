/* `report --json`: the shape of v1 is in agent/README.md. */
#include "base/clock.h"
#include "fmt/js.h"
#include "report/told.h"

#define REPORT_SCHEMA 1

static void set_time(struct js *js, const char *key, int64_t at_ms) {
	char iso[CLOCK_ISO8601_SIZE];
	js_set_str(js, key, at_ms ? clock_iso8601(at_ms, iso) : NULL);
}

static struct js *boot_js(const struct told *told) {
	struct js *list = js_array();
	for (size_t i = 0; told->has_boot && i < told->boot.count; i++) {
		const struct boot_phase *p = &told->boot.phases[i];
		struct js *js = js_object();
		js_set_str(js, "name", p->name);
		js_set_int(js, "from_ms", p->from_ms - told_zero_ms(told));
		js_set_int(js, "duration_ms", p->to_ms - p->from_ms);
		js_push(list, js);
	}
	return list;
}

static struct js *sums_js(const struct story *story) {
	static const char *const keys[STORY_KINDS] = {"installs_ms", "downloads_ms", "s3_ms", "gpu_ms", "other_ms"};
	struct story_sums sums;
	struct js *js = js_object();
	story_sum(story, &sums);
	js_set_int(js, "waiting_ms", sums.waited_ms);
	for (int k = 0; k < (int)STORY_KINDS; k++) js_set_int(js, keys[k], sums.kinds_ms[k]);
	return js;
}

static struct js *stretches_js(const struct told *told, const struct story_step *step) {
	struct js *list = js_array();
	for (size_t i = 0; i < step->stretch_count; i++) {
		const struct story_stretch *s = &step->stretches[i];
		struct js *js = js_object();
		js_set_str(js, "doing", s->doing == STORY_WAITING ? "waiting" : "fetching");
		js_set_str(js, "what", s->what);
		js_set_int(js, "from_ms", told_at_ms(told, s->from_ms));
		js_set_int(js, "duration_ms", s->to_ms - s->from_ms);
		js_push(list, js);
	}
	return list;
}

static struct js *step_js(const struct told *told, size_t index) {
	const struct story_step *s = &told->story.steps[index];
	const struct step_view *v = s->view;
	struct js *js = js_object(), *changes = js_array();
	js_set_int(js, "index", (int64_t)index + 1);
	js_set_str(js, "id", v->id);
	js_set_str(js, "name", v->name);
	js_set_str(js, "type", v->type);
	js_set_str(js, "status", step_status_name(v->status));
	js_set_int(js, "from_ms", s->has_run ? told_at_ms(told, s->from_ms) : 0);
	js_set_int(js, "duration_ms", s->has_run ? s->to_ms - s->from_ms : 0);
	js_set_int(js, "waited_ms", s->waited_ms);
	js_set_int(js, "fetched_ms", s->fetched_ms);
	js_set_int(js, "worked_ms", story_work_ms(s));
	js_set(js, "stretches", stretches_js(told, s));
	for (size_t i = 0; i < s->change_count; i++) js_push_str(changes, s->changes[i].what);
	js_set(js, "changes", changes);
	js_set_int(js, "left_out", (int64_t)(s->changes_left_out + s->stretches_left_out));
	js_set_str(js, "error", v->error[0] ? v->error : NULL);
	js_set_str(js, "log", v->log_path[0] ? v->log_path : NULL);
	return js;
}

struct js *told_js(const struct told *told) {
	const struct run_view *v = &told->story.view;
	struct js *js = js_object(), *steps = js_array(), *warnings = js_array();
	int64_t launched_ms = told->has_boot ? told->boot.launched_at_ms : 0;
	js_set_int(js, "schema", REPORT_SCHEMA);
	js_set_str(js, "run_id", v->run_id);
	js_set_str(js, "recipe", v->recipe);
	js_set_str(js, "version", v->version);
	js_set_str(js, "machine", told->machine);
	js_set_str(js, "status", run_status_name(v->status));
	set_time(js, "launched_at", launched_ms);
	set_time(js, "zero_at", told_zero_ms(told));
	set_time(js, "started_at", v->started_at_ms);
	set_time(js, "ready_at", v->ready_at_ms);
	set_time(js, "ended_at", v->ended_at_ms);
	js_set(js, "boot", boot_js(told));
	js_set_int(js, "from_ms", told_at_ms(told, 0));
	js_set_int(js, "duration_ms", told->story.length_ms);
	js_set(js, "sums", sums_js(&told->story));
	for (size_t i = 0; i < v->count; i++) js_push(steps, step_js(told, i));
	js_set(js, "steps", steps);
	for (size_t i = 0; i < told->story.warning_count; i++) js_push_str(warnings, told->story.warnings[i]);
	js_set(js, "warnings", warnings);
	js_set_str(js, "error", v->error[0] ? v->error : NULL);
	js_set_int(js, "events", (int64_t)told->story.events);
	js_set_int(js, "damaged", (int64_t)told->story.damaged);
	return js;
}
