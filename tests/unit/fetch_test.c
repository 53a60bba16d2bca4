#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/fetch.h"
#include "aws_world.h"

#define HELLO_HASH "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define WRONG_HASH "0cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define HOP "GET /hop ", 302, "Location: /hop\r\n", NULL

/* $URL is the server; it is the S3 endpoint too. */
static const struct {
	const char *name, *url, *sha256;
	struct lo_row script[8];
	int rc;
	const char *text; /* what was fetched or the message */
} rows[] = {
	{"plain", "$URL/a?b", NULL, {{"GET /a?b ", 200, NULL, "hello"}}, 0, "hello"},
	{"with its hash", "$URL/a", HELLO_HASH, {{"GET /a ", 200, NULL, "hello"}}, 0, "hello"},
	{"with its hash in capitals",
	 "$URL/a",
	 "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
	 {{"GET /a ", 200, NULL, "hello"}},
	 0,
	 "hello"},
	{"with another hash",
	 "$URL/a?signature",
	 WRONG_HASH,
	 {{"GET /a", 200, NULL, "hello"}},
	 -ERR_INVALID,
	 "$URL/a: SHA-256 is " HELLO_HASH ", not " WRONG_HASH " as expected"},
	{"with half a hash",
	 "$URL/a",
	 "2cf24d",
	 {{0}},
	 -ERR_INVALID,
	 "$URL/a: '2cf24d' is not a SHA-256: 64 hexadecimal digits are needed"},
	{"absolute redirect",
	 "$URL/a/b?q",
	 NULL,
	 {{"GET /a/b?q ", 301, "Location: /c#part\r\n", NULL}, {"GET /c ", 200, NULL, "hello"}},
	 0,
	 "hello"},
	{"relative redirect",
	 "$URL/a/b?q/x",
	 NULL,
	 {{"GET /a/b?q/x ", 307, "Location: c?d\r\n", NULL}, {"GET /a/c?d ", 200, NULL, "hello"}},
	 0,
	 "hello"},
	{"relative redirect of the root",
	 "$URL?x",
	 NULL,
	 {{"GET /?x ", 308, "Location: c\r\n", NULL}, {"GET /c ", 200, NULL, "hello"}},
	 0,
	 "hello"},
	{"redirects without end",
	 "$URL/hop",
	 NULL,
	 {{HOP}, {HOP}, {HOP}, {HOP}, {HOP}, {HOP}},
	 -ERR_LIMIT,
	 "$URL/hop: more than 5 redirects"},
	{"redirect to another scheme",
	 "$URL/a",
	 NULL,
	 {{"GET /a ", 302, "Location: file:///etc/passwd\r\n", NULL}},
	 -ERR_DENIED,
	 "$URL/a: redirected to file:///etc/passwd, which is not https"},
	{"redirect to nowhere", "$URL/a", NULL, {{"GET /a ", 302, NULL, NULL}}, -ERR_REMOTE, "$URL/a: HTTP 302"},
	{"absent", "$URL/a?s", NULL, {{"GET /a?s ", 404, NULL, "no"}}, -ERR_NOT_FOUND, "$URL/a: HTTP 404"},
	{"refused", "$URL/a", NULL, {{"GET /a ", 403, NULL, "no"}}, -ERR_DENIED, "$URL/a: HTTP 403"},
	{"busy once", "$URL/a", NULL, {{"GET /a ", 503, NULL, ""}, {"GET /a ", 200, NULL, "hello"}}, 0, "hello"},
	{"too large",
	 "$URL/a",
	 NULL,
	 {{"GET /a ", 200, NULL, "hello, world and all"}},
	 -ERR_LIMIT,
	 "$URL/a: GET $URL/a: the answer is larger than 16 bytes"},
	{"plain http from afar",
	 "http://example.com/a",
	 NULL,
	 {{0}},
	 -ERR_DENIED,
	 "http://example.com/a: plain http can be changed on its way: use https:// or give the SHA-256"},
	{"plain http from a false name",
	 "http://127.0.0.1.example.com/a",
	 NULL,
	 {{0}},
	 -ERR_DENIED,
	 "http://127.0.0.1.example.com/a: plain http can be changed on its way: use https:// or give the SHA-256"},
	{"s3", "s3://bucket/dir/k y.txt", HELLO_HASH, {{"GET /bucket/dir/k%20y.txt ", 200, NULL, "hello"}}, 0, "hello"},
	{"s3 in another region",
	 "s3://bucket/k",
	 NULL,
	 {{"GET /bucket/k ", 301, "x-amz-bucket-region: eu-west-1\r\n",
	   "<Error><Code>PermanentRedirect</Code></Error>"},
	  {"GET /bucket/k ", 200, NULL, "hello"}},
	 0,
	 "hello"},
	{"s3 absent",
	 "s3://bucket/k",
	 NULL,
	 {{"GET /bucket/k ", 404, NULL, "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>"}},
	 -ERR_NOT_FOUND,
	 "s3://bucket/k: HTTP 404 NoSuchKey: m"},
	{"s3 without a key",
	 "s3://bucket/",
	 NULL,
	 {{0}},
	 -ERR_INVALID,
	 "s3://bucket/: no key after the bucket: write s3://bucket/key"},
	{"s3 without anything",
	 "s3://",
	 NULL,
	 {{0}},
	 -ERR_INVALID,
	 "s3://: no key after the bucket: write s3://bucket/key"},
};

static void fetches(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf body = BUF_INIT(16);
		struct aws_world w;
		struct fetch fetch;
		struct err err = {0};
		int rc;

		buf_adds(&body, "from before");
		aws_world_start(&w, rows[i].script, NULL, true);
		fetch = (struct fetch){.http = w.aws.http, .aws = &w.aws};
		rc = fetch_get(&fetch, aws_world_fill(rows[i].url, w.lo.url, &w.arena), rows[i].sha256, &body, &err);
		aws_world_stop(&w);
		if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&w.lo));
		assert_string_equal(rc == 0 ? buf_str(&body) : err.msg,
				    aws_world_fill(rows[i].text, w.lo.url, &w.arena));
		if (rc != 0) assert_int_equal(body.len, 0);
		assert_int_equal(body.max, 16);
		aws_world_clear(&w);
	}
}

static const struct {
	const char *url, *location;
	int rc;
	const char *text;
} hops[] = {
	{"https://a/b", "https://c/d?e", 0, "https://c/d?e"},
	{"https://a/b", "HTTPS://c/d", 0, "HTTPS://c/d"},
	{"https://a/b", "//c/d", 0, "https://c/d"},
	{"https://a/b/c?d", "/e#f", 0, "https://a/e"},
	{"https://a/b/c?d", "e?f=http://g", 0, "https://a/b/e?f=http://g"},
	{"https://a", "e", 0, "https://a/e"},
	{"http://a/b", "https://c", 0, "https://c"},
	{"http://a/b", "http://c", 0, "http://c"},
	{"https://a/b", "http://c/d?secret", -ERR_DENIED, "redirected to http://c/d, which is not https"},
	{"https://a/b", "s3://c/d", -ERR_DENIED, "redirected to s3://c/d, which is not https"},
	{"https://a/b", "javascript:x", -ERR_DENIED, "redirected to javascript:x, which is not https"},
	{"http://a/b", "file:///etc/passwd", -ERR_DENIED, "redirected to file:///etc/passwd, which is not https"},
};

static void follows(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
		AUTO_ARENA struct arena arena = {0};
		const char *next = NULL;
		struct err err = {0};

		assert_int_equal(fetch_follow(hops[i].url, hops[i].location, &arena, &next, &err), hops[i].rc);
		assert_string_equal(next ? next : err.msg, hops[i].text);
	}
}

static void reads_files(void **state) {
	char path[] = "/tmp/fetch_test.XXXXXX", *message;
	int fd = mkstemp(path);
	AUTO_BUF struct buf body = BUF_INIT(16);
	struct fetch fetch = {0};
	struct err err = {0};

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	assert_int_equal(fetch_get(&fetch, path, HELLO_HASH, &body, &err), 0);
	assert_string_equal(buf_str(&body), "hello");
	assert_int_equal(chdir("/tmp"), 0);
	assert_int_equal(fetch_get(&fetch, path + strlen("/tmp/"), NULL, &body, &err), 0);
	assert_string_equal(buf_str(&body), "hello");
	assert_int_equal(fetch_get(&fetch, path, WRONG_HASH, &body, &err), -ERR_INVALID);
	assert_int_equal(body.len, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fetch_get(&fetch, path, NULL, &body, &err), -ERR_NOT_FOUND);
	message = strstr(err.msg, path);
	assert_ptr_equal(message, err.msg);
}

static void s3_needs_credentials(void **state) {
	AUTO_BUF struct buf body = BUF_INIT(16);
	struct fetch fetch = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(fetch_get(&fetch, "s3://bucket/key", NULL, &body, &err), -ERR_UNSUPPORTED);
	assert_string_equal(err.msg,
			    "s3://bucket/key: s3:// needs AWS credentials and a region, which are not in use here");
}

static void knows_urls(void **state) {
	(void)state;
	assert_true(fetch_is_url("https://a"));
	assert_true(fetch_is_url("http://a"));
	assert_true(fetch_is_url("s3://a"));
	assert_false(fetch_is_url("/s3://a"));
	assert_false(fetch_is_url("ftp://a"));
	assert_false(fetch_is_url("-"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetches),     cmocka_unit_test(follows),
		cmocka_unit_test(reads_files), cmocka_unit_test(s3_needs_credentials),
		cmocka_unit_test(knows_urls),
	};

	aws_world_pin_clock();
	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
