#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_page.h"
#include "s3_fixture.h"

#define LIST "GET /bucket/?encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F HTTP/1.1\r\n"
#define NEXT(token)                                                                                                    \
	"GET /bucket/?continuation-token=" token "&encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F "           \
	"HTTP/1.1\r\n"
#define PAGE(text)                                                                                                     \
	"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"                  \
	"<EncodingType>url</EncodingType>" text "</ListBucketResult>"
#define OBJECT(key)                                                                                                    \
	"<Contents><Key>" key "</Key><LastModified>2013-05-24T00:00:00.250Z</LastModified><ETag>&quot;e1&quot;</ETag>" \
	"<Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>"
#define MORE(token) "<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"
#define AT " 7 1369353600250 e1 STANDARD; "
#define URL "s3://bucket/p/: "

static const struct {
	const char *name;
	struct lo_row script[5];
	const char *text; /* each object, each prefix, the end */
} rows[] = {
	{"nothing", {{LIST, 200, NULL, PAGE("<IsTruncated>false</IsTruncated>")}}, "end"},
	{"keys as they are",
	 {{LIST, 200, NULL,
	   PAGE(OBJECT("p/%01%0A") OBJECT("p/%2F..%2F") OBJECT("p/a%20b") OBJECT("p/a+b%2B") OBJECT("p/%C3%BC"))}},
	 "p/\x01\n" AT "p//../" AT "p/a b" AT "p/a+b+" AT "p/\xc3\xbc" AT "end"},
	{"a plus for a space, by a server that writes none as %20",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/a+b") OBJECT("p/a%2Bb"))}},
	 "p/a b" AT "p/a+b" AT "end"},
	{"not encoded, by a server that ignores the wish",
	 {{LIST, 200, NULL, "<ListBucketResult>" OBJECT("p/a%20b+c") "</ListBucketResult>"}},
	 "p/a%20b+c" AT "end"},
	{"archived, elsewhere, unknown elements",
	 {{LIST, 200, NULL,
	   PAGE("<x><Key>no</Key></x><CommonPrefixes><Prefix>p/d%2F</Prefix></CommonPrefixes><Contents><Key>p/a</Key>"
		"<Owner><ID>x</ID></Owner><LastModified>2013-05-24T00:00:00.000Z</LastModified><Size>0</Size>"
		"<StorageClass>DEEP_ARCHIVE</StorageClass></Contents>")}},
	 "p/a 0 1369353600000  DEEP_ARCHIVE archived; p/d/; end"},
	{"pages, one of them empty, tokens as they are",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/a") MORE("t+/=%20"))},
	  {NEXT("t%2B%2F%3D%2520"), 200, NULL, PAGE(MORE("u"))},
	  {NEXT("u"), 200, NULL, PAGE(OBJECT("p/b"))}},
	 "p/a" AT "p/b" AT "end"},
	{"tried again, whole",
	 {{LIST, LO_RAW, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<ListBucketResult>" OBJECT("p/a")},
	  {LIST, 503, NULL, S3_ERROR("SlowDown")},
	  {LIST, 200, NULL, PAGE(OBJECT("p/b"))}},
	 "p/b" AT "end"},
	{"the same token again",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/a") MORE("t"))}, {NEXT("t"), 200, NULL, PAGE(OBJECT("p/b") MORE("t"))}},
	 "p/a" AT "remote: " URL "the server repeats the continuation of a listing: it would never end"},
	{"no token",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/a") "<IsTruncated>true</IsTruncated>")}},
	 "remote: " URL "the listing is cut and names no continuation: the server does not know ListObjectsV2"},
	{"out of order within a page",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/b") OBJECT("p/a"))}},
	 "remote: " URL "the listing is not in the order of its keys"},
	{"out of order between pages",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/b") MORE("t"))}, {NEXT("t"), 200, NULL, PAGE(OBJECT("p/a"))}},
	 "p/b" AT "remote: " URL "the listing is not in the order of its keys"},
	{"a NUL in a key",
	 {{LIST, 200, NULL, PAGE(OBJECT("p/a%00b"))}},
	 "remote: " URL "the listing holds a key that is not percent-encoded as it says"},
	{"a size that is none",
	 {{LIST, 200, NULL, PAGE("<Contents><Key>p/a</Key><Size>-1</Size></Contents>")}},
	 "remote: " URL "the listing holds an entry without a readable key, size and time"},
	{"another document",
	 {{LIST, 200, NULL, "<ListAllMyBucketsResult/>"}},
	 "remote: " URL "the answer is not a listing of S3: is the endpoint right?"},
	{"a DOCTYPE",
	 {{LIST, 200, NULL, "<!DOCTYPE x [<!ENTITY e 'x'>]><ListBucketResult/>"}},
	 "invalid: " URL "GET http://$HOST/bucket/: XML, line 1, column 13: a DOCTYPE is refused: no answer of AWS has "
	 "one"},
	{"not allowed", {{LIST, 403, NULL, S3_ERROR("AccessDenied")}}, "denied: " URL "HTTP 403 AccessDenied: m"},
};

static bool on_page(const struct s3_page *page, void *arg) {
	struct s3_fixture *f = arg;

	for (size_t i = 0; i < page->count; i++) {
		const struct s3_object *o = &page->objects[i];

		fx_add(f, "%s %lld %lld %s %s%s; ", o->key, (long long)o->size, (long long)o->modified_at_ms, o->etag,
		       o->storage_class, o->is_archived ? " archived" : "");
	}
	for (size_t i = 0; i < page->prefix_count; i++) fx_add(f, "%s; ", page->prefixes[i]);
	return true;
}

static void lists(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3_fixture f;

		fx_start(&f, rows[i].script, (struct s3_options){0});
		(void)s3_list(f.s3,
			      &(struct s3_list){.prefix = "p/", .on_page = on_page, .on_end = fx_on_end, .arg = &f});
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, rows[i].name, rows[i].text);
		fx_clear(&f);
	}
}

/* What else is asked for; behind stop_after no page is. */
static void stops(void **state) {
	static const struct lo_row script[] = {
		{"GET /bucket/?delimiter=%2F&encoding-type=url&list-type=2&max-keys=3&prefix=&start-after=a%20a "
		 "HTTP/1.1\r\n",
		 200, NULL, PAGE(OBJECT("b") OBJECT("c") OBJECT("d") MORE("t"))},
		{0},
	};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){.pays_requests = true});
	(void)s3_list(f.s3, &(struct s3_list){
				    .prefix = "",
				    .delimiter = "/",
				    .start_after = "a a",
				    .stop_after = "c",
				    .page_size = 3,
				    .on_page = on_page,
				    .on_end = fx_on_end,
				    .arg = &f,
			    });
	fx_run(&f);
	fx_stop(&f);
	assert_non_null(strstr(f.w.lo.requests[0], "\r\nx-amz-request-payer: requester\r\n"));
	fx_check(&f, "stops", "b" AT "c" AT "end");
	fx_clear(&f);
}

static bool pause_page(const struct s3_page *page, void *arg) {
	(void)on_page(page, arg);
	return false;
}

/* A paused listing asks for nothing; it goes on, or is told to stop. */
static void pauses(void **state) {
	static const struct lo_row script[] = {
		{LIST, 200, NULL, PAGE(OBJECT("p/a") MORE("t"))},
		{NEXT("t"), 200, NULL, PAGE(OBJECT("p/b") MORE("u"))},
		{0},
	};
	struct err err = {0};
	struct s3_fixture f;
	struct s3_listing *l;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	l = s3_list(f.s3, &(struct s3_list){.prefix = "p/", .on_page = pause_page, .on_end = fx_on_end, .arg = &f});
	for (int i = 0; i < 2; i++) {
		while (!strstr(f.text, i ? "p/b" : "p/a")) fx_turn(&f);
		assert_int_equal(s3_run(f.s3, 0, &err), 0);
		assert_int_equal(s3_stats(f.s3)->requests, i + 1);
		if (i == 0) s3_list_resume(f.s3, l);
	}
	s3_cancel(f.s3);
	fx_run(&f);
	fx_stop(&f);
	fx_check(&f, "pauses", "p/a" AT "p/b" AT "cancelled: " URL "told to stop");
	fx_clear(&f);
}

static void decodes(void **state) {
	static const struct {
		const char *text;
		bool plus;
		const char *want; /* NULL: refused */
	} codes[] = {
		{"", false, ""},       {"a%2fb%2F", false, "a/b/"},
		{"a+b", true, "a b"},  {"a+b", false, "a+b"},
		{"%", false, NULL},    {"%2", false, NULL},
		{"%g0", false, NULL},  {"%0g", false, NULL},
		{"a%00", false, NULL}, {"%e2%82%AC", false, "\xe2\x82\xac"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		AUTO_FREE char *text = mem_strdup(codes[i].text);

		assert_int_equal(s3_url_decode(text, codes[i].plus), codes[i].want != NULL);
		if (codes[i].want) assert_string_equal(text, codes[i].want);
	}
}

static int pin_clock(void **state) {
	(void)state;
	aws_world_pin_clock();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(stops),
		cmocka_unit_test(pauses),
		cmocka_unit_test(decodes),
	};
	return cmocka_run_group_tests(tests, pin_clock, NULL);
}
