#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/call_private.h"
#include "aws_world.h"

#define EC2(code, message)                                                                                             \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>" code "</Code><Message>" message  \
	"</Message></Error></Errors><RequestID>r</RequestID></Response>"
#define S3(code, message, more)                                                                                        \
	"<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>" message "</Message>" more "</Error>"
#define POST "POST / HTTP/1.1\r\n"
#define OK POST, 200, NULL, "<ok/>"
#define ONE_HOUR_ON "Date: Fri, 24 May 2013 01:00:00 GMT\r\n"
#define WEB_PAGE "with a web page instead of an AWS answer: a proxy or portal stands in between"

/* One POST to ec2 against a script. */
static const struct {
	const char *name;
	struct lo_row script[6];
	int rc;
	const char *code, *text; /* of the service; the answer's body or the message */
	int64_t skew_s;
} rows[] = {
	{"answered", {{OK}}, 0, "", "<ok/>", 0},
	{"not allowed",
	 {{POST, 403, NULL, EC2("UnauthorizedOperation", "You may not. Encoded authorization failure message: x")}},
	 -ERR_DENIED,
	 "UnauthorizedOperation",
	 "HTTP 403 UnauthorizedOperation: You may not.",
	 0},
	{"a code of two lines",
	 {{POST, 400, NULL, EC2("Odd\nforged: line", "two\nlines")}},
	 -ERR_INVALID,
	 "Odd forged: line",
	 "HTTP 400 Odd forged: line: two lines",
	 0},
	{"a token that has expired, and there is no other",
	 {{POST, 400, NULL, S3("ExpiredToken", "The provided token has expired.", "")}},
	 -ERR_DENIED,
	 "ExpiredToken",
	 "HTTP 400 ExpiredToken: The provided token has expired.",
	 0},
	{"not there",
	 {{POST, 400, NULL, EC2("InvalidInstanceID.NotFound", "No i-1")}},
	 -ERR_NOT_FOUND,
	 "InvalidInstanceID.NotFound",
	 "HTTP 400 InvalidInstanceID.NotFound: No i-1",
	 0},
	{"wrong",
	 {{POST, 400, NULL, EC2("TagLimitExceeded", "50")}},
	 -ERR_INVALID,
	 "TagLimitExceeded",
	 "HTTP 400 TagLimitExceeded: 50",
	 0},
	{"throttled, then answered",
	 {{POST, 503, NULL, EC2("RequestLimitExceeded", "slow")}, {POST, 400, NULL, EC2("Throttling", "slow")}, {OK}},
	 0,
	 "",
	 "<ok/>",
	 0},
	{"throttled to the end",
	 {{POST, 429, NULL, ""}, {POST, 500, NULL, ""}, {POST, 503, NULL, EC2("Unavailable", "later")}},
	 -ERR_REMOTE,
	 "Unavailable",
	 "after 3 tries: HTTP 503 Unavailable: later",
	 0},
	{"what it cannot do it is asked once",
	 {{POST, 501, NULL, S3("NotImplemented", "A header you provided", "")}},
	 -ERR_REMOTE,
	 "NotImplemented",
	 "HTTP 501 NotImplemented: A header you provided",
	 0},
	{"hung up, then answered", {{POST, LO_CLOSE, NULL, NULL}, {OK}}, 0, "", "<ok/>", 0},
	{"no body", {{POST, 404, NULL, ""}}, -ERR_NOT_FOUND, "", "HTTP 404 without an error message", 0},
	{"a proxy's refusal",
	 {{POST, 403, NULL, "\n<!DOCTYPE html><html>no</html>"}},
	 -ERR_DENIED,
	 "",
	 "HTTP 403 " WEB_PAGE,
	 0},
	{"a proxy's refusal in XHTML",
	 {{POST, 403, NULL, "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"x\">\n<html>no</html>"}},
	 -ERR_DENIED,
	 "",
	 "HTTP 403 " WEB_PAGE,
	 0},
	{"a proxy that asks who we are",
	 {{POST, 407, NULL, "<!DOCTYPE html><html>log in</html>"}},
	 -ERR_DENIED,
	 "",
	 "HTTP 407: the proxy asks for user and password: write http://USER:PASSWORD@HOST:PORT into the variable that "
	 "names it",
	 0},
	{"a portal's page", {{POST, 200, NULL, "<HTML>log in</HTML>"}}, -ERR_REMOTE, "", "HTTP 200 " WEB_PAGE, 0},
	{"neither XML nor HTML",
	 {{POST, 418, NULL, "I'm a teapot"}},
	 -ERR_INVALID,
	 "",
	 "HTTP 418 with an answer that AWS does not send (no XML error): is the endpoint right?",
	 0},
	{"a DOCTYPE is not read",
	 {{POST, 400, NULL, "<!DOCTYPE x [<!ENTITY e 'x'>]><Response/>"}},
	 -ERR_INVALID,
	 "",
	 "HTTP 400 with an answer that AWS does not send (no XML error): is the endpoint right?",
	 0},
	{"clock an hour behind", {{POST, 400, ONE_HOUR_ON, EC2("RequestExpired", "old")}, {OK}}, 0, "", "<ok/>", 3600},
	{"clock behind, said by the signature",
	 {{POST, 403, ONE_HOUR_ON, EC2("SignatureDoesNotMatch", "expired")}, {OK}},
	 0,
	 "",
	 "<ok/>",
	 3600},
	{"clock cured once only",
	 {{POST, 403, ONE_HOUR_ON, EC2("RequestTimeTooSkewed", "old")},
	  {POST, 403, "Date: Fri, 24 May 2013 02:00:00 GMT\r\n", EC2("RequestTimeTooSkewed", "old")}},
	 -ERR_DENIED,
	 "RequestTimeTooSkewed",
	 "HTTP 403 RequestTimeTooSkewed: old",
	 3600},
	{"a wrong key is no clock's fault",
	 {{POST, 403, "Date: Fri, 24 May 2013 00:00:30 GMT\r\n", EC2("SignatureDoesNotMatch", "wrong")}},
	 -ERR_DENIED,
	 "SignatureDoesNotMatch",
	 "HTTP 403 SignatureDoesNotMatch: wrong",
	 0},
	{"an unreadable date",
	 {{POST, 403, "Date: yesterday\r\n", EC2("RequestTimeTooSkewed", "old")}},
	 -ERR_DENIED,
	 "RequestTimeTooSkewed",
	 "HTTP 403 RequestTimeTooSkewed: old",
	 0},
};

static const struct aws_request post = {
	.service = "ec2",
	.method = "POST",
	.path = "/",
	.content_type = "text/plain",
	.body = "Action=X",
	.body_max = 4096,
	.retry = {.base_ms = 1, .cap_ms = 2, .attempts = 3},
	.connect_timeout_ms = 5000,
	.total_timeout_ms = 20000,
};

static void answers(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf body = {0};
		struct aws_world w;
		struct err err = {0};
		char code[64] = "";
		int rc;

		aws_world_start(&w, rows[i].script, NULL, true);
		rc = aws_call(&w.aws, &post, &body, code, &err);
		aws_world_stop(&w);
		if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&w.lo));
		assert_string_equal(rc == 0 ? buf_str(&body) : err.msg, rows[i].text);
		if (rc != 0) assert_string_equal(code, rows[i].code);
		assert_int_equal(w.aws.clock_skew_s, rows[i].skew_s);
		if (rows[i].skew_s) assert_non_null(strstr(w.lo.requests[1], "\r\nX-Amz-Date: 20130524T010000Z\r\n"));
		aws_world_clear(&w);
	}
}

/* The whole request but for the signature, which sigv4_test checks. */
static void sends(void **state) {
	static const char *const env[] = {"AWS_SESSION_TOKEN=token-1", NULL};
	static const struct lo_row script[] = {{OK}, {0}};
	AUTO_BUF struct buf body = {0};
	struct aws_world w;
	struct err err = {0};
	char *signature;

	(void)state;
	aws_world_start(&w, script, env, true);
	assert_int_equal(aws_call(&w.aws, &post, &body, NULL, &err), 0);
	aws_world_stop(&w);
	signature = strstr(w.lo.requests[0], "Signature=");
	assert_non_null(signature);
	for (char *p = signature + 10; *p != '\r'; p++) *p = '#';
	assert_string_equal(
		w.lo.requests[0],
		aws_world_fill(
			"POST / HTTP/1.1\r\nHost: $HOST\r\nUser-Agent: dsagent/" DSAGENT_VERSION "\r\nAccept: */*\r\n"
			"X-Amz-Date: 20130524T000000Z\r\nContent-Type: text/plain\r\nX-Amz-Security-Token: token-1\r\n"
			"Authorization: AWS4-HMAC-SHA256 "
			"Credential=AKIDEXAMPLE/20130524/us-east-1/ec2/aws4_request, "
			"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
			"Signature=################################################################\r\n"
			"Content-Length: 8\r\n\r\nAction=X",
			w.lo.url, &w.arena));
	aws_world_clear(&w);
}

#define CREDS(id)                                                                                                      \
	"{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"secret-1\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

static void renews_an_expired_token_once(void **state) {
	static const char *const env[] = {"AWS_CONTAINER_CREDENTIALS_FULL_URI=$URL/creds", NULL};
	static const struct lo_row script[] = {
		{"GET /creds ", 200, NULL, CREDS("FIRST")},
		{POST, 400, NULL, EC2("ExpiredToken", "old")},
		{"GET /creds ", 200, NULL, CREDS("SECOND")},
		{POST, 400, NULL, EC2("ExpiredToken", "old again")},
		{0},
	};
	AUTO_BUF struct buf body = {0};
	struct aws_world w;
	struct err err = {0};

	(void)state;
	aws_world_start(&w, script, env, false);
	assert_int_equal(aws_call(&w.aws, &post, &body, NULL, &err), -ERR_DENIED);
	aws_world_stop(&w);
	assert_string_equal(err.msg, "HTTP 400 ExpiredToken: old again");
	assert_null(lo_difference(&w.lo));
	assert_non_null(strstr(w.lo.requests[1], "Credential=FIRST/"));
	assert_non_null(strstr(w.lo.requests[3], "Credential=SECOND/"));
	aws_world_clear(&w);
}

/* Twice 301: the first is followed to the region that it names, the second is the answer. */
static void follows_the_bucket_to_its_region_once(void **state) {
	static const struct lo_row script[] = {
		{"GET /bucket/a%20b%25?x=1%2F2 ", 301, "x-amz-bucket-region: eu-west-1\r\n",
		 S3("PermanentRedirect", "m", "")},
		{"GET /bucket/a%20b%25?x=1%2F2 ", 400, NULL,
		 S3("AuthorizationHeaderMalformed", "wrong region", "<Region>eu-west-3</Region>")},
		{0},
	};
	static const char *const query[] = {"x", "1/2", NULL};
	AUTO_BUF struct buf body = {0};
	struct aws_request req = post;
	struct aws_world w;
	struct err err = {0};

	(void)state;
	req.service = "s3";
	req.bucket = "bucket";
	req.method = "GET";
	req.path = "/a b%";
	req.query = query;
	req.body = req.content_type = NULL;
	aws_world_start(&w, script, NULL, true);
	assert_int_equal(aws_call(&w.aws, &req, &body, NULL, &err), -ERR_INVALID);
	aws_world_stop(&w);
	assert_string_equal(err.msg, "HTTP 400 AuthorizationHeaderMalformed: wrong region");
	assert_null(lo_difference(&w.lo));
	assert_non_null(strstr(w.lo.requests[0], "/20130524/us-east-1/s3/aws4_request, "
						 "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "));
	assert_non_null(strstr(w.lo.requests[1], "/20130524/eu-west-1/s3/aws4_request, "));
	aws_world_clear(&w);
}

static bool always(void) { return true; }

static void is_cancelled_between_tries(void **state) {
	static const struct lo_row script[] = {{POST, 503, NULL, ""}, {0}};
	AUTO_BUF struct buf body = {0};
	struct aws_world w;
	struct err err = {0};

	(void)state;
	aws_world_start(&w, script, NULL, true);
	w.aws.is_cancelled = always;
	assert_int_equal(aws_call(&w.aws, &post, &body, NULL, &err), -ERR_CANCELLED);
	aws_world_stop(&w);
	assert_null(lo_difference(&w.lo));
	aws_world_clear(&w);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(sends),
		cmocka_unit_test(renews_an_expired_token_once),
		cmocka_unit_test(follows_the_bucket_to_its_region_once),
		cmocka_unit_test(is_cancelled_between_tries),
	};

	aws_world_pin_clock();
	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
