#include "base/arena.h"
#include "base/buf.h"
#include "report/page.h"
#include "report/show.h"
#include "report/told.h"

/* Room of the section. */
#define ROOM (64 * 1024)
#define ROW_MAX (16 * 1024)
/* Stretches drawn in one bar: more are not to be told apart. */
#define DRAWN_MAX 24
/* Ticks of the axis at most. */
#define TICKS_MAX 8

static double share(const struct told *told, int64_t ms) { return 100.0 * (double)ms / (double)told_length_ms(told); }

static void add_span(const struct told *told, int64_t from_ms, int64_t length_ms, struct buf *out) {
	if (length_ms < 0) length_ms = 0;
	buf_addf(out, "left:%.2f%%;width:%.2f%%", share(told, from_ms), share(told, length_ms));
}

/* A round number of seconds or minutes, so that there are few ticks. */
static int64_t tick_ms(int64_t length_ms) {
	static const int steps_s[] = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200};
	for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++)
		if (length_ms / (1000LL * steps_s[i]) < TICKS_MAX) return 1000LL * steps_s[i];
	return (length_ms / 86400000 / TICKS_MAX + 1) * 86400000;
}

static void add_tick_text(int64_t ms, int64_t tick, struct buf *out) {
	int64_t s = ms / 1000;
	if (tick < 60000)
		buf_addf(out, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
	else if (tick < 3600000)
		buf_addf(out, "%lld min", (long long)(s / 60));
	else
		buf_addf(out, "%lld h", (long long)(s / 3600));
}

static void add_axis(const struct told *told, struct buf *out) {
	int64_t length_ms = told_length_ms(told), tick = tick_ms(length_ms);
	const struct run_view *v = &told->story.view;
	buf_adds(out, "<div class=axis>");
	for (int64_t at = 0; at <= length_ms; at += tick) {
		bool is_at_end = share(told, at) > 94;
		buf_addf(out, "<span%s style=\"left:%.2f%%\">", is_at_end ? " class=end" : "", share(told, at));
		add_tick_text(at, tick, out);
		buf_adds(out, "</span>");
	}
	buf_adds(out, "</div><div class=lines>");
	for (int64_t at = 0; at <= length_ms; at += tick)
		buf_addf(out, "<i style=\"left:%.2f%%\"></i>", share(told, at));
	if (v->ready_at_ms)
		buf_addf(out, "<i class=ready style=\"left:%.2f%%\"></i>",
			 share(told, v->ready_at_ms - told_zero_ms(told)));
	buf_adds(out, "</div>");
}

static void add_boot_row(const struct told *told, const struct boot_phase *p, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	(void)show_duration(p->to_ms - p->from_ms, took);
	buf_addf(out,
		 "<div class=\"row boot\"><div class=who><span class=mark></span><b>%s</b><span class=n>%s</span></div>"
		 "<div class=track><div class=\"bar boot\" title=\"%s: %s\" style=\"",
		 p->name, took, p->name, took);
	add_span(told, p->from_ms - told_zero_ms(told), p->to_ms - p->from_ms, out);
	buf_adds(out, "\"></div></div></div>\n");
}

/* Stretches lie within their bar, so their places are shares of it. */
static void add_stretches(const struct story_step *s, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	double whole = (double)(s->to_ms - s->from_ms);
	for (size_t i = 0; i < s->stretch_count && i < DRAWN_MAX && whole > 0; i++) {
		const struct story_stretch *x = &s->stretches[i];
		double from = 100.0 * (double)(x->from_ms - s->from_ms) / whole;
		double wide = 100.0 * (double)(x->to_ms - x->from_ms) / whole;
		if (from < 0 || from > 100 || wide < 0.2) continue;
		buf_addf(out, "<i class=%s style=\"left:%.1f%%;width:%.1f%%\" title=\"%s ",
			 x->doing == STORY_WAITING ? "w" : "f", from, wide > 100 - from ? 100 - from : wide,
			 show_duration(x->to_ms - x->from_ms, took));
		buf_adds(out, x->doing == STORY_WAITING ? "waiting for " : "");
		page_text(x->what, out);
		buf_adds(out, "\"></i>");
	}
}

static void add_step_row(const struct told *told, size_t index, struct buf *out) {
	const struct story_step *s = &told->story.steps[index];
	char took[SHOW_DURATION_SIZE] = "";
	const char *class, *mark = page_mark(told, index, &class);
	AUTO_BUF struct buf words = BUF_INIT(ROW_MAX);
	if (s->has_run) (void)show_duration(s->to_ms - s->from_ms, took);
	show_outcome(s->view, &words);
	buf_addf(out, "<div class=row><div class=who><span class=\"mark %s\">%s</span><b title=\"", class, mark);
	page_text(buf_str(&words), out);
	buf_adds(out, "\">");
	page_text(s->view->name, out);
	buf_addf(out, "</b><span class=n>%s</span></div><div class=track>", took);
	if (s->has_run) {
		const char *failed = s->view->status == STEP_FAILED   ? " failed"
				     : s->view->status == STEP_WARNED ? " failed warn"
								      : "";
		buf_addf(out, "<div class=\"bar k%d%s\" title=\"", (int)s->kind, failed);
		page_text(buf_str(&words), out);
		buf_adds(out, "\" style=\"");
		add_span(told, told_at_ms(told, s->from_ms), s->to_ms - s->from_ms, out);
		buf_adds(out, "\">");
		add_stretches(s, out);
		buf_adds(out, "</div>");
	}
	buf_adds(out, "</div></div>\n");
}

static void add_key(const struct told *told, struct buf *out) {
	struct story_sums sums;
	story_sum(&told->story, &sums);
	buf_adds(out, "<div class=key>");
	if (told->has_boot && told->boot.count) buf_adds(out, "<span><i class=boot></i>boot</span>");
	for (int k = 0; k < (int)STORY_KINDS; k++)
		if (sums.kinds_ms[k])
			buf_addf(out, "<span><i class=k%d></i>%s</span>", k, story_kind_name((enum story_kind)k));
	if (sums.waited_ms) buf_adds(out, "<span><i class=w></i>waiting</span>");
	if (told->story.view.ready_at_ms) buf_adds(out, "<span>┆ ready</span>");
	buf_adds(out, "</div>");
}

/* A run of hundreds of steps: those that failed or took longest get their row, in the order of the recipe. */
static void choose(const struct told *told, bool *chosen, size_t *ret_left_out) {
	AUTO_ARENA struct arena arena = {0};
	const struct story *story = &told->story;
	size_t *order = arena_alloc(&arena, (story->view.count + 1) * sizeof *order), ran = story_blame(story, order);
	size_t used = 0, in = 0;
	for (size_t pass = 0; pass < 3; pass++)
		for (size_t k = 0; k < (pass == 1 ? ran : story->view.count); k++) {
			size_t i = pass == 1 ? order[k] : k;
			bool has_failed = story->view.steps[i].status == STEP_FAILED ||
					  story->view.steps[i].status == STEP_WARNED;
			if (chosen[i] || (pass == 0 && !has_failed)) continue;
			AUTO_BUF struct buf row = BUF_INIT(ROW_MAX);
			add_step_row(told, i, &row);
			if (row.has_overflowed || used + row.len > ROOM) continue;
			used += row.len;
			chosen[i] = true;
			in++;
		}
	*ret_left_out = story->view.count - in;
}

void page_timeline(const struct told *told, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	size_t left_out = 0;
	bool *chosen = arena_alloc(&arena, told->story.view.count + 1);
	choose(told, chosen, &left_out);
	buf_addf(out, "<section class=card><h2>Timeline<small>%s</small></h2>\n<div class=chart>",
		 told->has_boot && told->boot.launched_at_ms ? "from launch"
		 : told->has_boot			     ? "from the start of the kernel"
							     : "from the begin of the run");
	add_axis(told, out);
	buf_adds(out, "<div class=rows>\n");
	for (size_t i = 0; told->has_boot && i < told->boot.count; i++) add_boot_row(told, &told->boot.phases[i], out);
	for (size_t i = 0; i < told->story.view.count; i++)
		if (chosen[i]) add_step_row(told, i, out);
	buf_adds(out, "</div></div>\n");
	page_left_out(left_out, "steps, none of them failed and none among the longest", out);
	add_key(told, out);
	buf_adds(out, "</section>\n");
}
