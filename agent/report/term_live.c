#include "base/clock.h"
#include "base/str.h"
#include "report/term.h"

/* Asked anew at every drawing: a window that changes its size is followed without a signal handler. */
static void read_size(struct term *t) {
	struct show_style now = show_style_of(t->fd);
	t->style.width = now.width ? now.width : SHOW_WIDTH_FALLBACK;
	t->style.rows = now.rows ? now.rows : SHOW_ROWS_FALLBACK;
}

size_t term_live_lines(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
		       struct buf *out) {
	size_t lines = 0, hidden = 0, room = style->rows > 3 ? style->rows - 3 : 1;
	for (size_t i = 0; i < view->count; i++) {
		if (view->steps[i].status != STEP_RUNNING) continue;
		if (lines == room) {
			hidden++;
			continue;
		}
		show_running(&view->steps[i], style, now_ms, frame, out);
		buf_addc(out, '\n');
		lines++;
	}
	if (hidden) {
		buf_addf(out, "  and %zu more\n", hidden);
		lines++;
	}
	show_overall(view, style, now_ms, out);
	buf_addc(out, '\n');
	return lines + 1;
}

/* Takes the live part off the screen: up to its first row, then clear to the end (ECMA-48: CPL, ED). */
static void erase(struct term *t) {
	if (t->drawn) buf_addf(&t->out, "\033[%zuF\033[J", t->drawn);
	t->drawn = 0;
}

static void draw(struct term *t, const struct run_view *view) {
	read_size(t);
	erase(t);
	if (view->ended_at_ms) return;
	t->drawn = term_live_lines(view, &t->style, clock_now_ms(), t->frame, &t->out);
}

static void add_block(struct term *t, const char *lead, const char *text) {
	AUTO_ARENA struct arena arena = {0};
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		AUTO_BUF struct buf clean = BUF_INIT(64 * 1024);
		buf_adds(&clean, lead);
		show_clean(arena_dup(&arena, line, n), &clean);
		buf_add(&t->out, buf_str(&clean), show_fit(buf_str(&clean), t->style.width));
		buf_addc(&t->out, '\n');
		line += n + (line[n] == '\n');
	}
}

/* The whole error, folded at the width: it is what the reader came for, so nothing of it is cut. */
static void add_folded(struct term *t, const char *text) {
	AUTO_BUF struct buf clean = BUF_INIT(8 * 1024);
	show_clean(text, &clean);
	for (const char *s = buf_str(&clean); *s;) {
		size_t n = show_fit(s, t->style.width - 4), end = n;
		if (s[n])
			while (end > n / 2 && s[end] != ' ') end--;
		if (!s[n] || end == n / 2) end = n;
		buf_addf(&t->out, "    %.*s\n", (int)end, s);
		s += end + (s[end] == ' ');
	}
}

static void end_step(struct term *t, const struct run_view *view, size_t step) {
	const struct step_view *v = &view->steps[step];
	show_step(v, &t->style, clock_now_ms(), &t->out);
	buf_addc(&t->out, '\n');
	if (v->status != STEP_FAILED && v->status != STEP_WARNED) return;
	if (show_columns(v->error) + show_columns(v->name) + 16 > t->style.width) add_folded(t, v->error);
	if (!t->is_verbose) term_add_tail(t, step);
	if (v->log_path[0]) buf_addf(&t->out, "    log: %s\n", v->log_path);
}

/* What stays on the screen of an event; the live part is redrawn below it. */
static void add_permanent(struct term *t, const struct event *event, const struct run_view *view) {
	AUTO_ARENA struct arena arena = {0};
	const char *text = event->text ? event->text : "";
	const char *name = event->step < view->count ? view->steps[event->step].name : "run";
	switch (event->type) {
	case EVENT_RUN_STARTED:
		buf_addf(&t->out, "dsagent %s: %s, %zu step%s\n", view->version, view->recipe, view->count,
			 view->count == 1 ? "" : "s");
		break;
	case EVENT_STEP_CHANGE:
		if (!t->is_verbose) break;
		add_block(t, "", arena_printf(&arena, "  %s: %s", name, text));
		if (event->diff) add_block(t, "      ", event->diff);
		break;
	case EVENT_STEP_LINE:
		if (t->is_verbose) add_block(t, "    | ", text);
		break;
	case EVENT_STEP_RETRY: add_block(t, "", arena_printf(&arena, "! %s  %s", name, text)); break;
	case EVENT_WARNING: add_block(t, "", arena_printf(&arena, "! %s: %s", name, text)); break;
	case EVENT_STEP_ENDED: end_step(t, view, event->step); break;
	case EVENT_RUN_READY: buf_adds(&t->out, "ready; background steps go on\n"); break;
	case EVENT_RUN_ENDED: show_summary(view, t->is_root, &t->out); break;
	case EVENT_STEP_STARTED:
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_WAITING: break;
	}
}

/* The live part is erased before and drawn again after whatever stays; without any, the next tick draws. */
void term_live_event(struct term *t, const struct event *event, const struct run_view *view) {
	size_t before = t->out.len, was_drawn = t->drawn;
	read_size(t);
	erase(t);
	size_t erased = t->out.len;
	add_permanent(t, event, view);
	if (t->out.len == erased) { /* nothing stays: leave the screen as it is */
		buf_cut(&t->out, before);
		t->drawn = was_drawn;
		return;
	}
	if (event->type != EVENT_RUN_STARTED && event->type != EVENT_RUN_ENDED) draw(t, view);
}

void term_live_tick(struct term *t, const struct run_view *view) {
	t->frame++;
	draw(t, view);
}
