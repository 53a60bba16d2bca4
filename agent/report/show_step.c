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
/* An ETA from less work than this jumps about. */
#define ETA_MIN_MS 3000

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

static void add_time(const struct step_view *step, int64_t elapsed_ms, int64_t worked_ms, struct buf *out) {
	char text[SHOW_DURATION_SIZE];
	buf_addf(out, "  %s", show_seconds(elapsed_ms, text));
	if (step->total <= 0 || step->done <= 0 || step->done >= step->total || worked_ms < ETA_MIN_MS) return;
	if (step->waiting_for[0] || step->is_bytes) return; /* its count says it */
	int64_t left_ms = (int64_t)((double)worked_ms * (double)(step->total - step->done) / (double)step->done);
	buf_addf(out, ", %s left", show_seconds(left_ms + 999, text));
}

/* What a running step does, in words. */
static void add_doing(const struct step_view *step, struct buf *out) {
	char doing[STEP_DOING_SIZE];
	show_clean(*step_view_doing(step, doing) ? doing : "looking at what is there", out);
	if (step->attempt > 1) buf_addf(out, " (attempt %u)", step->attempt);
}

void show_running(const struct step_view *step, const struct show_style *style, int64_t now_ms, unsigned frame,
		  struct buf *out) {
	AUTO_BUF struct buf left = BUF_INIT(LINE_BYTES_MAX), right = BUF_INIT(LINE_BYTES_MAX);
	int64_t elapsed_ms = now_ms > step->started_at_ms ? now_ms - step->started_at_ms : 0;
	int64_t worked_ms = elapsed_ms - step->waited_ms - step->waiting_ms;
	show_clean(step->name, &left);
	buf_adds(&left, "  ");
	if (step->total > 0 && !step->waiting_for[0] && (style->width == 0 || style->width >= BAR_MIN_WIDTH))
		add_bar(step, style, &left);
	add_doing(step, &left);
	add_time(step, elapsed_ms, worked_ms, &right);
	if (style->width) { /* the time is kept whole, the words are cut */
		size_t used = 2 + show_columns(buf_str(&right));
		buf_cut(&left, show_fit(buf_str(&left), style->width > used ? style->width - used : 0));
		while (left.len && left.data[left.len - 1] == ' ') buf_cut(&left, left.len - 1);
	}
	buf_adds(&left, buf_str(&right));
	add_line(spinner(style, frame), step->waiting_for[0] ? COLOR_YELLOW : COLOR_CYAN, buf_str(&left), style, out);
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

void show_step(const struct step_view *step, const struct show_style *style, int64_t now_ms, struct buf *out) {
	AUTO_BUF struct buf rest = BUF_INIT(LINE_BYTES_MAX);
	struct mark mark = mark_of(step->status);
	char took[SHOW_DURATION_SIZE];
	show_clean(step->name, &rest);
	switch (step->status) {
	case STEP_PENDING: break;
	case STEP_RUNNING:
		buf_addf(&rest, "  %s  ", show_seconds(now_ms - step->started_at_ms, took));
		add_doing(step, &rest);
		break;
	case STEP_OK: buf_adds(&rest, "  in place"); break;
	case STEP_CHANGED:
	case STEP_FAILED:
	case STEP_WARNED:
		buf_addf(&rest, "  %s  ", show_duration(step->ended_at_ms - step->started_at_ms, took));
		show_clean(step->error[0] ? step->error : step->text, &rest);
		break;
	case STEP_SKIPPED:
		buf_adds(&rest, "  skipped: ");
		show_clean(step->text, &rest);
		break;
	}
	add_line(style->is_utf8 ? mark.utf8 : mark.ascii, mark.color, buf_str(&rest), style, out);
}
