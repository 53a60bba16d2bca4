#include "base/clock.h"
#include "base/str.h"
#include "report/term.h"

/* Between two progress or wait lines of one step: a log, not a film. */
#define SAY_EVERY_MS (30LL * 1000)

/* journald's priorities as sd-daemon(3) has them in front of a line. */
enum priority { PRIORITY_ERROR = 3, PRIORITY_WARNING = 4, PRIORITY_INFO = 6 };

static void begin(struct term *t, enum priority priority) {
	if (t->is_journal) buf_addf(&t->out, "<%d>", (int)priority);
}

static void say(struct term *t, const struct run_view *view, size_t step, enum priority priority, const char *lead,
		const char *text) {
	begin(t, priority);
	if (step < view->count) show_label(view, step, &t->out);
	buf_adds(&t->out, lead);
	if (text) show_clean(text, &t->out);
	buf_addc(&t->out, '\n');
}

/* "started", said late: a step that is in place says only so. */
static void announce(struct term *t, const struct run_view *view, size_t step) {
	if (t->steps[step].is_announced) return;
	t->steps[step].is_announced = true;
	say(t, view, step, PRIORITY_INFO, "started", NULL);
}

static void add_indented(struct term *t, const char *text) {
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		AUTO_ARENA struct arena arena = {0};
		begin(t, PRIORITY_INFO);
		buf_adds(&t->out, "    ");
		show_clean(arena_dup(&arena, line, n), &t->out);
		buf_addc(&t->out, '\n');
		line += n + (line[n] == '\n');
	}
}

/* True when the step may say something that goes on and on; a first wait is said at once. */
static bool may_say(struct term_step *s, bool is_waiting) {
	int64_t now = clock_mono_ms();
	bool is_new = is_waiting && !s->was_waiting;
	s->was_waiting = is_waiting;
	if (s->said_at_ms && !is_new && now - s->said_at_ms < SAY_EVERY_MS) return false;
	s->said_at_ms = now ? now : 1;
	return true;
}

static void say_doing(struct term *t, const struct run_view *view, size_t step) {
	const struct step_view *v = &view->steps[step];
	if (!may_say(&t->steps[step], v->waiting_for[0] != '\0')) return;
	begin(t, PRIORITY_INFO);
	show_label(view, step, &t->out);
	show_outcome(v, &t->out);
	buf_addc(&t->out, '\n');
}

static void say_end(struct term *t, const struct run_view *view, size_t step) {
	const struct step_view *v = &view->steps[step];
	enum priority priority = v->status == STEP_FAILED   ? PRIORITY_ERROR
				 : v->status == STEP_WARNED ? PRIORITY_WARNING
							    : PRIORITY_INFO;
	begin(t, priority);
	show_label(view, step, &t->out);
	show_outcome(v, &t->out);
	buf_addc(&t->out, '\n');
	if (v->status != STEP_FAILED && v->status != STEP_WARNED) return;
	if (!t->is_verbose) term_add_tail(t, step);
	if (v->log_path[0]) buf_addf(&t->out, "    log: %s\n", v->log_path);
}

static void say_start(struct term *t, const struct run_view *view) {
	begin(t, PRIORITY_INFO);
	buf_addf(&t->out, "dsagent %s: %s, %zu step%s, run %s\n", view->version, view->recipe, view->count,
		 view->count == 1 ? "" : "s", view->run_id);
}

void term_plain_event(struct term *t, const struct event *event, const struct run_view *view) {
	size_t step = event->step;
	switch (event->type) {
	case EVENT_RUN_STARTED: say_start(t, view); break;
	case EVENT_STEP_STARTED: break;
	case EVENT_STEP_CHANGE:
		announce(t, view, step);
		say(t, view, step, PRIORITY_INFO, "to do: ", event->text);
		if (t->is_verbose && event->diff) add_indented(t, event->diff);
		break;
	case EVENT_STEP_LINE:
		if (t->is_verbose && event->text) add_indented(t, event->text);
		break;
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_WAITING:
		announce(t, view, step);
		say_doing(t, view, step);
		break;
	case EVENT_STEP_RETRY: say(t, view, step, PRIORITY_WARNING, "", event->text); break;
	case EVENT_STEP_ENDED: say_end(t, view, step); break;
	case EVENT_WARNING: say(t, view, step, PRIORITY_WARNING, "warning: ", event->text); break;
	case EVENT_RUN_READY: say(t, view, SIZE_MAX, PRIORITY_INFO, "ready; background steps go on", NULL); break;
	case EVENT_RUN_ENDED:
		begin(t, view->status == RUN_FAILED ? PRIORITY_ERROR : PRIORITY_INFO);
		show_summary(view, t->is_root, &t->out);
		break;
	}
}

void term_plain_tick(struct term *t, const struct run_view *view) {
	for (size_t i = 0; i < view->count; i++) {
		if (view->steps[i].status != STEP_RUNNING) continue;
		announce(t, view, i);
	}
}
