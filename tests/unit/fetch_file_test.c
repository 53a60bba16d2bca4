#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "aws/fetch.h"
#include "aws/fetch_file.h"
#include "aws_world.h"
#include "base/clock.h"

/* An answer of 10 bytes that ends after 4. */
#define CUT                                                                                                            \
	LO_RAW, NULL,                                                                                                  \
		"HTTP/1.1 200 OK\r\nETag: \"one\"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"                 \
		"Content-Length: 10\r\n\r\n0123"
#define CUT_WEAK                                                                                                       \
	LO_RAW, NULL,                                                                                                  \
		"HTTP/1.1 200 OK\r\nETag: W/\"one\"\r\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n"               \
		"Content-Length: 10\r\n\r\n0123"
#define CUT_BARE LO_RAW, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123"
#define REST 206, "Content-Range: bytes 4-9/10\r\nETag: \"one\"\r\n", "456789"

/* $URL is the server; it is the S3 endpoint too. */
static const struct {
	const char *name, *url, *old, *validator; /* what an earlier attempt left */
	bool has_hash;
	int64_t max;
	struct lo_row script[5];
	const char *asked[5]; /* what each request must hold */
	const char *want;     /* content or message */
} rows[] = {
	{"whole", "$URL/f", "", "", true, 100, {{"GET /f ", 200, NULL, "hello"}}, {NULL}, "hello"},
	{"empty", "$URL/f", "", "", true, 100, {{"GET /f ", 200, NULL, ""}}, {NULL}, ""},
	{"cut and gone on with",
	 "$URL/f",
	 "",
	 "",
	 false,
	 100,
	 {{"GET /f ", CUT}, {"GET /f ", REST}},
	 {NULL, "If-Match: \"one\"\r\n"},
	 "0123456789"},
	{"a weak ETag is no validator",
	 "$URL/f",
	 "",
	 "",
	 false,
	 100,
	 {{"GET /f ", CUT_WEAK}, {"GET /f ", REST}},
	 {NULL, "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n"},
	 "0123456789"},
	{"without validator and hash from its start",
	 "$URL/f",
	 "",
	 "",
	 false,
	 100,
	 {{"GET /f ", CUT_BARE}, {"GET /f ", 200, NULL, "0123456789"}},
	 {NULL},
	 "0123456789"},
	{"without validator the hash has to do",
	 "$URL/f",
	 "",
	 "",
	 true,
	 100,
	 {{"GET /f ", CUT_BARE}, {"GET /f ", REST}},
	 {NULL, "Range: bytes=4-\r\n"},
	 "0123456789"},
	{"a server that knows no ranges",
	 "$URL/f",
	 "0123",
	 "If-Match: \"one\"",
	 true,
	 100,
	 {{"GET /f ", 200, NULL, "abcdefghij"}},
	 {"Range: bytes=4-\r\n"},
	 "abcdefghij"},
	{"changed meanwhile",
	 "$URL/f",
	 "0123",
	 "If-Match: \"one\"",
	 true,
	 100,
	 {{"GET /f ", 412, NULL, "no"}, {"GET /f ", 200, NULL, "abc"}},
	 {"If-Match: \"one\"\r\n"},
	 "abc"},
	{"nothing is left to fetch",
	 "$URL/f",
	 "0123",
	 "If-Match: \"one\"",
	 true,
	 100,
	 {{"GET /f ", 416, "Content-Range: bytes */4\r\n", ""}, {"GET /f ", 200, NULL, "0123"}},
	 {"Range: bytes=4-\r\n"},
	 "0123"},
	{"another range than asked for",
	 "$URL/f",
	 "0123",
	 "If-Match: \"one\"",
	 true,
	 100,
	 {{"GET /f ", 206, "Content-Range: bytes 0-5/10\r\n", "456789"}, {"GET /f ", 200, NULL, "0123456789"}},
	 {"Range: bytes=4-\r\n"},
	 "0123456789"},
	{"busy, redirected, cut",
	 "$URL/f",
	 "",
	 "",
	 true,
	 100,
	 {{"GET /f ", 503, NULL, ""}, {"GET /f ", 302, "Location: /g\r\n", ""}, {"GET /g ", CUT}, {"GET /f ", REST}},
	 {NULL},
	 "0123456789"},
	{"absent", "$URL/f?s", "", "", true, 100, {{"GET /f?s ", 404, NULL, "no"}}, {NULL}, "$URL/f: HTTP 404"},
	{"too large by its length",
	 "$URL/f",
	 "",
	 "",
	 true,
	 3,
	 {{"GET /f ", 200, NULL, "0123"}},
	 {NULL},
	 "$URL/f: GET $URL/f: it is larger than 3 bytes"},
	{"plain http from afar",
	 "http://example.com/f",
	 "",
	 "",
	 false,
	 100,
	 {{0}},
	 {NULL},
	 "http://example.com/f: plain http can be changed on its way: use https:// or give the SHA-256"},
	{"s3, cut and gone on with",
	 "s3://bucket/k y",
	 "",
	 "",
	 false,
	 100,
	 {{"GET /bucket/k%20y ", CUT}, {"GET /bucket/k%20y ", REST}},
	 {"Authorization: AWS4", "If-Match: \"one\"\r\n"},
	 "0123456789"},
	{"s3, changed meanwhile",
	 "s3://bucket/k",
	 "0123",
	 "If-Match: \"one\"",
	 false,
	 100,
	 {{"GET /bucket/k ", 412, NULL, "<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>"},
	  {"GET /bucket/k ", 200, NULL, "abc"}},
	 {"Range: bytes=4-\r\n"},
	 "abc"},
};

static void check_asked(size_t i, const struct lo *lo) {
	for (size_t k = 0; k < 5 && k < lo->count; k++)
		if (rows[i].asked[k] && !strstr(lo->requests[k], rows[i].asked[k]))
			fail_msg("%s: request %zu lacks '%s': %s", rows[i].name, k + 1, rows[i].asked[k],
				 lo->requests[k]);
}

static void fetches(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char path[] = "/tmp/fetch_file_test.XXXXXX", got[64] = "";
		struct aws_world w;
		struct err err = {0};
		aws_world_start(&w, rows[i].script, NULL, true);
		struct fetch fetch = {.http = w.aws.http, .aws = &w.aws};
		struct fetch_file file = {.url = aws_world_fill(rows[i].url, w.lo.url, &w.arena),
					  .fd = mkstemp(path),
					  .has_hash = rows[i].has_hash,
					  .bytes_max = rows[i].max,
					  .deadline_at_ms = clock_mono_ms() + 60000};
		assert_int_equal(write(file.fd, rows[i].old, strlen(rows[i].old)), strlen(rows[i].old));
		memcpy(file.validator, rows[i].validator, strlen(rows[i].validator) + 1);
		int rc = fetch_to_file(&fetch, &file, &err);
		aws_world_stop(&w);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&w.lo));
		check_asked(i, &w.lo);
		if (rc == 0) assert_int_equal(pread(file.fd, got, sizeof got - 1, 0), file.size);
		const char *want = aws_world_fill(rows[i].want, w.lo.url, &w.arena);
		if (!str_eq(rc == 0 ? got : err.msg, want))
			fail_msg("%s: %s, not %s", rows[i].name, rc == 0 ? got : err.msg, want);
		aws_world_clear(&w);
		close(file.fd);
		unlink(path);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(fetches)};
	aws_world_pin_clock();
	return cmocka_run_group_tests_name("fetch_file", tests, NULL, NULL);
}
