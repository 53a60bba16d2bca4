/*
 * One page without anything from outside: no script, no font, no picture; the policy in its head forbids them to the
 * browser too. Light or dark as the reader's system has it.
 */
#include "report/page.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "report/show.h"
#include "report/told.h"

#define TEXT_MAX (64 * 1024)

void page_text(const char *text, struct buf *out) {
	AUTO_BUF struct buf clean = BUF_INIT(TEXT_MAX);
	show_clean(text, &clean);
	for (const char *s = buf_str(&clean); *s; s++) {
		switch (*s) {
		case '&': buf_adds(out, "&amp;"); break;
		case '<': buf_adds(out, "&lt;"); break;
		case '>': buf_adds(out, "&gt;"); break;
		case '"': buf_adds(out, "&quot;"); break;
		case '\'': buf_adds(out, "&#39;"); break;
		default: buf_addc(out, *s);
		}
	}
}

void page_lines(const char *text, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	while (*text) {
		size_t n = strcspn(text, "\n");
		page_text(arena_dup(&arena, text, n), out);
		buf_addc(out, '\n');
		text += n + (text[n] == '\n');
	}
}

bool page_fit(struct buf *section, const struct buf *item, size_t room) {
	if (item->has_overflowed || section->len + item->len > room) return false;
	buf_add(section, buf_str(item), item->len);
	return true;
}

void page_left_out(size_t count, const char *what, struct buf *out) {
	if (count) buf_addf(out, "<p class=cut>and %zu more %s</p>", count, what);
}

const char *page_mark(const struct told *told, size_t step, const char **ret_class) {
	static const struct {
		const char *mark, *class;
	} marks[] = {{"·", ""}, {"▸", ""}, {"✓", ""}, {"✓", "good"}, {"✗", "bad"}, {"!", "warn"}, {"–", ""}};
	enum step_status status = told->story.view.steps[step].status;
	*ret_class = marks[status].class;
	return marks[status].mark;
}

static const char *state_class(const struct run_view *v) {
	switch (v->status) {
	case RUN_READY: return "good";
	case RUN_READY_WITH_WARNINGS: return "warn";
	case RUN_FAILED:
	case RUN_INTERRUPTED: return "bad";
	case RUN_RUNNING:
	case RUN_REBOOTING: return "busy";
	}
	return "busy";
}

static void add_fact(const char *name, const char *value, struct buf *out) {
	if (str_is_empty(value)) return;
	buf_addf(out, "<div><dt>%s</dt><dd>", name);
	page_text(value, out);
	buf_adds(out, "</dd></div>");
}

/* The sentence of terminal and tags, without the hints of what to type: those stand with the errors. */
static void add_sentence(const struct told *told, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX);
	show_summary(&told->story.view, told->is_system, &text);
	const char *line = arena_dup(&arena, buf_str(&text), strcspn(buf_str(&text), "\n"));
	if (!*line) return;
	buf_adds(out, "<p class=soft>");
	page_text(line, out);
	buf_adds(out, "</p>");
}

static void add_head(const struct told *told, const char *title, struct buf *out) {
	const struct run_view *v = &told->story.view;
	char iso[CLOCK_ISO8601_SIZE];
	buf_adds(out, "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
		      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
		      "'unsafe-inline'; img-src data:\">\n"
		      "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
		      "<link rel=icon href=\"data:,\">\n<title>");
	page_text(v->recipe, out);
	buf_adds(out, ": ");
	page_text(title, out);
	buf_addf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<header>\n", page_css);
	buf_addf(out, "<div class=\"state %s\">%s</div>\n<h1>", state_class(v), run_status_name(v->status));
	page_text(title, out);
	buf_adds(out, "</h1>\n");
	add_sentence(told, out);
	buf_adds(out, "\n<dl class=facts>");
	add_fact("recipe", v->recipe, out);
	add_fact("machine", told->machine, out);
	add_fact("run", v->run_id, out);
	add_fact("began", clock_iso8601(v->started_at_ms, iso), out);
	add_fact("GPU", v->gpu, out);
	buf_adds(out, "</dl>\n</header>\n");
}

static void add_warnings(const struct story *story, struct buf *out) {
	if (!story->warning_count) return;
	buf_adds(out, "<section class=\"card warn\"><h2>Warnings</h2><ul class=plain>");
	for (size_t i = 0; i < story->warning_count; i++) {
		buf_adds(out, "<li>");
		page_text(story->warnings[i], out);
		buf_adds(out, "</li>");
	}
	buf_adds(out, "</ul>");
	page_left_out(story->warnings_left_out, "warnings", out);
	buf_adds(out, "</section>\n");
}

static void add_foot(const struct told *told, struct buf *out) {
	char iso[CLOCK_ISO8601_SIZE];
	buf_addf(out, "<footer>dsagent %s &middot; %zu events", told->story.view.version, told->story.events);
	if (told->story.damaged) buf_addf(out, ", %zu lines could not be read", told->story.damaged);
	buf_addf(out, " &middot; made %s</footer>\n</main>\n</body>\n</html>\n", clock_iso8601(clock_now_ms(), iso));
}

void told_page(const struct told *told, struct buf *out) {
	AUTO_BUF struct buf title = BUF_INIT(TEXT_MAX);
	told_headline(told, &title);
	add_head(told, buf_str(&title), out);
	page_errors(told, STEP_FAILED, out);
	page_timeline(told, out);
	page_errors(told, STEP_WARNED, out);
	add_warnings(&told->story, out);
	page_sums(told, out);
	page_changes(told, out);
	page_installed(told, out);
	add_foot(told, out);
}
