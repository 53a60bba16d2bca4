/*
 * ListObjectsV2, page by page. Reference: Amazon S3 API Reference, ListObjectsV2. A page may be short or empty and yet
 * not the last: IsTruncated alone decides.
 */
#include <errno.h>

#include "aws/s3_page.h"
#include "aws/s3_private.h"
#include "base/mem.h"
#include "fmt/xml.h"

#define PAGE_SIZE 1000
/** Pages without a key in a row: versioned buckets with many delete markers have some. */
#define EMPTY_PAGES_MAX 10000

struct s3_listing {
	struct s3_op op;
	struct s3_request request;
	struct arena arena; /* of the texts of spec */
	struct s3_list spec;
	char page_size[16];
	char *token;	/* of the next page; NULL for the first */
	char *last_key; /* of the pages before: keys only ever grow */
	struct s3_page_reader page;
	unsigned empty_pages;
	bool is_paused;
};

static struct s3_listing *listing_of(struct s3_request *r) { return (struct s3_listing *)r->op; }

static void free_listing(struct s3_op *op) {
	struct s3_listing *l = (struct s3_listing *)op;

	s3_drop(&l->request);
	s3_page_close(&l->page);
	free(l->token);
	free(l->last_key);
	arena_clear(&l->arena);
	free(l);
}

static void finish(struct s3_listing *l, struct err *err) {
	if (err) (void)s3_wrap(l->op.s3, l->spec.prefix, err);
	l->spec.on_end(err, l->spec.arg);
	s3_finish(&l->op);
}

static void ask(struct s3_listing *l) {
	const char **q = l->request.query;

	memset(l->request.query, 0, sizeof l->request.query);
	*q++ = "list-type", *q++ = "2";
	*q++ = "encoding-type", *q++ = "url";
	*q++ = "max-keys", *q++ = l->page_size;
	*q++ = "prefix", *q++ = l->spec.prefix;
	if (l->spec.delimiter) *q++ = "delimiter", *q++ = l->spec.delimiter;
	if (l->token)
		*q++ = "continuation-token", *q++ = l->token;
	else if (l->spec.start_after)
		*q++ = "start-after", *q++ = l->spec.start_after;
	s3_send(&l->request);
}

static int on_prepare(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_listing *l = listing_of(r);

	(void)arena;
	(void)headers;
	(void)err;
	s3_page_close(&l->page);
	s3_page_open(&l->page);
	return 0;
}

static int on_body(const void *data, size_t len, void *arg, struct err *err) {
	return s3_page_push(&listing_of(arg)->page, data, len, err);
}

static int check_page(struct s3_listing *l, struct err *err) {
	const struct s3_page_reader *page = &l->page;

	if (page->is_truncated && str_eq(page->token, l->token))
		return err_set(err, ERR_REMOTE, "the server repeats the continuation of a listing: it would never end");
	if (page->objects.count && l->last_key && strcmp(l->last_key, page->objects.items[0].key) >= 0)
		return err_set(err, ERR_REMOTE, "the listing is not in the order of its keys");
	l->empty_pages = page->objects.count + page->prefixes.count ? 0 : l->empty_pages + 1;
	if (page->is_truncated && l->empty_pages > EMPTY_PAGES_MAX)
		return err_set(err, ERR_REMOTE, "the listing goes on after %d empty pages", EMPTY_PAGES_MAX);
	return 0;
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_listing *l = listing_of(r);

	(void)answer;
	if (s3_page_end(&l->page, err) != 0) return -(int)err->code;
	return check_page(l, err);
}

/** Drops what lies behind stop_after; true when that, or stop_after itself, was seen: no further page is needed. */
static bool cut(struct s3_listing *l) {
	size_t count = l->page.objects.count;

	if (!l->spec.stop_after || !count || strcmp(l->page.objects.items[count - 1].key, l->spec.stop_after) < 0)
		return false;
	while (count && strcmp(l->page.objects.items[count - 1].key, l->spec.stop_after) > 0) count--;
	l->page.objects.count = count;
	return true;
}

static void on_end(struct s3_request *r, struct err *err) {
	struct s3_listing *l = listing_of(r);
	struct s3_page page;
	bool is_last, goes_on;

	if (err) {
		finish(l, err);
		return;
	}
	is_last = cut(l) || !l->page.is_truncated;
	page = (struct s3_page){l->page.objects.items, l->page.objects.count, l->page.prefixes.items,
				l->page.prefixes.count};
	goes_on = page.count + page.prefix_count == 0 || l->spec.on_page(&page, l->spec.arg);
	if (page.count) {
		free(l->last_key);
		l->last_key = mem_strdup(page.objects[page.count - 1].key);
	}
	free(l->token);
	l->token = mem_strdup(l->page.token);
	s3_page_close(&l->page);
	if (is_last)
		finish(l, NULL);
	else if (goes_on)
		ask(l);
	else
		l->is_paused = true;
}

/** A paused one has no request that could end. */
static void cancel(struct s3_op *op) {
	struct s3_listing *l = (struct s3_listing *)op;
	struct err err = {0};

	if (!l->is_paused) return;
	(void)err_set(&err, ERR_CANCELLED, "told to stop");
	finish(l, &err);
}

struct s3_listing *s3_list(struct s3 *s3, const struct s3_list *spec) {
	struct s3_listing *l = mem_zalloc(sizeof *l);

	l->op.free = free_listing;
	l->op.cancel = cancel;
	s3_begin(s3, &l->op);
	l->spec = *spec;
	l->spec.prefix = arena_strdup(&l->arena, spec->prefix);
	l->spec.delimiter = arena_strdup(&l->arena, spec->delimiter);
	l->spec.start_after = arena_strdup(&l->arena, spec->start_after);
	l->spec.stop_after = arena_strdup(&l->arena, spec->stop_after);
	(void)snprintf(l->page_size, sizeof l->page_size, "%u", spec->page_size ? spec->page_size : PAGE_SIZE);
	l->request = (struct s3_request){
		.op = &l->op,
		.lane = S3_LANE_CONTROL,
		.method = "GET",
		.body_max = XML_BYTES_MAX,
		.on_prepare = on_prepare,
		.on_body = on_body,
		.on_answer = on_answer,
		.on_end = on_end,
	};
	ask(l);
	return l;
}

void s3_list_resume(struct s3 *s3, struct s3_listing *listing) {
	(void)s3;
	if (!listing->is_paused) return;
	listing->is_paused = false;
	ask(listing);
}
