#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/imds.h"
#include "base/buf.h"
#include "base/err.h"
#include "io/http.h"
#include "loopback.h"

#define PUT "PUT /latest/api/token HTTP/1.1\r\n"
#define GET "GET /latest/meta-data/instance-id HTTP/1.1\r\n"
#define TOKEN_ANSWER 200, NULL, "TOKEN=="
#define OFF                                                                                                            \
	"HTTP 403: the instance metadata service is turned off (enable it: aws ec2 modify-instance-metadata-options "  \
	"--http-endpoint enabled)"

/* One imds_get("meta-data/instance-id") against a script; $URL in messages is the endpoint. */
static const struct {
	const char *name;
	enum imds_patience patience;
	struct lo_row script[10];
	size_t max; /* of the value, 0: the default */
	int rc;
	const char *value, *message;
} rows[] = {
	{"a value", IMDS_BY_HAND, {{PUT, TOKEN_ANSWER}, {GET, 200, NULL, "i-1"}}, 0, 0, "i-1", ""},
	{"an empty value", IMDS_BY_HAND, {{PUT, TOKEN_ANSWER}, {GET, 200, NULL, ""}}, 0, 0, "", ""},
	{"absent",
	 IMDS_AT_BOOT,
	 {{PUT, TOKEN_ANSWER}, {GET, 404, NULL, "<html>"}},
	 0,
	 -ERR_NOT_FOUND,
	 NULL,
	 "instance metadata 'meta-data/instance-id': HTTP 404: not present on this instance"},
	{"turned off", IMDS_AT_BOOT, {{PUT, 403, NULL, ""}}, 0, -ERR_DENIED, NULL, "instance metadata token: " OFF},
	{"turned off in mid-run",
	 IMDS_AT_BOOT,
	 {{PUT, TOKEN_ANSWER}, {GET, 403, NULL, ""}},
	 0,
	 -ERR_DENIED,
	 NULL,
	 "instance metadata 'meta-data/instance-id': " OFF},
	{"a bad request is not repeated",
	 IMDS_AT_BOOT,
	 {{PUT, 400, NULL, ""}},
	 0,
	 -ERR_REMOTE,
	 NULL,
	 "instance metadata token: HTTP 400"},
	{"another web server",
	 IMDS_AT_BOOT,
	 {{PUT, 405, NULL, ""}},
	 0,
	 -ERR_REMOTE,
	 NULL,
	 "instance metadata token: HTTP 405: no IMDSv2 at $URL"},
	{"garbage for a token",
	 IMDS_AT_BOOT,
	 {{PUT, 200, NULL, "<html> hello"}},
	 0,
	 -ERR_REMOTE,
	 NULL,
	 "instance metadata token: what $URL answered is not a token"},
	{"an empty token",
	 IMDS_AT_BOOT,
	 {{PUT, 200, NULL, ""}},
	 0,
	 -ERR_REMOTE,
	 NULL,
	 "instance metadata token: what $URL answered is not a token"},
	{"up after three 503",
	 IMDS_AT_BOOT,
	 {{PUT, 503, NULL, ""},
	  {PUT, 503, NULL, ""},
	  {PUT, TOKEN_ANSWER},
	  {GET, 503, NULL, ""},
	  {GET, 200, NULL, "i-1"}},
	 0,
	 0,
	 "i-1",
	 ""},
	{"throttled once",
	 IMDS_BY_HAND,
	 {{PUT, TOKEN_ANSWER}, {GET, 429, NULL, ""}, {GET, 200, NULL, "i-1"}},
	 0,
	 0,
	 "i-1",
	 ""},
	{"by hand two tries",
	 IMDS_BY_HAND,
	 {{PUT, 503, NULL, ""}, {PUT, 503, NULL, ""}},
	 0,
	 -ERR_REMOTE,
	 NULL,
	 "gave up after 2 tries: instance metadata token: HTTP 503"},
	{"hung up, then there",
	 IMDS_AT_BOOT,
	 {{PUT, LO_CLOSE, NULL, NULL}, {PUT, TOKEN_ANSWER}, {GET, 200, NULL, "i-1"}},
	 0,
	 0,
	 "i-1",
	 ""},
	{"token refused in mid-run",
	 IMDS_BY_HAND,
	 {{PUT, TOKEN_ANSWER}, {GET, 401, NULL, ""}, {PUT, 200, NULL, "NEW"}, {GET, 200, NULL, "i-1"}},
	 0,
	 0,
	 "i-1",
	 ""},
	{"token refused twice",
	 IMDS_AT_BOOT,
	 {{PUT, TOKEN_ANSWER}, {GET, 401, NULL, ""}, {PUT, TOKEN_ANSWER}, {GET, 401, NULL, ""}},
	 0,
	 -ERR_DENIED,
	 NULL,
	 "instance metadata 'meta-data/instance-id': HTTP 401 even with a token that was made just now"},
	{"larger than asked for",
	 IMDS_BY_HAND,
	 {{PUT, TOKEN_ANSWER}, {GET, 200, NULL, "0123456789"}},
	 9,
	 -ERR_LIMIT,
	 NULL,
	 "GET $URL/latest/meta-data/instance-id: the answer is larger than 9 bytes"},
};

static void fill(const char *template, const struct lo *lo, char *out, size_t size) {
	const char *mark = strstr(template, "$URL");

	if (mark)
		(void)snprintf(out, size, "%.*s%s%s", (int)(mark - template), template, lo->url, mark + 4);
	else
		(void)snprintf(out, size, "%s", template);
}

struct world {
	struct lo lo;
	struct http *http;
	struct imds *imds;
};

static void start(struct world *w, const struct lo_row *script, const struct imds_conf *conf) {
	struct imds_conf own = *conf;
	struct err err;

	lo_start(&w->lo, script);
	own.endpoint = w->lo.url;
	assert_int_equal(http_open(&w->http, &err), 0);
	imds_open(&own, w->http, &w->imds);
}

static void stop(struct world *w) {
	imds_close(w->imds);
	http_close(w->http);
	lo_stop(&w->lo);
}

static void answers(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf value = BUF_INIT(rows[i].max);
		struct err err = {0};
		struct world w;
		char text[512];
		int rc;

		start(&w, rows[i].script, &(struct imds_conf){.patience = rows[i].patience});
		rc = imds_get(w.imds, "meta-data/instance-id", &value, &err);
		stop(&w);
		if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&w.lo));
		if (rows[i].value) assert_string_equal(buf_str(&value), rows[i].value);
		fill(rows[i].message, &w.lo, text, sizeof text);
		if (rc != 0) assert_string_equal(err.msg, text);
		lo_clear(&w.lo);
	}
}

static void sends_the_token_on_one_connection(void **state) {
	static const struct lo_row script[] = {{PUT, TOKEN_ANSWER},
					       {GET, 200, NULL, "i-1"},
					       {"GET /latest/user-data HTTP/1.1\r\n", 200, NULL, "#!"},
					       {0}};
	AUTO_BUF struct buf value = BUF_INIT(100);
	struct err err = {0};
	struct world w;

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	start(&w, script, &(struct imds_conf){.patience = IMDS_BY_HAND});
	assert_int_equal(imds_get(w.imds, "meta-data/instance-id", &value, &err), 0);
	assert_int_equal(imds_get(w.imds, "user-data", &value, &err), 0);
	unsetenv("http_proxy");
	stop(&w);
	assert_string_equal(buf_str(&value), "#!");
	assert_null(lo_difference(&w.lo));
	assert_non_null(strstr(w.lo.requests[0], "\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
	assert_non_null(strstr(w.lo.requests[0], "\r\nContent-Length: 0\r\n"));
	assert_non_null(strstr(w.lo.requests[1], "\r\nX-aws-ec2-metadata-token: TOKEN==\r\n"));
	assert_non_null(strstr(w.lo.requests[2], "\r\nX-aws-ec2-metadata-token: TOKEN==\r\n"));
	assert_int_equal(w.lo.connections, 1);
	lo_clear(&w.lo);
}

/* No answer to the PUT is what a hop limit of 1 does to a container; the answer no is remembered by hand. */
static void names_the_hop_limit(void **state) {
	static const struct lo_row script[] = {{PUT, LO_STALL, NULL, NULL}, {PUT, LO_STALL, NULL, NULL}, {0}};
	AUTO_BUF struct buf value = BUF_INIT(100);
	struct err err = {0}, again = {0};
	struct world w;

	(void)state;
	start(&w, script, &(struct imds_conf){.patience = IMDS_BY_HAND});
	assert_int_equal(imds_get(w.imds, "meta-data/instance-id", &value, &err), -ERR_TIMEOUT);
	assert_int_equal(imds_get(w.imds, "user-data", &value, &again), -ERR_TIMEOUT);
	stop(&w);
	assert_string_equal(err.msg, again.msg);
	assert_ptr_equal(strstr(err.msg,
				"gave up after 2 tries: no answer to the token request: not an EC2 instance, or "
				"the answer is stopped by the hop limit (in a container: aws ec2 "
				"modify-instance-metadata-options --http-put-response-hop-limit 2): PUT "),
			 err.msg);
	assert_null(lo_difference(&w.lo));
	lo_clear(&w.lo);
}

static bool always(void) { return true; }

static void is_cancelled_between_tries(void **state) {
	static const struct lo_row script[] = {{PUT, 503, NULL, ""}, {0}};
	AUTO_BUF struct buf value = BUF_INIT(100);
	struct err err = {0};
	struct world w;

	(void)state;
	start(&w, script, &(struct imds_conf){.patience = IMDS_AT_BOOT, .is_cancelled = always});
	assert_int_equal(imds_get(w.imds, "meta-data/instance-id", &value, &err), -ERR_CANCELLED);
	stop(&w);
	assert_string_equal(err.msg, "told to stop while waiting for instance metadata");
	assert_null(lo_difference(&w.lo));
	lo_clear(&w.lo);
}

static void user_data_is_capped(void **state) {
	static char large[33 * 1024];
	struct lo_row script[] = {{PUT, TOKEN_ANSWER}, {"GET /latest/user-data ", 200, NULL, large}, {0}};
	AUTO_BUF struct buf value = BUF_INIT(1024 * 1024);
	struct err err = {0};
	struct world w;

	(void)state;
	memset(large, 'x', sizeof large - 1);
	start(&w, script, &(struct imds_conf){.patience = IMDS_BY_HAND});
	assert_int_equal(imds_get(w.imds, "user-data", &value, &err), -ERR_LIMIT);
	stop(&w);
	lo_clear(&w.lo);
}

#define DOCUMENT "GET /latest/dynamic/instance-identity/document "
#define CYCLE "GET /latest/meta-data/instance-life-cycle "
#define DOMAIN "GET /latest/meta-data/services/domain "
#define PARTITION "GET /latest/meta-data/services/partition "
#define FULL                                                                                                           \
	"{\"accountId\":\"123456789012\",\"architecture\":\"x86_64\",\"availabilityZone\":\"eu-central-1a\","          \
	"\"imageId\":\"ami-1\",\"instanceId\":\"i-0123456789abcdef0\",\"instanceType\":\"g4dn.xlarge\","               \
	"\"kernelId\":null,\"pendingTime\":\"2026-11-20T12:00:00Z\",\"privateIp\":\"10.0.0.1\","                       \
	"\"region\":\"eu-central-1\"}"

static const struct {
	const char *name;
	struct lo_row script[6];
	int rc;
	const char *text; /* all items in the order of the struct, or the message */
} identities[] = {
	{"all of it",
	 {{PUT, TOKEN_ANSWER},
	  {DOCUMENT, 200, NULL, FULL},
	  {CYCLE, 200, NULL, "spot"},
	  {DOMAIN, 200, NULL, "amazonaws.com\n"},
	  {PARTITION, 200, NULL, "aws"}},
	 0,
	 "i-0123456789abcdef0 g4dn.xlarge eu-central-1 eu-central-1a 123456789012 ami-1 x86_64 10.0.0.1 "
	 "2026-11-20T12:00:00Z spot amazonaws.com aws"},
	{"optional items absent",
	 {{PUT, TOKEN_ANSWER},
	  {DOCUMENT, 200, NULL, "{\"instanceId\":\"i-1\",\"region\":\"eu-1\"}"},
	  {CYCLE, 404, NULL, ""},
	  {DOMAIN, 404, NULL, ""},
	  {PARTITION, 200, NULL, "evil/../host"}},
	 0,
	 "i-1  eu-1         "},
	{"no region",
	 {{PUT, TOKEN_ANSWER}, {DOCUMENT, 200, NULL, "{\"instanceId\":\"i-1\",\"region\":\"a b\"}"}},
	 -ERR_REMOTE,
	 "instance metadata 'dynamic/instance-identity/document' holds no usable region"},
	{"no instance id",
	 {{PUT, TOKEN_ANSWER}, {DOCUMENT, 200, NULL, "{\"region\":\"eu-1\"}"}},
	 -ERR_REMOTE,
	 "instance metadata 'dynamic/instance-identity/document' holds no usable instanceId"},
};

static void identity(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof identities / sizeof *identities; i++) {
		struct imds_identity id = {0};
		struct err err = {0};
		struct world w;
		char text[1024];
		int rc;

		start(&w, identities[i].script, &(struct imds_conf){.patience = IMDS_BY_HAND});
		rc = imds_identity(w.imds, &id, &err);
		stop(&w);
		if (rc != identities[i].rc) fail_msg("%s: %d: %s", identities[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", identities[i].name, lo_difference(&w.lo));
		(void)snprintf(text, sizeof text, "%s %s %s %s %s %s %s %s %s %s %s %s", id.instance_id,
			       id.instance_type, id.region, id.availability_zone, id.account_id, id.image_id,
			       id.architecture, id.private_ip, id.pending_time, id.lifecycle, id.domain, id.partition);
		assert_string_equal(rc == 0 ? text : err.msg, identities[i].text);
		lo_clear(&w.lo);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(sends_the_token_on_one_connection),
		cmocka_unit_test(names_the_hop_limit),
		cmocka_unit_test(is_cancelled_between_tries),
		cmocka_unit_test(user_data_is_capped),
		cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests_name("imds", tests, NULL, NULL);
}
