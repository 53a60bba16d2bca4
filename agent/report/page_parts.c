#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/lines.h"
#include "report/page.h"
#include "report/show.h"
#include "report/told.h"

/* Room of the sections; with head, timeline and warnings they stay below TOLD_PAGE_MAX. */
#define ERRORS_ROOM (20 * 1024)
#define CHANGES_ROOM (32 * 1024)
#define INSTALLED_ROOM (28 * 1024)
#define ITEM_MAX (24 * 1024)
/* Of a failed step's log. */
#define TAIL_BYTES_MAX 4096
#define TAIL_LINES_MAX 30
#define BLAME_MAX 8
/* Lists of no more steps are open from the start. */
#define OPEN_MAX 3

static const char *last_lines(const char *text, size_t max) {
	size_t lines = 0;
	const char *at = text + strlen(text);
	for (; at > text; at--)
		if (at[-1] == '\n' && at[0] && lines++ == max) break;
	return at;
}

/* The end of a step's log; a log that is gone is no news. */
static void add_tail(const struct told *told, const struct step_view *v, struct buf *out) {
	AUTO_BUF struct buf tail = BUF_INIT(TAIL_BYTES_MAX + 1);
	struct err ignored = {0};
	if (!v->log_path[0]) return;
	if (!lines_tail(told->root, v->log_path, TAIL_BYTES_MAX, &tail, &ignored) && tail.len) {
		buf_adds(out, "<pre>");
		page_lines(last_lines(buf_str(&tail), TAIL_LINES_MAX), out);
		buf_adds(out, "</pre>");
	}
	buf_adds(out, "<p class=cut>the end of <code>");
	page_text(v->log_path, out);
	buf_adds(out, "</code></p>");
}

static void add_failure(const struct told *told, size_t index, struct buf *out) {
	const struct step_view *v = &told->story.view.steps[index];
	bool is_optional = v->status == STEP_WARNED;
	buf_addf(out, "<section class=\"card %s\"><h2>%s %zu ‘", is_optional ? "warn" : "bad",
		 is_optional ? "Optional step" : "Step", index + 1);
	page_text(v->name, out);
	buf_adds(out, "’ failed</h2><p>");
	page_text(v->error, out);
	buf_adds(out, "</p>");
	add_tail(told, v, out);
	buf_adds(out, "</section>\n");
}

/* "next: `sudo dsagent apply` …": what the terminal says last. */
static void add_next(const struct told *told, struct buf *out) {
	AUTO_BUF struct buf text = BUF_INIT(ITEM_MAX);
	show_summary(&told->story.view, told->is_system, &text);
	const char *next = strstr(buf_str(&text), "next: ");
	if (!next) return;
	buf_adds(out, "<section class=\"card bad\"><h2>What to do</h2>");
	if (told->story.view.status == RUN_INTERRUPTED && told->story.view.error[0]) {
		buf_adds(out, "<p>");
		page_text(told->story.view.error, out);
		buf_adds(out, "</p>");
	}
	buf_adds(out, "<p>");
	page_text(next + strlen("next: "), out);
	buf_adds(out, "</p></section>\n");
}

void page_errors(const struct told *told, enum step_status status, struct buf *out) {
	AUTO_BUF struct buf section = BUF_INIT(ERRORS_ROOM);
	const struct run_view *v = &told->story.view;
	size_t left_out = 0;
	for (size_t i = 0; i < v->count; i++) {
		if (v->steps[i].status != status) continue;
		AUTO_BUF struct buf item = BUF_INIT(ITEM_MAX);
		add_failure(told, i, &item);
		if (!page_fit(&section, &item, ERRORS_ROOM)) left_out++;
	}
	buf_add(out, buf_str(&section), section.len);
	page_left_out(left_out, "steps that failed: dsagent status", out);
	if (status == STEP_FAILED) add_next(told, out);
}

static void add_sum(const char *name, int kind, int64_t ms, int64_t most_ms, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	if (!ms) return;
	buf_addf(out,
		 "<div class=sum><span>%s</span><div class=track><div class=\"bar k%d\" "
		 "style=\"left:0;width:%.1f%%\">%s</div></div><span class=n>%s</span></div>",
		 name, kind, 100.0 * (double)ms / (double)most_ms,
		 kind == (int)STORY_KINDS ? "<i class=w style=\"left:0;width:100%\"></i>" : "",
		 show_duration(ms, took));
}

static void add_blame(const struct told *told, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	const struct story *story = &told->story;
	size_t *order = arena_alloc(&arena, (story->view.count + 1) * sizeof *order), count = story_blame(story, order);
	char took[SHOW_DURATION_SIZE];
	buf_adds(out, "<section class=card><h2>The longest steps</h2><ol class=blame>");
	for (size_t i = 0; i < count && i < BLAME_MAX; i++) {
		const struct story_step *s = &story->steps[order[i]];
		AUTO_BUF struct buf apart = BUF_INIT(ITEM_MAX);
		told_apart(s, &apart);
		buf_addf(out, "<li><span class=n>%s</span><span>", show_duration(s->to_ms - s->from_ms, took));
		page_text(s->view->name, out);
		if (apart.len) buf_adds(out, "<br><small>");
		page_text(buf_str(&apart), out);
		buf_adds(out, apart.len ? "</small></span></li>" : "</span></li>");
	}
	buf_adds(out, "</ol>");
	page_left_out(count > BLAME_MAX ? count - BLAME_MAX : 0, "steps", out);
	buf_adds(out, "</section>");
}

void page_sums(const struct told *told, struct buf *out) {
	struct story_sums sums;
	int64_t most_ms;
	story_sum(&told->story, &sums);
	most_ms = sums.waited_ms;
	for (int k = 0; k < (int)STORY_KINDS; k++)
		if (sums.kinds_ms[k] > most_ms) most_ms = sums.kinds_ms[k];
	buf_adds(out, "<div class=two><section class=card><h2>Where the time went"
		      "<small>steps side by side count each</small></h2>");
	add_sum("waiting", (int)STORY_KINDS, sums.waited_ms, most_ms, out);
	for (int k = 0; k < (int)STORY_KINDS; k++)
		add_sum(story_kind_name((enum story_kind)k), k, sums.kinds_ms[k], most_ms, out);
	buf_adds(out, "</section>");
	add_blame(told, out);
	buf_adds(out, "</div>\n");
}

static void add_changes(const struct told *told, size_t index, bool is_open, struct buf *out) {
	const struct story_step *s = &told->story.steps[index];
	char took[SHOW_DURATION_SIZE];
	size_t count = s->change_count + s->changes_left_out;
	buf_addf(out, "<details%s><summary><b>", is_open ? " open" : "");
	page_text(s->view->name, out);
	buf_adds(out, "</b><span class=first>");
	page_text(s->changes[0].what, out);
	buf_addf(out, "</span><small class=n>%zu change%s &middot; %s</small></summary><ul class=plain>", count,
		 count == 1 ? "" : "s", show_duration(s->to_ms - s->from_ms, took));
	for (size_t i = 0; i < s->change_count; i++) {
		buf_adds(out, "<li>");
		page_text(s->changes[i].what, out);
		if (s->changes[i].diff) {
			buf_adds(out, "<pre>");
			page_lines(s->changes[i].diff, out);
			buf_adds(out, "</pre>");
		}
		buf_adds(out, "</li>");
	}
	buf_adds(out, "</ul>");
	page_left_out(s->changes_left_out, "changes: events.jsonl has them all", out);
	buf_adds(out, "</details>");
}

void page_changes(const struct told *told, struct buf *out) {
	AUTO_BUF struct buf section = BUF_INIT(CHANGES_ROOM);
	size_t left_out = 0, changed = 0;
	for (size_t i = 0; i < told->story.view.count; i++) changed += told->story.steps[i].change_count > 0;
	for (size_t i = 0; i < told->story.view.count; i++) {
		if (!told->story.steps[i].change_count) continue;
		AUTO_BUF struct buf item = BUF_INIT(ITEM_MAX);
		add_changes(told, i, changed <= OPEN_MAX, &item);
		if (!page_fit(&section, &item, CHANGES_ROOM)) left_out++;
	}
	if (!changed) return;
	buf_adds(out, "<section class=card><h2>What changed</h2>");
	buf_add(out, buf_str(&section), section.len);
	page_left_out(left_out, "steps with changes: dsagent report --json", out);
	buf_adds(out, "</section>\n");
}

/* One list of names with versions. */
struct listing {
	struct buf items;
	size_t count, left_out, room;
};

static void add_item(const char *name, const struct js *value, void *arg) {
	struct listing *l = arg;
	AUTO_BUF struct buf item = BUF_INIT(ITEM_MAX);
	const char *version = js_str(value) ? js_str(value) : js_get_str(value, "version");
	l->count++;
	buf_adds(&item, "<li>");
	page_text(name, &item);
	buf_adds(&item, "<span>");
	page_text(version ? version : "", &item);
	buf_adds(&item, "</span></li>");
	if (!page_fit(&l->items, &item, l->room)) l->left_out++;
}

static void add_listing(const char *title, const struct js *names, size_t *room, struct buf *out) {
	struct listing l = {.items = BUF_INIT(INSTALLED_ROOM), .room = *room / 2};
	js_each(names, add_item, &l);
	if (l.count) {
		buf_adds(out, "<details><summary><b>");
		page_text(title, out);
		buf_addf(out, "</b><small class=n>%zu</small></summary><ul class=\"plain cols\">", l.count);
		buf_add(out, buf_str(&l.items), l.items.len);
		buf_adds(out, "</ul>");
		page_left_out(l.left_out, "in manifest.json", out);
		buf_adds(out, "</details>");
		*room -= l.items.len;
	}
	buf_clear(&l.items);
}

struct installed {
	struct buf *out;
	size_t *room;
};

static void add_venv(const char *path, const struct js *venv, void *arg) {
	const struct installed *in = arg;
	AUTO_ARENA struct arena arena = {0};
	const char *python = js_get_str(venv, "python");
	add_listing(arena_printf(&arena, "%s: Python %s", path, python ? python : ""), js_get(venv, "distributions"),
		    in->room, in->out);
}

static void add_library(const char *path, const struct js *names, void *arg) {
	const struct installed *in = arg;
	AUTO_ARENA struct arena arena = {0};
	add_listing(arena_printf(&arena, "R: %s", path), names, in->room, in->out);
}

void page_installed(const struct told *told, struct buf *out) {
	AUTO_BUF struct buf lists = BUF_INIT(2 * INSTALLED_ROOM);
	size_t room = INSTALLED_ROOM;
	struct installed in = {&lists, &room};
	const char *run_id = told->manifest ? js_get_str(told->manifest, "run_id") : NULL;
	if (!told->manifest) return;
	add_listing("Packages", js_get(told->manifest, "packages"), &room, &lists);
	js_each(js_get(told->manifest, "venvs"), add_venv, &in);
	js_each(js_get(told->manifest, "r"), add_library, &in);
	if (!lists.len) return;
	buf_adds(out, "<section class=card><h2>Installed<small>");
	if (str_eq(run_id, told->story.view.run_id))
		buf_adds(out, "manifest.json of this run");
	else {
		buf_adds(out, "manifest.json of run ");
		page_text(run_id ? run_id : "?", out);
	}
	buf_adds(out, "</small></h2>");
	buf_add(out, buf_str(&lists), lists.len);
	buf_adds(out, "</section>\n");
}
