#include "fmt/diag.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/yml.h"

/** Longest message in bytes, the NUL included: a line that quotes a whole megabyte of recipe helps nobody. */
#define DIAG_MESSAGE_MAX 1024

/* Messages quote the document, so control characters are shown, not sent: one diagnosis stays one line, and a recipe
 * cannot talk to the terminal. */
static char *printable(const char *text, struct arena *arena) {
	struct buf b AUTO_BUF = BUF_INIT(4 * DIAG_MESSAGE_MAX);
	for (const char *s = text; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '\n')
			buf_adds(&b, "\\n");
		else if (c == '\t')
			buf_adds(&b, "\\t");
		else if (c == '\r')
			buf_adds(&b, "\\r");
		else if (c < 0x20 || c == 0x7f)
			buf_addf(&b, "\\x%02x", c);
		else
			buf_addc(&b, *s);
	}
	return arena_strdup(arena, buf_str(&b));
}

static void add(struct diags *d, const struct diag *place, const char *fmt, va_list args) FORMAT(3, 0);

static void add(struct diags *d, const struct diag *place, const char *fmt, va_list args) {
	if (d->count == DIAGS_MAX) {
		d->dropped++;
		return;
	}
	char message[DIAG_MESSAGE_MAX];
	vsnprintf(message, sizeof message, fmt, args);
	struct diag diag = *place;
	diag.file = arena_strdup(d->arena, place->file);
	diag.message = printable(message, d->arena);
	if (d->count == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 8;
		d->items = mem_resize(d->items, d->cap, sizeof *d->items);
	}
	d->items[d->count++] = diag;
}

void diag_add(struct diags *d, const struct yml_node *at, const char *fmt, ...) {
	struct diag place = {0};
	if (at) place = (struct diag){.file = at->file, .line = at->line, .col = at->col};
	va_list args;
	va_start(args, fmt);
	add(d, &place, fmt, args);
	va_end(args);
}

void diag_add_at(struct diags *d, const char *file, unsigned line, unsigned col, const char *fmt, ...) {
	struct diag place = {.file = file, .line = line, .col = col};
	va_list args;
	va_start(args, fmt);
	add(d, &place, fmt, args);
	va_end(args);
}

/** A diagnosis with the place of its file among the files. */
struct ranked {
	struct diag diag;
	size_t rank;
};

static bool is_before(const struct ranked *a, const struct ranked *b) {
	if (a->rank != b->rank) return a->rank < b->rank;
	if (a->diag.line != b->diag.line) return a->diag.line < b->diag.line;
	return a->diag.col < b->diag.col;
}

static bool is_same(const struct diag *a, const struct diag *b) {
	return a->line == b->line && a->col == b->col && str_eq(a->file, b->file) && str_eq(a->message, b->message);
}

static size_t rank_of(const struct diags *d, size_t i) {
	size_t rank = 0;
	while (!str_eq(d->items[rank].file, d->items[i].file)) rank++;
	return rank;
}

void diags_sort(struct diags *d) {
	struct ranked sorted[DIAGS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < d->count; i++) {
		struct ranked next = {.diag = d->items[i], .rank = rank_of(d, i)};
		bool is_known = false;
		for (size_t k = 0; k < count && !is_known; k++) is_known = is_same(&sorted[k].diag, &next.diag);
		if (is_known) continue;
		/* Insertion sort: at most DIAGS_MAX items, and those of one place must stay in order. */
		size_t at = count++;
		for (; at > 0 && is_before(&next, &sorted[at - 1]); at--) sorted[at] = sorted[at - 1];
		sorted[at] = next;
	}
	for (size_t i = 0; i < count; i++) d->items[i] = sorted[i].diag;
	d->count = count;
}

void diags_print(const struct diags *d, struct buf *out) {
	for (size_t i = 0; i < d->count; i++) {
		const struct diag *diag = &d->items[i];
		if (diag->file) buf_addf(out, "%s:", diag->file);
		if (diag->line) buf_addf(out, "%u:%u:", diag->line, diag->col);
		buf_addf(out, "%s%s\n", diag->file || diag->line ? " " : "", diag->message);
	}
	if (d->dropped) buf_addf(out, "%zu more are not shown: mend these first\n", d->dropped);
}

void diags_clear(struct diags *d) {
	if (!d) return;
	free(d->items);
	*d = (struct diags){.arena = d->arena};
}
