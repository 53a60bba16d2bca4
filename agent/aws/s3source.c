#include "aws/s3source.h"

#include <string.h>

#include "aws/s3index.h"
#include "base/err.h"
#include "base/fifo.h"
#include "base/mem.h"
#include "base/str.h"

/* Pages of 1,000 keys in one piece of a split listing, and pieces asked for at once: some 2 MB ahead at most. */
#define PIECE_PAGES 2
#define PIECES_AT_ONCE 6
/* Pages that one long listing may be ahead. */
#define PAGES_AHEAD 3

/* A copy of a page: the objects, then their texts. */
struct page {
	struct page *next;
	size_t count, at;
	struct s3_object objects[];
};

/* One request after the other, from one key to another. */
struct piece {
	struct s3source *source;
	struct s3_listing *listing; /* NULL once it has ended */
	FIFO(struct page) pages;
	size_t count; /* of them */
	bool is_begun, has_ended, is_paused;
};

struct s3source {
	struct s3 *s3;
	char *prefix;
	size_t prefix_len;
	const struct s3index *index;
	struct piece ring[PIECES_AT_ONCE]; /* piece n at n % PIECES_AT_ONCE */
	size_t piece, begun, count;	   /* read now; started; all */
	char last_key[S3_KEY_MAX + 1];	   /* that was handed out */
	bool has_last;
	struct err err;
	bool has_failed;
};

static void fail(struct s3source *s, const struct err *err) {
	if (s->has_failed) return;
	s->err = *err;
	s->has_failed = true;
}

static size_t text_size(const struct s3_object *o, size_t prefix_len) {
	return strlen(o->key) - prefix_len + 1 + strlen(o->etag) + 1 + strlen(o->storage_class) + 1;
}

static const char *copy_text(char **at, const char *text) {
	char *copy = *at;
	size_t n = strlen(text) + 1;
	memcpy(copy, text, n);
	*at += n;
	return copy;
}

/* NULL when a key is not below the prefix. */
static struct page *copy_page(const struct s3source *s, const struct s3_page *from) {
	size_t bytes = sizeof(struct page) + from->count * sizeof *from->objects;
	for (size_t i = 0; i < from->count; i++) {
		if (strncmp(from->objects[i].key, s->prefix, s->prefix_len) != 0) return NULL;
		bytes += text_size(&from->objects[i], s->prefix_len);
	}
	struct page *page = mem_zalloc(bytes);
	char *text = (char *)(page->objects + from->count);
	page->count = from->count;
	for (size_t i = 0; i < from->count; i++) {
		struct s3_object *o = &page->objects[i];
		*o = from->objects[i];
		o->key = copy_text(&text, o->key + s->prefix_len);
		o->etag = copy_text(&text, o->etag);
		o->storage_class = copy_text(&text, o->storage_class);
	}
	return page;
}

static bool is_far_ahead(const struct piece *p) {
	return p->source->count == 1 && p->count >= PAGES_AHEAD; /* others end by themselves */
}

static bool on_page(const struct s3_page *from, void *arg) {
	struct piece *p = arg;
	struct page *page = copy_page(p->source, from);
	if (!page) {
		struct err err = {0};
		(void)err_set(&err, ERR_REMOTE, "the listing has keys that are not below the prefix");
		fail(p->source, &err);
		return true;
	}
	fifo_push(&p->pages, page);
	p->count++;
	p->is_paused = is_far_ahead(p);
	return !p->is_paused;
}

static void on_end(const struct err *err, void *arg) {
	struct piece *p = arg;
	p->listing = NULL;
	p->has_ended = true;
	if (err) fail(p->source, err);
}

/* The full key that piece n starts after, NULL for the first. The caller frees. */
static char *split_key(const struct s3source *s, size_t n) {
	char *path AUTO_FREE = n ? s3index_split(s->index, n * PIECE_PAGES - 1) : NULL;
	return path ? mem_printf("%s%s", s->prefix, path) : NULL;
}

static void begin(struct s3source *s) {
	size_t n = s->begun;
	struct piece *p = &s->ring[n % PIECES_AT_ONCE];
	char *after AUTO_FREE = split_key(s, n), *stop AUTO_FREE = n + 1 < s->count ? split_key(s, n + 1) : NULL;
	struct err err = {0};
	if ((n && !after) || (n + 1 < s->count && !stop)) {
		(void)err_set(&err, ERR_STATE, "the index of the sync was changed while it was read");
		fail(s, &err);
		return;
	}
	*p = (struct piece){.source = s, .is_begun = true};
	s->begun++;
	struct s3_list spec = {
		.prefix = s->prefix,
		.start_after = after,
		.stop_after = stop,
		.on_page = on_page,
		.on_end = on_end,
		.arg = p,
	};
	p->listing = s3_list(s->s3, &spec);
}

static void begin_more(struct s3source *s) {
	while (!s->has_failed && s->begun < s->count && s->begun < s->piece + PIECES_AT_ONCE) begin(s);
}

struct s3source *s3source_open(struct s3 *s3, const char *prefix, const struct s3index *index) {
	struct s3source *s = mem_zalloc(sizeof *s);
	size_t rows = index ? s3index_count(index) / S3INDEX_STRIDE : 0;
	s->s3 = s3;
	s->prefix = mem_strdup(prefix);
	s->prefix_len = strlen(prefix);
	s->index = index;
	/* The last piece has the rest: no split at the very last key that is known. */
	s->count = 1 + rows / PIECE_PAGES;
	if (s->count > 1 && s3index_count(index) == (s->count - 1) * PIECE_PAGES * S3INDEX_STRIDE) s->count--;
	begin_more(s);
	return s;
}

static void free_pages(struct piece *p) {
	for (struct page *page; (page = p->pages.first);) {
		fifo_drop(&p->pages);
		free(page);
	}
}

void s3source_free(struct s3source *s) {
	if (!s) return;
	for (size_t i = 0; i < PIECES_AT_ONCE; i++) free_pages(&s->ring[i]);
	free(s->prefix);
	free(s);
}

/* Drops pages that were read; resumes what was paused for them. */
static void drop_read(struct s3source *s, struct piece *p) {
	for (struct page *page; (page = p->pages.first) && page->at == page->count;) {
		fifo_drop(&p->pages);
		p->count--;
		free(page);
	}
	if (p->is_paused && p->listing && !is_far_ahead(p)) {
		p->is_paused = false;
		s3_list_resume(s->s3, p->listing);
	}
}

static enum s3source_state check_order(struct s3source *s, const struct s3_object *o) {
	struct err err = {0};
	if (!s->has_last || strcmp(s->last_key, o->key) < 0) return S3SOURCE_OBJECT;
	(void)err_set(&err, ERR_REMOTE,
		      "the listing is not in key order ('%s' comes after '%s'): what is missing cannot be told from it",
		      o->key, s->last_key);
	fail(s, &err);
	return S3SOURCE_FAILED;
}

enum s3source_state s3source_peek(struct s3source *s, const struct s3_object **ret_object) {
	for (;;) {
		struct piece *p = &s->ring[s->piece % PIECES_AT_ONCE];
		drop_read(s, p);
		if (s->has_failed) return S3SOURCE_FAILED;
		if (p->pages.first) {
			*ret_object = &p->pages.first->objects[p->pages.first->at];
			return check_order(s, *ret_object);
		}
		if (!p->has_ended) return S3SOURCE_WAITS;
		if (s->piece + 1 == s->count) return S3SOURCE_ENDED;
		s->piece++;
		begin_more(s);
	}
}

void s3source_pop(struct s3source *s) {
	struct page *page = s->ring[s->piece % PIECES_AT_ONCE].pages.first;
	const struct s3_object *o = &page->objects[page->at++];
	(void)snprintf(s->last_key, sizeof s->last_key, "%s", o->key); /* S3_KEY_MAX holds for all */
	s->has_last = true;
}

const struct err *s3source_error(const struct s3source *s) { return &s->err; }
