#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"
#include "io/http.h"
#include "loopback.h"

#define TEN "0123456789"

/* One request against one scripted answer; URL in messages is written as $URL. */
static const struct {
	const char *name;
	const char *method, *path, *body;
	size_t body_max;
	struct lo_row script[2];
	const char *sent; /* the request, whole, "$HOST" for the address */
	int rc, status;
	const char *answer;  /* body */
	const char *message; /* of err */
	bool is_retryable;
} rows[] = {
	{"get",
	 "GET",
	 "/a/../b?q=1",
	 NULL,
	 10,
	 {{"GET ", 200, NULL, TEN}},
	 "GET /a/../b?q=1 HTTP/1.1\r\nHost: $HOST\r\nUser-Agent: dsagent/" DSAGENT_VERSION
	 "\r\nAccept: */*\r\nX-One: 1\r\n\r\n",
	 0,
	 200,
	 TEN,
	 "",
	 false},
	{"post",
	 "POST",
	 "/",
	 "a=1",
	 10,
	 {{"POST ", 200, NULL, "ok"}},
	 "POST / HTTP/1.1\r\nHost: $HOST\r\nUser-Agent: dsagent/" DSAGENT_VERSION
	 "\r\nAccept: */*\r\nX-One: 1\r\nContent-Length: 3\r\n\r\na=1",
	 0,
	 200,
	 "ok",
	 "",
	 false},
	{"put without a body",
	 "PUT",
	 "/t",
	 NULL,
	 10,
	 {{"PUT ", 204, NULL, NULL}},
	 "PUT /t HTTP/1.1\r\nHost: $HOST\r\nUser-Agent: dsagent/" DSAGENT_VERSION
	 "\r\nAccept: */*\r\nX-One: 1\r\nContent-Length: 0\r\n\r\n",
	 0,
	 204,
	 "",
	 "",
	 false},
	{"head", "HEAD", "/h", NULL, 0, {{"HEAD ", 200, NULL, "twelve bytes"}}, NULL, 0, 200, "", "", false},
	{"delete", "DELETE", "/d", NULL, 9, {{"DELETE /d ", 200, NULL, "x"}}, NULL, 0, 200, "x", "", false},
	{"an error is an answer", "GET", "/", NULL, 10, {{"GET ", 503, NULL, "busy"}}, NULL, 0, 503, "busy", "", false},
	{"an error's body has its own cap",
	 "GET",
	 "/",
	 NULL,
	 4,
	 {{"GET ", 503, NULL, TEN}},
	 NULL,
	 0,
	 503,
	 TEN,
	 "",
	 false},
	{"redirects are not followed",
	 "GET",
	 "/",
	 NULL,
	 10,
	 {{"GET ", 302, "Location: /x\r\n", ""}},
	 NULL,
	 0,
	 302,
	 "",
	 "",
	 false},
	{"too large",
	 "GET",
	 "/p?secret",
	 NULL,
	 9,
	 {{"GET ", 200, NULL, TEN}},
	 NULL,
	 -ERR_LIMIT,
	 0,
	 NULL,
	 "GET $URL/p: the answer is larger than 9 bytes",
	 false},
	{"hung up",
	 "GET",
	 "/p?secret",
	 NULL,
	 9,
	 {{"GET ", LO_CLOSE, NULL, NULL}},
	 NULL,
	 -ERR_NET,
	 0,
	 NULL,
	 "GET $URL/p: Empty reply from server",
	 true},
	{"cut short",
	 "GET",
	 "/",
	 NULL,
	 99,
	 {{"GET ", LO_RAW, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabc"}},
	 NULL,
	 -ERR_NET,
	 0,
	 NULL,
	 NULL,
	 true},
	{"no HTTP",
	 "GET",
	 "/",
	 NULL,
	 99,
	 {{"GET ", LO_RAW, NULL, "SSH-2.0-OpenSSH_9.2\r\n"}},
	 NULL,
	 -ERR_NET,
	 0,
	 NULL,
	 NULL,
	 true},
};

static void fill(const char *template, const struct lo *lo, char *out, size_t size) {
	const char *mark = strstr(template, "$URL"), *host = strstr(template, "$HOST");

	if (mark)
		(void)snprintf(out, size, "%.*s%s%s", (int)(mark - template), template, lo->url, mark + 4);
	else if (host)
		(void)snprintf(out, size, "%.*s%s%s", (int)(host - template), template, lo->url + 7, host + 5);
	else
		(void)snprintf(out, size, "%s", template);
}

static void one(size_t i) {
	struct lo lo;
	struct strs headers = {0};
	AUTO_HTTP struct http *http = NULL;
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	struct err err = {0};
	char url[256], text[1024];
	int rc;

	lo_start(&lo, rows[i].script);
	(void)snprintf(url, sizeof url, "%s%s", lo.url, rows[i].path);
	strs_add(&headers, "X-One: 1");
	assert_int_equal(http_open(&http, &err), 0);
	rc = http_do(http,
		     &(struct http_request){.method = rows[i].method,
					    .url = url,
					    .headers = &headers,
					    .body = rows[i].body,
					    .body_len = rows[i].body ? strlen(rows[i].body) : 0,
					    .connect_timeout_ms = 5000,
					    .total_timeout_ms = 20000,
					    .body_max = rows[i].body_max,
					    .bypasses_proxy = true},
		     &answer, &err);
	lo_stop(&lo);
	if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
	if (lo_difference(&lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&lo));
	if (rows[i].sent) {
		fill(rows[i].sent, &lo, text, sizeof text);
		assert_string_equal(lo.requests[0], text);
	}
	assert_int_equal(answer.status, rows[i].status);
	if (rows[i].answer) assert_string_equal(buf_str(&answer.body), rows[i].answer);
	if (rows[i].message) {
		fill(rows[i].message, &lo, text, sizeof text);
		assert_string_equal(err.msg, text);
	}
	assert_int_equal(err.is_retryable, rows[i].is_retryable);
	lo_clear(&lo);
	strs_clear(&headers);
}

static void requests(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) one(i);
}

static int get_within(struct http *http, const char *url, int64_t timeout_ms, struct http_response *answer,
		      struct err *err) {
	return http_do(http,
		       &(struct http_request){.method = "GET",
					      .url = url,
					      .connect_timeout_ms = 5000,
					      .total_timeout_ms = timeout_ms,
					      .body_max = 100,
					      .bypasses_proxy = true},
		       answer, err);
}

static int get(struct http *http, const char *url, struct http_response *answer, struct err *err) {
	return get_within(http, url, 20000, answer, err);
}

/* Refused before anything is sent; the user, the password and the query are never shown. */
static const struct {
	const char *url, *message;
} bad_urls[] = {
	{"ftp://h/x", "GET ftp://h/x: not an http:// or https:// URL"},
	{"file:///etc/passwd", "GET file:///etc/passwd: not an http:// or https:// URL"},
	{"http://u:pw@h/a b?q", "GET http://h/a b: malformed URL: it holds a space or control character; write %20"},
	{"http://h/a\r\nX: y", "GET http://h/a??X: y: malformed URL: it holds a space or control character; write %0D"},
};

static void refuses_urls(void **state) {
	AUTO_HTTP struct http *http = NULL;
	struct http_response answer = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(http_open(&http, &err), 0);
	for (size_t i = 0; i < sizeof bad_urls / sizeof *bad_urls; i++) {
		assert_int_equal(get(http, bad_urls[i].url, &answer, &err), -ERR_NET);
		assert_string_equal(err.msg, bad_urls[i].message);
		assert_false(err.is_retryable);
	}
}

static void times_out(void **state) {
	static const struct lo_row script[] = {{"GET /", LO_STALL, NULL, NULL}, {0}};
	AUTO_HTTP struct http *http = NULL;
	struct http_response answer = {0};
	struct err err = {0};
	struct lo lo;

	(void)state;
	lo_start(&lo, script);
	assert_int_equal(http_open(&http, &err), 0);
	assert_int_equal(get_within(http, lo.url, 200, &answer, &err), -ERR_TIMEOUT);
	assert_true(err.is_retryable);
	lo_stop(&lo);
	lo_clear(&lo);
}

static void keeps_the_connection(void **state) {
	static const struct lo_row script[] = {{"GET /", 200, "X-A: 1\r\n", "one"},
					       {"GET /", 404, "x-b:  two words \r\n", "no"},
					       {"GET /", 200, NULL, "3"},
					       {0}};
	static const char *const bodies[] = {"one", "no", "3"};
	AUTO_HTTP struct http *http = NULL;
	struct err err = {0};
	struct lo lo;

	(void)state;
	lo_start(&lo, script);
	assert_int_equal(http_open(&http, &err), 0);
	for (size_t i = 0; i < 3; i++) {
		AUTO_HTTP_RESPONSE struct http_response answer = {0};
		AUTO_FREE char *b = NULL, *none = NULL;

		assert_int_equal(get(http, lo.url, &answer, &err), 0);
		assert_string_equal(buf_str(&answer.body), bodies[i]);
		b = http_header(&answer, "X-B");
		none = http_header(&answer, "X");
		assert_null(none);
		if (i == 1) assert_string_equal(b, "two words");
	}
	lo_stop(&lo);
	assert_int_equal(lo.connections, 1);
	lo_clear(&lo);
}

static void ignores_the_proxy(void **state) {
	static const struct lo_row script[] = {{"GET /direct ", 200, NULL, "direct"}, {0}};
	static const struct lo_row proxy_script[] = {{"GET http://example.invalid/x ", 200, NULL, "by proxy"}, {0}};
	AUTO_HTTP struct http *http = NULL;
	AUTO_HTTP_RESPONSE struct http_response answer = {0}, proxied = {0};
	struct err err = {0};
	struct lo lo, proxy;
	char url[128];

	(void)state;
	lo_start(&lo, script);
	lo_start(&proxy, proxy_script);
	setenv("http_proxy", proxy.url, 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	(void)snprintf(url, sizeof url, "%s/direct", lo.url);
	assert_int_equal(http_open(&http, &err), 0);
	assert_int_equal(get(http, url, &answer, &err), 0);
	assert_int_equal(http_do(http,
				 &(struct http_request){.method = "GET",
							.url = "http://example.invalid/x",
							.connect_timeout_ms = 5000,
							.total_timeout_ms = 20000,
							.body_max = 100},
				 &proxied, &err),
			 0);
	unsetenv("http_proxy");
	lo_stop(&lo);
	lo_stop(&proxy);
	assert_string_equal(buf_str(&answer.body), "direct");
	assert_string_equal(buf_str(&proxied.body), "by proxy");
	assert_null(lo_difference(&lo));
	assert_null(lo_difference(&proxy));
	lo_clear(&lo);
	lo_clear(&proxy);
}

static void cuts_a_long_error(void **state) {
	static char page[HTTP_ERROR_BODY_MAX + 2];
	const struct lo_row script[] = {{"GET /", 500, NULL, page}, {0}};
	AUTO_HTTP struct http *http = NULL;
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	struct err err = {0};
	struct lo lo;

	(void)state;
	memset(page, 'x', sizeof page - 1);
	lo_start(&lo, script);
	assert_int_equal(http_open(&http, &err), 0);
	assert_int_equal(get(http, lo.url, &answer, &err), 0);
	lo_stop(&lo);
	lo_clear(&lo);
	assert_int_equal(answer.status, 500);
	assert_int_equal(answer.body.len, HTTP_ERROR_BODY_MAX);
}

static int take(const void *data, size_t len, void *arg, struct err *err) {
	buf_add(arg, data, len);
	if (strstr(buf_str(arg), "bad")) return err_set(err, ERR_IO, "no room");
	return strstr(buf_str(arg), "stop") != NULL;
}

static const struct {
	const char *name;
	struct lo_row script[2];
	int rc;
	const char *taken, *body; /* what on_body got, what stayed in the response */
} streams[] = {
	{"whole", {{"GET /", 200, NULL, "data"}}, 0, "data", ""},
	{"an error does not go to the receiver", {{"GET /", 404, NULL, "none"}}, 0, "", "none"},
	{"stopped", {{"GET /", 200, NULL, "stop"}}, -ERR_CANCELLED, "stop", ""},
	{"failed", {{"GET /", 200, NULL, "bad"}}, -ERR_IO, "bad", ""},
	{"too large", {{"GET /", 200, NULL, "0123456789"}}, -ERR_LIMIT, "", ""},
};

static void streams_the_body(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		AUTO_HTTP struct http *http = NULL;
		AUTO_HTTP_RESPONSE struct http_response answer = {0};
		AUTO_BUF struct buf taken = BUF_INIT(100);
		struct err err = {0};
		struct lo lo;
		int rc;

		lo_start(&lo, streams[i].script);
		assert_int_equal(http_open(&http, &err), 0);
		rc = http_do(http,
			     &(struct http_request){.method = "GET",
						    .url = lo.url,
						    .connect_timeout_ms = 5000,
						    .total_timeout_ms = 20000,
						    .body_max = 9,
						    .bypasses_proxy = true,
						    .on_body = take,
						    .arg = &taken},
			     &answer, &err);
		lo_stop(&lo);
		lo_clear(&lo);
		if (rc != streams[i].rc) fail_msg("%s: %d: %s", streams[i].name, rc, err.msg);
		assert_string_equal(buf_str(&taken), streams[i].taken);
		assert_string_equal(buf_str(&answer.body), streams[i].body);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(refuses_urls),
		cmocka_unit_test(times_out),
		cmocka_unit_test(cuts_a_long_error),
		cmocka_unit_test(keeps_the_connection),
		cmocka_unit_test(ignores_the_proxy),
		cmocka_unit_test(streams_the_body),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
