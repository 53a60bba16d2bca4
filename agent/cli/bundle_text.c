#include "cli/bundle_text.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/secrets.h"
#include "fmt/yml.h"

/* Secrets become longer only where they are shorter than "***", which none is. */
#define SCRUB_MAX (128 * 1024 * 1024)
/* Longest secret that may stand across a cut: a private key, a session token. */
#define OVERLAP 8192

void bundle_scrub(const char *text, size_t len, size_t from, struct buf *out) {
	AUTO_BUF struct buf redacted = BUF_INIT(SCRUB_MAX), clean = BUF_INIT(SCRUB_MAX);
	AUTO_ARENA struct arena arena = {0};
	size_t start = from > OVERLAP ? from - OVERLAP : 0;
	char *copy = arena_dup(&arena, text + start, len - start);
	for (size_t i = 0; i < len - start; i++)
		if (copy[i] == '\0') copy[i] = ' ';
	log_redact(copy, &redacted);
	secrets_scrub(buf_str(&redacted), &clean);
	if (start == from) {
		buf_add(out, clean.data, clean.len);
		return;
	}
	/* What stood before the cut has as many lines as it had: a cut is at the beginning of a line. */
	const char *at = buf_str(&clean);
	for (size_t i = start; i < from; i++)
		if (text[i] == '\n' && strchr(at, '\n')) at = strchr(at, '\n') + 1;
	buf_adds(out, at);
}

struct hiding {
	unsigned *from, *to; /* lines, 1-based, `to` excluded */
	size_t count;
};

static bool is_true(const struct yml_node *node) {
	bool value = false;
	struct err ignored = {0};
	return node && node->kind == YML_SCALAR && !parse_bool(node->text, &value, &ignored) && value;
}

/* Where the next thing after a node begins: hiding a line too many is better than one too few. */
static unsigned end_of(const struct yml_node *list, size_t i, unsigned last) {
	unsigned line = i + 1 < list->count
				? (list->kind == YML_MAP ? list->keys[i + 1]->line : list->items[i + 1]->line)
				: last;
	return line;
}

static void hide(struct hiding *h, unsigned from, unsigned to) {
	h->from[h->count] = from;
	h->to[h->count++] = to > from ? to : from + 1;
}

/* A flow list has several on a line; hiding that line hides them all. */
static void find(const struct yml_node *root, unsigned last, struct hiding *h) {
	for (size_t i = 0; i < root->count; i++) {
		const struct yml_node *value = root->items[i];
		unsigned end = end_of(root, i, last);
		bool is_steps = str_eq(root->keys[i]->text, "steps") && value->kind == YML_SEQ;
		bool is_vars = str_eq(root->keys[i]->text, "vars") && value->kind == YML_MAP;
		for (size_t k = 0; (is_steps || is_vars) && k < value->count; k++) {
			const struct yml_node *item = value->items[k];
			if (item->kind != YML_MAP || !is_true(yml_get(item, "sensitive"))) continue;
			unsigned from = is_vars ? value->keys[k]->line : item->line;
			hide(h, from, end_of(value, k, end));
		}
	}
}

static bool is_hidden(const struct hiding *h, unsigned line) {
	for (size_t i = 0; i < h->count; i++)
		if (line >= h->from[i] && line < h->to[i]) return true;
	return false;
}

static size_t count_nodes(const struct yml_node *node) {
	size_t count = 1;
	for (size_t i = 0; i < node->count; i++) count += node->items[i]->count + 1;
	return count;
}

void bundle_recipe(const char *text, size_t len, struct arena *arena, struct buf *out) {
	AUTO_DIAGS struct diags diags = {.arena = arena};
	const struct yml_node *root = yml_parse("recipe", text, len, arena, &diags);
	if (!root || root->kind != YML_MAP) {
		buf_adds(out, "# left out: it cannot be parsed\n");
		return;
	}
	size_t max = count_nodes(root);
	struct hiding h = {.from = arena_alloc(arena, max * sizeof *h.from),
			   .to = arena_alloc(arena, max * sizeof *h.to)};
	find(root, (unsigned)len + 2, &h);
	AUTO_BUF struct buf kept = BUF_INIT(out->max);
	unsigned line = 1;
	bool was_hidden = false;
	for (const char *at = text; at < text + len; line++) {
		const char *end = memchr(at, '\n', (size_t)(text + len - at));
		size_t n = end ? (size_t)(end + 1 - at) : (size_t)(text + len - at);
		bool hides = is_hidden(&h, line);
		if (!hides) buf_add(&kept, at, n);
		if (hides && !was_hidden) buf_adds(&kept, "# left out: sensitive\n");
		was_hidden = hides;
		at += n;
	}
	bundle_scrub(buf_str(&kept), kept.len, 0, out);
}
