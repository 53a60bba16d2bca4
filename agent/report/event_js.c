#include "report/event_js.h"

#include "base/buf.h"
#include "base/clock.h"
#include "fmt/js.h"

static void add_step(const struct step_view *step, size_t index, struct js *js) {
	js_set_str(js, "step", step->id);
	js_set_int(js, "index", (int64_t)index + 1);
	js_set_str(js, "name", step->name);
	js_set_str(js, "step_status", step_status_name(step->status));
	if (step->total > 0) {
		js_set_int(js, "done", step->done);
		js_set_int(js, "total", step->total);
	}
	if (step->is_bytes) {
		js_set_str(js, "unit", "bytes");
		if (step->total <= 0) js_set_int(js, "done", step->done);
		js_set_int(js, "bytes_per_s", step->bytes_per_s);
	}
	if (step->attempt > 1) js_set_int(js, "attempt", step->attempt);
}

static void add_end(const struct step_view *step, struct js *js) {
	int64_t took_ms = step->ended_at_ms > step->started_at_ms ? step->ended_at_ms - step->started_at_ms : 0;
	js_set_str(js, "type_of_step", step->type);
	js_set_int(js, "duration_ms", took_ms);
	js_set_int(js, "waited_ms", step->waited_ms);
	js_set_int(js, "changes", (int64_t)step->changes);
	if (step->error[0]) {
		js_set_str(js, "error", step->error);
		js_set_str(js, "log", step->log_path);
	}
}

static void add_run(const struct run_view *view, struct js *js) {
	js_set_int(js, "schema", EVENT_SCHEMA);
	js_set_str(js, "run_id", view->run_id);
	js_set_str(js, "recipe", view->recipe);
	js_set_str(js, "version", view->version);
	js_set_str(js, "status", run_status_name(view->status));
	js_set_int(js, "done", (int64_t)view->done);
	js_set_int(js, "total", (int64_t)view->total);
	js_set_int(js, "percent", view->percent);
	js_set_int(js, "warnings", (int64_t)view->warnings);
	js_set_str(js, "error", view->error[0] ? view->error : NULL);
	if (view->bundle[0]) js_set_str(js, "bundle", view->bundle);
}

void event_js_print(const struct event *event, const struct run_view *view, struct buf *out) {
	char iso[CLOCK_ISO8601_SIZE];
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", event_type_name(event->type));
	js_set_str(js, "at", clock_iso8601(event->at_ms, iso));
	js_set_int(js, "at_ms", event->at_ms);
	js_set_int(js, "since_ms", event->since_ms);
	if (event->step < view->count) add_step(&view->steps[event->step], event->step, js);
	if (event->text) js_set_str(js, "text", event->text);
	if (event->diff) js_set_str(js, "diff", event->diff);
	switch (event->type) {
	case EVENT_STEP_ENDED: add_end(&view->steps[event->step], js); break;
	case EVENT_STEP_WAITING:
		js_set_str(js, "waiting_for", view->steps[event->step].waiting_for);
		js_set_int(js, "waiting_ms", view->steps[event->step].waiting_ms);
		break;
	case EVENT_RUN_STARTED:
	case EVENT_RUN_READY:
	case EVENT_RUN_ENDED: add_run(view, js); break;
	case EVENT_STEP_STARTED:
	case EVENT_STEP_CHANGE:
	case EVENT_STEP_LINE:
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_RETRY:
	case EVENT_WARNING: break;
	}
	js_print(js, JS_COMPACT, out);
	buf_addc(out, '\n');
}
