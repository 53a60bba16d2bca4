#include "steps/text_diff.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

#define CONTEXT 3

struct line {
	const char *text;
	size_t len; /* the newline included */
};

struct side {
	VEC(struct line) lines;
};

enum op { OP_KEEP, OP_REMOVE, OP_ADD };

struct edit {
	enum op op;
	size_t old_at, new_at; /* index of the line on either side */
};

struct script {
	VEC(struct edit) edits;
};

struct output {
	struct buf text;
	size_t lines, left_out;
};

static bool is_text(const char *data, size_t len) { return !memchr(data, 0, len) && str_is_utf8(data, len); }

static void split(const char *data, size_t len, struct side *side) {
	while (len) {
		const char *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) + 1 : len;
		struct line line = {data, n};
		vec_push(&side->lines, line);
		data += n;
		len -= n;
	}
}

static bool is_same(const struct line *a, const struct line *b) {
	return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

static void push(struct script *s, enum op op, size_t old_at, size_t new_at) {
	struct edit edit = {op, old_at, new_at};
	vec_push(&s->edits, edit);
}

/* The changed middle [from, old_end) x [from, new_end) by the longest common subsequence. */
static void diff_middle(const struct side *o, const struct side *n, size_t from, size_t old_end, size_t new_end,
			struct script *s) {
	size_t rows = old_end - from, cols = new_end - from, i = 0, j = 0;
	uint16_t *best = NULL; /* best[i * (cols + 1) + j]: common lines of the tails from i and j; at most 2000 */
	if (rows && cols && (rows + 1) <= TEXT_DIFF_TABLE_MAX / (cols + 1) && rows < UINT16_MAX && cols < UINT16_MAX) {
		best = mem_zalloc((rows + 1) * (cols + 1) * sizeof *best);
		for (size_t r = rows; r-- > 0;)
			for (size_t c = cols; c-- > 0;) {
				uint16_t down = best[(r + 1) * (cols + 1) + c], right = best[r * (cols + 1) + c + 1];
				best[r * (cols + 1) + c] = is_same(&o->lines.items[from + r], &n->lines.items[from + c])
								   ? (uint16_t)(best[(r + 1) * (cols + 1) + c + 1] + 1)
							   : down > right ? down
									  : right;
			}
	}
	while (i < rows || j < cols) {
		if (best && i < rows && j < cols && is_same(&o->lines.items[from + i], &n->lines.items[from + j])) {
			push(s, OP_KEEP, from + i++, from + j++);
		} else if (i < rows &&
			   (j == cols || !best || best[(i + 1) * (cols + 1) + j] >= best[i * (cols + 1) + j + 1])) {
			push(s, OP_REMOVE, from + i, from + j);
			i++;
		} else {
			push(s, OP_ADD, from + i, from + j);
			j++;
		}
	}
	free(best);
}

static void make_script(const struct side *o, const struct side *n, struct script *s) {
	size_t head = 0, old_end = o->lines.count, new_end = n->lines.count;
	while (head < old_end && head < new_end && is_same(&o->lines.items[head], &n->lines.items[head])) {
		push(s, OP_KEEP, head, head);
		head++;
	}
	while (old_end > head && new_end > head &&
	       is_same(&o->lines.items[old_end - 1], &n->lines.items[new_end - 1])) {
		old_end--;
		new_end--;
	}
	diff_middle(o, n, head, old_end, new_end, s);
	for (; old_end < o->lines.count; old_end++, new_end++) push(s, OP_KEEP, old_end, new_end);
}

static void put(struct output *out, char sign, const struct line *line) {
	if (out->lines >= TEXT_DIFF_LINES_MAX || out->text.len + line->len + 32 > TEXT_DIFF_BYTES_MAX) {
		out->left_out++;
		return;
	}
	buf_addc(&out->text, sign);
	buf_add(&out->text, line->text, line->len);
	if (line->text[line->len - 1] != '\n') buf_adds(&out->text, "\n\\ No newline at end of file\n");
	out->lines++;
}

static void put_range(struct buf *out, char sign, size_t start, size_t count) {
	buf_addf(out, "%c%zu", sign, count ? start + 1 : start);
	if (count != 1) buf_addf(out, ",%zu", count);
}

static void put_hunk(struct output *out, const struct side *o, const struct side *n, const struct script *s,
		     size_t from, size_t to) {
	size_t old_count = 0, new_count = 0;
	for (size_t i = from; i < to; i++) {
		old_count += s->edits.items[i].op != OP_ADD;
		new_count += s->edits.items[i].op != OP_REMOVE;
	}
	if (out->lines < TEXT_DIFF_LINES_MAX) {
		buf_adds(&out->text, "@@ ");
		put_range(&out->text, '-', s->edits.items[from].old_at, old_count);
		buf_addc(&out->text, ' ');
		put_range(&out->text, '+', s->edits.items[from].new_at, new_count);
		buf_adds(&out->text, " @@\n");
	}
	for (size_t i = from; i < to; i++) {
		const struct edit *e = &s->edits.items[i];
		if (e->op == OP_KEEP) put(out, ' ', &o->lines.items[e->old_at]);
		if (e->op == OP_REMOVE) put(out, '-', &o->lines.items[e->old_at]);
		if (e->op == OP_ADD) put(out, '+', &n->lines.items[e->new_at]);
	}
}

static void put_hunks(struct output *out, const struct side *o, const struct side *n, const struct script *s) {
	size_t count = s->edits.count, i = 0;
	while (i < count) {
		while (i < count && s->edits.items[i].op == OP_KEEP) i++;
		if (i == count) break;
		size_t from = i > CONTEXT ? i - CONTEXT : 0, last = i;
		for (size_t k = i; k < count && k <= last + 2 * CONTEXT; k++)
			if (s->edits.items[k].op != OP_KEEP) last = k;
		size_t to = last + 1 + CONTEXT < count ? last + 1 + CONTEXT : count;
		put_hunk(out, o, n, s, from, to);
		i = to;
	}
}

const char *text_diff(const char *label, const char *old_data, size_t old_len, const char *new_data, size_t new_len,
		      struct arena *arena) {
	const char *old_text = old_data ? old_data : "";
	if (!old_data) old_len = 0;
	if (old_data && old_len == new_len && !memcmp(old_text, new_data, new_len)) return "";
	if (!is_text(old_text, old_len) || !is_text(new_data, new_len)) return "binary content differs\n";
	struct side o = {0}, n = {0};
	struct script s = {0};
	struct output out = {.text = BUF_INIT(TEXT_DIFF_BYTES_MAX + 1024)};
	split(old_text, old_len, &o);
	split(new_data, new_len, &n);
	make_script(&o, &n, &s);
	buf_addf(&out.text, "--- %s\n+++ %s\n", old_data ? label : "/dev/null", label);
	put_hunks(&out, &o, &n, &s);
	if (out.left_out) buf_addf(&out.text, "... %zu more lines\n", out.left_out);
	char *copy = arena_dup(arena, buf_str(&out.text), out.text.len);
	buf_clear(&out.text);
	vec_clear(&o.lines);
	vec_clear(&n.lines);
	vec_clear(&s.edits);
	return copy;
}
