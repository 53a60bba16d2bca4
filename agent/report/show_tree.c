#include "report/show_tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "report/show.h"

/* Deeper branches stand where these do: a narrow window has no room for more. */
#define DEPTH_MAX 4
/* Three columns a level, at most ten bytes, and the NUL. */
#define RAILS_SIZE (DEPTH_MAX * 10 + 1)
#define WORDS_MAX 1024
/* The line of all, a question, and the row that the cursor is in. */
#define ROWS_BESIDE 3

struct branch {
	size_t parent;	 /* view->count: none */
	size_t children; /* how many */
};

struct drawing {
	const struct run_view *view;
	const struct show_style *style;
	int64_t now_ms;
	unsigned frame;
	const struct branch *branches;
	struct buf *out;
};

static bool is_over(const struct step_view *s) { return s->status > STEP_RUNNING; }

void show_pending(const struct run_view *view, size_t step, struct buf *out) {
	const struct step_view *s = &view->steps[step];
	size_t left = 0, named[2] = {0};
	for (size_t i = 0; i < s->needs_count; i++)
		if (!is_over(&view->steps[s->needs[i]]) && left++ < 2) named[left - 1] = s->needs[i];
	if (view->ended_at_ms || s->text[0]) {
		show_clean(s->text[0] ? s->text : "not run", out);
	} else if (left) {
		buf_adds(out, "after ");
		show_clean(view->steps[named[0]].name, out);
		if (left > 2) buf_addf(out, " and %zu more", left - 1);
		if (left != 2) return;
		buf_adds(out, " and ");
		show_clean(view->steps[named[1]].name, out);
	} else if (s->held_by) {
		buf_adds(out, "waits for ");
		show_clean(view->steps[s->held_by - 1].name, out);
		if (s->held_what) buf_addf(out, ": both use %s", s->held_what);
	} else {
		buf_adds(out, "waits for its turn");
	}
}

void show_line(const struct run_view *view, size_t step, const char *lead, const struct show_style *style,
	       int64_t now_ms, unsigned frame, struct buf *out) {
	const struct step_view *s = &view->steps[step];
	AUTO_BUF struct buf words = BUF_INIT(WORDS_MAX);
	if (s->status == STEP_RUNNING) {
		show_running(s, lead, style, now_ms, frame, out);
	} else {
		if (s->status == STEP_PENDING) show_pending(view, step, &words);
		show_step(s, lead, buf_str(&words), style, now_ms, out);
	}
	buf_addc(out, '\n');
}

bool show_tree_fits(const struct run_view *view, const struct show_style *style) {
	return view->count + ROWS_BESIDE <= style->rows;
}

static struct branch *find_branches(const struct run_view *view, struct arena *arena) {
	struct branch *b = arena_alloc(arena, (view->count + 1) * sizeof *b);
	for (size_t i = 0; i < view->count; i++) {
		b[i].parent = view->count;
		for (size_t k = 0; k < view->steps[i].needs_count; k++) {
			size_t need = view->steps[i].needs[k];
			/* needs may name later steps too: those would make circles here */
			if (need < i && (b[i].parent == view->count || need > b[i].parent)) b[i].parent = need;
		}
		if (b[i].parent != view->count) b[b[i].parent].children++;
	}
	return b;
}

/* rails: what stands before the children of parent; its own depth at most DEPTH_MAX. */
static void draw_children(const struct drawing *d, size_t parent, const char *rails, unsigned depth) {
	size_t of = parent == d->view->count ? 0 : d->branches[parent].children, seen = 0;
	for (size_t i = 0; i < d->view->count; i++) {
		if (d->branches[i].parent != parent) continue;
		bool is_last = ++seen == of, is_flat = of <= 1 || depth >= DEPTH_MAX;
		const char *own = !d->style->is_utf8 ? (is_last ? "`- " : "|- ") : is_last ? "└─ " : "├─ ";
		const char *below = is_last ? "   " : d->style->is_utf8 ? "│  " : "|  ";
		char lead[RAILS_SIZE], under[RAILS_SIZE];
		(void)snprintf(lead, sizeof lead, "%s%s", rails, is_flat ? "" : own);
		(void)snprintf(under, sizeof under, "%s%s", rails, is_flat ? "" : below);
		show_line(d->view, i, lead, d->style, d->now_ms, d->frame, d->out);
		draw_children(d, i, under, is_flat ? depth : depth + 1);
	}
}

void show_tree(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
	       struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	struct drawing d = {view, style, now_ms, frame, find_branches(view, &arena), out};
	draw_children(&d, view->count, "", 0);
}

void show_unfinished(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
		     struct buf *out) {
	size_t room = style->rows > ROWS_BESIDE + 1 ? style->rows - ROWS_BESIDE - 1 : 1, left_out[2] = {0};
	for (int pass = 0; pass < 2; pass++) {
		enum step_status wanted = pass == 0 ? STEP_RUNNING : STEP_PENDING;
		for (size_t i = 0; i < view->count; i++) {
			if (view->steps[i].status != wanted) continue;
			if (room) {
				show_line(view, i, "", style, now_ms, frame, out);
				room--;
			} else {
				left_out[pass]++;
			}
		}
	}
	if (left_out[0] + left_out[1] == 0) return;
	buf_addf(out, "  and %zu more", left_out[0] + left_out[1]);
	if (left_out[0] && style->width > 40) buf_addf(out, ", %zu of them at work", left_out[0]);
	buf_addc(out, '\n');
}
