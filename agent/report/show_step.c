#include <inttypes.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "report/show.h"

/* Longest line before it is cut to the width, and the width of a bar. */
#define LINE_BYTES_MAX 4096
#define BAR_COLUMNS 16
/* Below this width a bar leaves no room for words. */
#define BAR_MIN_WIDTH 60
/* Fewer columns of a name, or of words, say nothing. */
#define NAME_MIN 10

enum color { COLOR_NONE, COLOR_GREEN, COLOR_RED, COLOR_YELLOW, COLOR_DIM, COLOR_CYAN };

static const char *const color_codes[] = {"", "\033[32m", "\033[31m", "\033[33m", "\033[2m", "\033[36m"};

/* Adds mark, a space and rest, all cut to the width; only the mark is coloured, so cutting meets no escape sequence. */
static void add_line(const char *mark, enum color color, const char *rest, const struct show_style *style,
		     struct buf *out) {
	bool is_colored = style->has_color && color != COLOR_NONE;
	if (is_colored) buf_adds(out, color_codes[color]);
	buf_adds(out, mark);
	if (is_colored) buf_adds(out, "\033[0m");
	buf_addc(out, ' ');
	size_t used = show_columns(mark) + 1;
	size_t room = style->width > used ? style->width - used : 0;
	buf_add(out, rest, style->width ? show_fit(rest, room) : strlen(rest));
}

static const char *spinner(const struct show_style *style, unsigned frame) {
	static const char *const utf8[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
	static const char *const ascii[] = {"-", "\\", "|", "/"};
	return style->is_utf8 ? utf8[frame % 10] : ascii[frame % 4];
}

static void add_bar(const struct step_view *step, const struct show_style *style, struct buf *out) {
	int64_t done = step->done < 0 ? 0 : step->done > step->total ? step->total : step->done;
	int64_t filled = (int64_t)((double)done / (double)step->total * BAR_COLUMNS);
	if (!style->is_utf8) buf_addc(out, '[');
	for (int64_t i = 0; i < BAR_COLUMNS; i++)
		buf_adds(out, i < filled ? (style->is_utf8 ? "━" : "#") : (style->is_utf8 ? "─" : "."));
	if (!style->is_utf8) buf_addc(out, ']');
	buf_addf(out, " %3d%%  ", (int)((double)done / (double)step->total * 100));
}

/* "40 s, 2 min 00 s left". */
static void add_time(const struct step_view *step, int64_t elapsed_ms, struct buf *out) {
	char text[SHOW_DURATION_SIZE];
	buf_adds(out, show_seconds(elapsed_ms, text));
	if (step->left_ms <= 0 || step->waiting_for[0] || step->is_bytes) return; /* the count of bytes says it */
	buf_addf(out, ", %s left", show_seconds(step->left_ms + 999, text));
}

/* What a running step does, in words. */
static void add_doing(const struct step_view *step, struct buf *out) {
	char doing[STEP_DOING_SIZE];
	show_clean(*step_view_doing(step, doing) ? doing : "looking at what is there", out);
	if (step->attempt > 1) buf_addf(out, " (attempt %u)", step->attempt);
}

/* Adds as much of text as fits into *room columns, and what follows it whole; takes both from *room. */
static void add_fitting(const char *text, const char *after, size_t *room, struct buf *out) {
	size_t tail = show_columns(after), wide = show_columns(text);
	if (*room <= tail) return;
	size_t n = show_fit(text, *room - tail);
	while (n && text[n] && text[n - 1] == ' ') n--;
	buf_add(out, text, n);
	buf_adds(out, after);
	wide = wide < *room - tail ? wide : *room - tail;
	*room -= wide + tail;
}

static void add_running(const struct step_view *step, const char *lead, const struct show_style *style,
			const char *words, const char *time, struct buf *out) {
	AUTO_BUF struct buf name = BUF_INIT(LINE_BYTES_MAX), bar = BUF_INIT(LINE_BYTES_MAX);
	size_t room = style->width ? style->width - 2 : LINE_BYTES_MAX, time_room = show_columns(time) + 2;
	show_clean(step->name, &name);
	if (step->is_background && (!style->width || style->width >= BAR_MIN_WIDTH)) buf_adds(&name, " (background)");
	/* how long bytes still take is worth more than how long they took */
	size_t need = step->is_bytes ? show_columns(buf_str(&name)) + show_columns(words) + 2 : NAME_MIN;
	bool has_time = room > time_room + need;
	if (has_time) room -= time_room;
	if (step->total > 0 && !step->waiting_for[0] && (!style->width || style->width >= BAR_MIN_WIDTH))
		add_bar(step, style, &bar);
	add_fitting(lead, "", &room, out);
	/* a name leaves half of a narrow line to what the step does */
	size_t name_room = room / 2 > NAME_MIN ? room / 2 : room;
	size_t before = name_room;
	add_fitting(buf_str(&name), "", &name_room, out);
	room -= before - name_room;
	if (room > 2 && words[0]) {
		add_fitting("", "  ", &room, out);
		if (room >= show_columns(buf_str(&bar)) + NAME_MIN) add_fitting(buf_str(&bar), "", &room, out);
		add_fitting(words, "", &room, out);
	}
	if (has_time) buf_addf(out, "  %s", time);
}

void show_running(const struct step_view *step, const char *lead, const struct show_style *style, int64_t now_ms,
		  unsigned frame, struct buf *out) {
	AUTO_BUF struct buf words = BUF_INIT(LINE_BYTES_MAX), time = BUF_INIT(LINE_BYTES_MAX),
			    rest = BUF_INIT(2 * LINE_BYTES_MAX);
	int64_t elapsed_ms = now_ms > step->started_at_ms ? now_ms - step->started_at_ms : 0;
	add_doing(step, &words);
	add_time(step, elapsed_ms, &time);
	add_running(step, lead, style, buf_str(&words), buf_str(&time), &rest);
	add_line(spinner(style, frame), step->waiting_for[0] ? COLOR_YELLOW : COLOR_CYAN, buf_str(&rest), style, out);
}

void show_overall(const struct run_view *view, const struct show_style *style, int64_t now_ms, struct buf *out) {
	AUTO_BUF struct buf rest = BUF_INIT(LINE_BYTES_MAX);
	char took[SHOW_DURATION_SIZE];
	int64_t elapsed_ms = now_ms > view->started_at_ms ? now_ms - view->started_at_ms : 0;
	buf_addf(&rest, "%zu/%zu %d%%  %s", view->done, view->total, view->percent, show_seconds(elapsed_ms, took));
	if (view->has_gone_ready) buf_adds(&rest, "  ready; background steps go on");
	add_line(" ", COLOR_NONE, buf_str(&rest), style, out);
}

struct mark {
	const char *utf8, *ascii;
	enum color color;
};

static struct mark mark_of(enum step_status status) {
	switch (status) {
	case STEP_PENDING: return (struct mark){"·", ".", COLOR_DIM};
	case STEP_RUNNING: return (struct mark){"▸", ">", COLOR_CYAN};
	case STEP_OK: return (struct mark){"✓", "=", COLOR_DIM};
	case STEP_CHANGED: return (struct mark){"✓", "+", COLOR_GREEN};
	case STEP_FAILED: return (struct mark){"✗", "x", COLOR_RED};
	case STEP_WARNED: return (struct mark){"!", "!", COLOR_YELLOW};
	case STEP_SKIPPED: return (struct mark){"–", "-", COLOR_DIM};
	}
	return (struct mark){"?", "?", COLOR_NONE};
}

void show_outcome(const struct step_view *step, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	(void)show_duration(step->ended_at_ms - step->started_at_ms, took);
	switch (step->status) {
	case STEP_PENDING: show_clean(step->text[0] ? step->text : "not run", out); break;
	case STEP_RUNNING: add_doing(step, out); break;
	case STEP_OK: buf_adds(out, "in place"); break;
	case STEP_CHANGED:
		buf_addf(out, "changed in %s%s", took, step->text[0] ? ": " : "");
		show_clean(step->text, out);
		break;
	case STEP_FAILED:
	case STEP_WARNED:
		buf_addf(out, "failed after %s: ", took);
		show_clean(step->error, out);
		break;
	case STEP_SKIPPED:
		buf_adds(out, "skipped: ");
		show_clean(step->text, out);
		break;
	}
}

void show_step(const struct step_view *step, const char *lead, const char *pending, const struct show_style *style,
	       int64_t now_ms, struct buf *out) {
	AUTO_BUF struct buf rest = BUF_INIT(LINE_BYTES_MAX);
	struct mark mark = mark_of(step->status);
	char took[SHOW_DURATION_SIZE];
	buf_adds(&rest, lead);
	show_clean(step->name, &rest);
	switch (step->status) {
	case STEP_PENDING:
		if (step->is_background) buf_adds(&rest, " (background)");
		if (*pending) buf_addf(&rest, "  %s", pending);
		break;
	case STEP_RUNNING:
		buf_addf(&rest, "  %s  ", show_seconds(now_ms - step->started_at_ms, took));
		add_doing(step, &rest);
		break;
	case STEP_OK: buf_adds(&rest, "  in place"); break;
	case STEP_CHANGED:
	case STEP_FAILED:
	case STEP_WARNED:
		buf_addf(&rest, "  %s", show_duration(step->ended_at_ms - step->started_at_ms, took));
		if (step->error[0] || step->text[0]) buf_adds(&rest, "  ");
		show_clean(step->error[0] ? step->error : step->text, &rest);
		break;
	case STEP_SKIPPED:
		buf_adds(&rest, "  skipped: ");
		show_clean(step->text, &rest);
		break;
	}
	add_line(style->is_utf8 ? mark.utf8 : mark.ascii, mark.color, buf_str(&rest), style, out);
}
