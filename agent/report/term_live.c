#include "base/clock.h"
#include "base/str.h"
#include "report/show_tree.h"
#include "report/term.h"

#define FOLDED_MAX (64 * 1024)
/* A narrower window folds by itself. */
#define FOLD_MIN 16

/* Asked anew at every drawing: a window that changes its size is followed without a signal handler. */
static void read_size(struct term *t) {
	struct show_style now = show_style_of(t->fd);
	t->style.width = now.width ? now.width : SHOW_WIDTH_FALLBACK;
	t->style.rows = now.rows ? now.rows : SHOW_ROWS_FALLBACK;
}

void term_live_lines(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
		     struct buf *out) {
	if (show_tree_fits(view, style))
		show_tree(view, style, now_ms, frame, out);
	else
		show_unfinished(view, style, now_ms, frame, out);
	show_overall(view, style, now_ms, out);
	buf_addc(out, '\n');
	if (!view->question) return;
	buf_adds(out, "  ");
	buf_add(out, view->question, show_fit(view->question, style->width - 2));
	buf_addc(out, '\n');
}

/* Steps that have ended and have no line in the live part stay above it. */
static void print_ended(struct term *t, const struct run_view *view) {
	if (show_tree_fits(view, &t->style)) return;
	for (size_t i = 0; i < view->count && i < t->count; i++) {
		if (view->steps[i].status <= STEP_RUNNING || t->steps[i].is_printed) continue;
		screen_erase(&t->screen, &t->style, &t->out);
		t->steps[i].is_printed = true;
		show_line(view, i, "", &t->style, clock_now_ms(), 0, &t->out);
	}
}

static void draw(struct term *t, const struct run_view *view) {
	AUTO_BUF struct buf lines = BUF_INIT(SCREEN_MAX);
	read_size(t);
	if (view->ended_at_ms) return;
	print_ended(t, view);
	term_live_lines(view, &t->style, clock_now_ms(), t->frame, &lines);
	screen_draw(&t->screen, &t->style, buf_str(&lines), &t->out);
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

/* What the reader came for: folded at the width between words, and nothing of it is cut. */
static void add_folded(struct term *t, const char *lead, const char *text) {
	AUTO_BUF struct buf clean = BUF_INIT(FOLDED_MAX);
	size_t room = t->style.width > strlen(lead) + FOLD_MIN ? t->style.width - strlen(lead) : FOLD_MIN;
	show_clean(text, &clean);
	for (const char *s = buf_str(&clean); *s;) {
		size_t n = show_fit(s, room), end = n;
		if (s[n])
			while (end > n / 2 && s[end] != ' ') end--;
		if (!s[n] || end == n / 2) end = n;
		buf_addf(&t->out, "%s%.*s\n", lead, (int)end, s);
		s += end + (s[end] == ' ');
	}
}

/* Lines that are longer than the window go on below their own begin. */
static void add_folded_lines(struct term *t, const char *text) {
	AUTO_ARENA struct arena arena = {0};
	while (*text) {
		size_t n = strcspn(text, "\n"), indent = strspn(text, " ");
		if (indent > n) indent = n;
		add_folded(t, arena_dup(&arena, text, indent), arena_dup(&arena, text + indent, n - indent));
		text += n + (text[n] == '\n');
	}
}

/* A failure in full; how it ended is in its line. */
static void add_failure(struct term *t, const struct run_view *view, size_t step) {
	const struct step_view *v = &view->steps[step];
	if (v->status != STEP_FAILED && v->status != STEP_WARNED) return;
	show_line(view, step, "", &t->style, clock_now_ms(), 0, &t->out);
	if (t->steps && step < t->count) t->steps[step].is_printed = true;
	if (show_columns(v->error) + show_columns(v->name) + 16 > t->style.width) add_folded(t, "    ", v->error);
	if (!t->is_verbose) term_add_tail(t, step);
	if (v->log_path[0]) buf_addf(&t->out, "    log: %s\n", v->log_path);
}

/* The tree as it stays. */
static void add_end(struct term *t, const struct run_view *view) {
	AUTO_BUF struct buf summary = BUF_INIT(FOLDED_MAX);
	if (show_tree_fits(view, &t->style))
		show_tree(view, &t->style, clock_now_ms(), 0, &t->out);
	else
		print_ended(t, view);
	show_summary(view, t->is_root, &summary);
	add_folded_lines(t, buf_str(&summary));
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
	case EVENT_STEP_ENDED: add_failure(t, view, event->step); break;
	case EVENT_RUN_READY: buf_adds(&t->out, "ready; background steps go on\n"); break;
	case EVENT_RUN_ENDED: add_end(t, view); break;
	case EVENT_STEP_STARTED:
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_WAITING: break;
	}
}

/* The live part is taken away before whatever stays and drawn again below it; without any, the next tick draws. */
void term_live_event(struct term *t, const struct event *event, const struct run_view *view) {
	struct buf live = t->out;
	read_size(t);
	t->out = BUF_INIT(live.max);
	add_permanent(t, event, view);
	struct buf stays = t->out;
	t->out = live;
	if (stays.len) {
		screen_erase(&t->screen, &t->style, &t->out);
		buf_add(&t->out, stays.data, stays.len);
		if (event->type != EVENT_RUN_STARTED && event->type != EVENT_RUN_ENDED) draw(t, view);
	}
	buf_clear(&stays);
}

void term_live_tick(struct term *t, const struct run_view *view) {
	t->frame++;
	draw(t, view);
}
