#include "report/told.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "report/show.h"

/* Steps in the terminal's list of the longest, and phases in words beside one. */
#define BLAME_MAX 15
#define APART_MAX 2
#define LINE_BYTES_MAX 4096
/* Less of a step's time is not worth a word. */
#define APART_MIN_MS 500

void told_headline(const struct told *told, struct buf *out) {
	const struct run_view *v = &told->story.view;
	char took[SHOW_DURATION_SIZE];
	bool is_ready = v->ready_at_ms && v->status != RUN_FAILED && v->status != RUN_INTERRUPTED;
	if (is_ready && told->has_boot && told->boot.launched_at_ms)
		buf_addf(out, "%s %s after launch", v->warnings ? "ready with warnings" : "ready",
			 show_duration(v->ready_at_ms - told->boot.launched_at_ms, took));
	else if (is_ready)
		buf_addf(out, "%s in %s", v->warnings ? "ready with warnings" : "ready",
			 show_duration(v->ready_at_ms - v->started_at_ms, took));
	else
		buf_addf(out, "%s %s %s", run_status_name(v->status), v->status == RUN_RUNNING ? "for" : "after",
			 show_duration(told->story.length_ms, took));
}

int64_t told_zero_ms(const struct told *told) {
	if (told->has_boot && told->boot.launched_at_ms) return told->boot.launched_at_ms;
	if (told->has_boot && told->boot.booted_at_ms) return told->boot.booted_at_ms;
	return told->story.view.started_at_ms;
}

int64_t told_at_ms(const struct told *told, int64_t since_ms) {
	return told->story.view.started_at_ms - told_zero_ms(told) + since_ms;
}

int64_t told_length_ms(const struct told *told) {
	int64_t length_ms = told_at_ms(told, told->story.length_ms);
	for (size_t i = 0; told->has_boot && i < told->boot.count; i++) {
		int64_t end_ms = told->boot.phases[i].to_ms - told_zero_ms(told);
		if (end_ms > length_ms) length_ms = end_ms;
	}
	return length_ms > 0 ? length_ms : 1;
}

/* The longest waits by what they were for. */
static void add_waits(const struct story_step *step, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	size_t said = 0;
	int64_t told_ms = 0;
	for (size_t i = 0; i < step->stretch_count && said < APART_MAX; i++) {
		const struct story_stretch *s = &step->stretches[i];
		if (s->doing != STORY_WAITING || s->to_ms - s->from_ms < APART_MIN_MS) continue;
		buf_addf(out, "%s%s for ", said++ ? ", " : "waited ", show_duration(s->to_ms - s->from_ms, took));
		show_clean(s->what, out);
		told_ms += s->to_ms - s->from_ms;
	}
	int64_t rest_ms = step->waited_ms - told_ms;
	if (rest_ms < APART_MIN_MS) return;
	buf_addf(out, said ? ", %s in other waits" : "waited %s", show_duration(rest_ms, took));
}

void told_apart(const struct story_step *step, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	size_t before = out->len;
	add_waits(step, out);
	if (step->fetched_ms >= APART_MIN_MS)
		buf_addf(out, "%sfetched for %s", out->len > before ? ", " : "", show_duration(step->fetched_ms, took));
}

static void add_row(int64_t ms, const char *text, const struct show_style *style, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	buf_addf(out, "%13s  ", show_duration(ms, took));
	size_t room = style->width > 15 ? style->width - 15 : 1;
	buf_add(out, text, style->width ? show_fit(text, room) : strlen(text));
	buf_addc(out, '\n');
}

static void add_boot(const struct told *told, const struct show_style *style, struct buf *out) {
	const struct run_view *v = &told->story.view;
	int64_t last_ms = told_zero_ms(told), until_ms = v->ready_at_ms ? v->ready_at_ms : v->ended_at_ms;
	if (!told->has_boot) return;
	buf_addf(out, "\nfrom %s\n", told->boot.launched_at_ms ? "launch" : "the start of the kernel");
	for (size_t i = 0; i < told->boot.count; i++) {
		const struct boot_phase *p = &told->boot.phases[i];
		add_row(p->to_ms - p->from_ms, p->name, style, out);
		if (p->to_ms > last_ms) last_ms = p->to_ms;
	}
	if (v->started_at_ms - last_ms >= APART_MIN_MS)
		add_row(v->started_at_ms - last_ms, "until dsagent began", style, out);
	if (until_ms > v->started_at_ms)
		add_row(until_ms - v->started_at_ms,
			v->ready_at_ms ? "dsagent, until it was ready" : "dsagent, until it ended", style, out);
}

static void add_sums(const struct told *told, const struct show_style *style, struct buf *out) {
	struct story_sums sums;
	story_sum(&told->story, &sums);
	buf_adds(out, "\nwhere the time went (steps side by side count each)\n");
	if (sums.waited_ms) add_row(sums.waited_ms, "waiting", style, out);
	for (int k = 0; k < (int)STORY_KINDS; k++)
		if (sums.kinds_ms[k]) add_row(sums.kinds_ms[k], story_kind_name((enum story_kind)k), style, out);
}

static void add_blame(const struct told *told, const struct show_style *style, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	const struct story *story = &told->story;
	size_t *order = arena_alloc(&arena, (story->view.count + 1) * sizeof *order), count = story_blame(story, order);
	if (!count) return;
	buf_adds(out, "\nthe longest steps\n");
	for (size_t i = 0; i < count && i < BLAME_MAX; i++) {
		const struct story_step *s = &story->steps[order[i]];
		AUTO_BUF struct buf line = BUF_INIT(LINE_BYTES_MAX), apart = BUF_INIT(LINE_BYTES_MAX);
		show_clean(s->view->name, &line);
		told_apart(s, &apart);
		if (apart.len) buf_addf(&line, ": %s", buf_str(&apart));
		add_row(s->to_ms - s->from_ms, buf_str(&line), style, out);
	}
	if (count > BLAME_MAX) buf_addf(out, "%13s  and %zu more\n", "", count - BLAME_MAX);
}

static void add_warnings(const struct story *story, struct buf *out) {
	if (story->warning_count) buf_addc(out, '\n');
	for (size_t i = 0; i < story->warning_count; i++) {
		buf_adds(out, "warning: ");
		show_clean(story->warnings[i], out);
		buf_addc(out, '\n');
	}
	if (story->warnings_left_out) buf_addf(out, "and %zu more warnings\n", story->warnings_left_out);
}

void told_print(const struct told *told, const struct show_style *style, struct buf *out) {
	const struct run_view *v = &told->story.view;
	char iso[CLOCK_ISO8601_SIZE];
	show_clean(v->recipe, out);
	buf_adds(out, "  ");
	told_headline(told, out);
	buf_addf(out, "\nrun %s began at %s\n", v->run_id, clock_iso8601(v->started_at_ms, iso));
	add_boot(told, style, out);
	add_sums(told, style, out);
	add_blame(told, style, out);
	add_warnings(&told->story, out);
	if (told->story.damaged) buf_addf(out, "\n%zu lines of events.jsonl could not be read\n", told->story.damaged);
	buf_addc(out, '\n');
	show_summary(v, told->is_system, out);
}
