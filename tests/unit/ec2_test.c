#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/ec2.h"
#include "aws_world.h"

#define POST "POST / HTTP/1.1\r\n"
#define XMLNS " xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
#define CREATED(word)                                                                                                  \
	"<CreateTagsResponse" XMLNS "<requestId>r</requestId><return>" word "</return></CreateTagsResponse>"
#define ERROR(code, message)                                                                                           \
	"<Response><Errors><Error><Code>" code "</Code><Message>" message "</Message></Error></Errors></Response>"

static const struct retry_policy retry = {.base_ms = 1, .cap_ms = 2, .attempts = 2};

static char x256[257], x257[258]; /* 'x' so many times */

static const struct {
	const char *name;
	struct ec2_tag tags[3];
	size_t count;
	struct lo_row script[3];
	const char *body; /* of the first request */
	int rc;
	const char *message;
} rows[] = {
	{"two tags",
	 {{"dsagent:status", "running"}, {"dsagent:progress", "7/12 58% R & \"x\"=+\xc3\xbc"}},
	 2,
	 {{POST, 200, NULL, CREATED("true")}},
	 "Action=CreateTags&Version=2016-11-15&ResourceId.1=i-1&Tag.1.Key=dsagent%3Astatus&Tag.1.Value=running"
	 "&Tag.2.Key=dsagent%3Aprogress&Tag.2.Value=7%2F12%2058%25%20R%20%26%20%22x%22%3D%2B%C3%BC",
	 0,
	 ""},
	{"an empty value",
	 {{"k", ""}},
	 1,
	 {{POST, 200, NULL, CREATED("true")}},
	 "Action=CreateTags&Version=2016-11-15&ResourceId.1=i-1&Tag.1.Key=k&Tag.1.Value=",
	 0,
	 ""},
	{"no tags, no call", {{0}}, 0, {{0}}, NULL, 0, ""},
	{"the longest value", {{"k", x256}}, 1, {{POST, 200, NULL, CREATED("true")}}, NULL, 0, ""},
	{"too long a value",
	 {{"k", x257}},
	 1,
	 {{0}},
	 NULL,
	 -ERR_INVALID,
	 "the value of tag 'k' has 257 characters; 256 are allowed"},
	{"no key",
	 {{"", "v"}},
	 1,
	 {{0}},
	 NULL,
	 -ERR_INVALID,
	 "tag key '': keys have 1 to 128 characters and do not begin with aws:"},
	{"a reserved key",
	 {{"aws:x", "v"}},
	 1,
	 {{0}},
	 NULL,
	 -ERR_INVALID,
	 "tag key 'aws:x': keys have 1 to 128 characters and do not begin with aws:"},
	{"too many", {{"k", "v"}}, 51, {{0}}, NULL, -ERR_LIMIT, "51 tags; a resource has at most 50"},
	{"throttled once",
	 {{"k", "v"}},
	 1,
	 {{POST, 503, NULL, ERROR("RequestLimitExceeded", "slow")}, {POST, 200, NULL, CREATED("true")}},
	 NULL,
	 0,
	 ""},
	{"not allowed",
	 {{"k", "v"}},
	 1,
	 {{POST, 403, NULL, ERROR("UnauthorizedOperation", "You are not authorized.")}},
	 NULL,
	 -ERR_DENIED,
	 "ec2:CreateTags for i-1 (allow ec2:CreateTags in the policy of the instance's role): HTTP 403 "
	 "UnauthorizedOperation: You are not authorized."},
	{"said false",
	 {{"k", "v"}},
	 1,
	 {{POST, 200, NULL, CREATED("false")}},
	 NULL,
	 -ERR_REMOTE,
	 "ec2:CreateTags for i-1: HTTP 200, but the answer is not a success"},
	{"left <return> out, as moto does",
	 {{"k", "v"}},
	 1,
	 {{POST, 200, NULL, "<CreateTagsResponse" XMLNS "<requestId>r</requestId></CreateTagsResponse>"}},
	 NULL,
	 0,
	 NULL},
	{"said something else",
	 {{"k", "v"}},
	 1,
	 {{POST, 200, NULL, "<Other/>"}},
	 NULL,
	 -ERR_REMOTE,
	 "ec2:CreateTags for i-1: HTTP 200, but the answer is not a success"},
};

static void creates_tags(void **state) {
	(void)state;
	memset(x256, 'x', sizeof x256 - 1);
	memset(x257, 'x', sizeof x257 - 1);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct aws_world w;
		struct err err = {0};
		int rc;

		aws_world_start(&w, rows[i].script, NULL, true);
		rc = ec2_create_tags(&w.aws, "i-1", rows[i].tags, rows[i].count, &retry, &err);
		aws_world_stop(&w);
		if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", rows[i].name, lo_difference(&w.lo));
		if (rc != 0) assert_string_equal(err.msg, rows[i].message);
		if (rows[i].body) {
			assert_string_equal(strstr(w.lo.requests[0], "\r\n\r\n") + 4, rows[i].body);
			assert_non_null(
				strstr(w.lo.requests[0],
				       "\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"));
		}
		aws_world_clear(&w);
	}
}

static void refuses_an_answer_that_is_no_xml(void **state) {
	static const struct lo_row script[] = {{POST, 200, NULL, "{\"json\":1}"}, {0}};
	static const struct ec2_tag tag = {"k", "v"};
	struct aws_world w;
	struct err err = {0};

	(void)state;
	aws_world_start(&w, script, NULL, true);
	assert_int_equal(ec2_create_tags(&w.aws, "i-1", &tag, 1, &retry, &err), -ERR_INVALID);
	aws_world_stop(&w);
	assert_true(str_starts(err.msg, "ec2:CreateTags for i-1: the answer: "));
	aws_world_clear(&w);
}

#define ITEM(key, value)                                                                                               \
	"<item><resourceId>i-1</resourceId><resourceType>instance</resourceType><key>" key "</key><value>" value       \
	"</value></item>"
#define DESCRIBED(items)                                                                                               \
	"<DescribeTagsResponse" XMLNS "<requestId>r</requestId><tagSet>" items "</tagSet></DescribeTagsResponse>"

static const struct {
	const char *name, *prefix;
	struct lo_row script[2];
	const char *body;
	int rc;
	const char *text; /* "key=value;" each, or the message */
} described[] = {
	{"some",
	 "dsagent:",
	 {{POST, 200, NULL, DESCRIBED(ITEM("dsagent:status", "ready") ITEM("dsagent:error", "") ITEM("Name", "x"))}},
	 "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=i-1&Filter.2.Name=key"
	 "&Filter.2.Value.1=dsagent%3A%2A",
	 0,
	 "dsagent:status=ready;dsagent:error=;"},
	{"a prefix with wildcards",
	 "a*?\\",
	 {{POST, 200, NULL, DESCRIBED(ITEM("a*?\\b", "&lt;1&gt;") ITEM("ab", "2"))}},
	 "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=i-1&Filter.2.Name=key"
	 "&Filter.2.Value.1=a%5C%2A%5C%3F%5C%5C%2A",
	 0,
	 "a*?\\b=<1>;"},
	{"none", "", {{POST, 200, NULL, DESCRIBED("")}}, NULL, 0, ""},
	{"another answer",
	 "",
	 {{POST, 200, NULL, "<x/>"}},
	 NULL,
	 -ERR_REMOTE,
	 "ec2:DescribeTags for i-1: the answer: no DescribeTagsResponse"},
	{"not allowed",
	 "",
	 {{POST, 403, NULL, ERROR("UnauthorizedOperation", "no")}},
	 NULL,
	 -ERR_DENIED,
	 "ec2:DescribeTags for i-1 (allow ec2:DescribeTags in the policy of the instance's role): HTTP 403 "
	 "UnauthorizedOperation: no"},
};

static void describes_tags(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
		AUTO_BUF struct buf text = BUF_INIT(1000);
		struct aws_world w;
		struct ec2_tag *tags = NULL;
		size_t count = 0;
		struct err err = {0};
		int rc;

		aws_world_start(&w, described[i].script, NULL, true);
		rc = ec2_describe_tags(&w.aws, "i-1", described[i].prefix, &w.arena, &tags, &count, &err);
		aws_world_stop(&w);
		if (rc != described[i].rc) fail_msg("%s: %d: %s", described[i].name, rc, err.msg);
		for (size_t t = 0; t < count; t++) buf_addf(&text, "%s=%s;", tags[t].key, tags[t].value);
		assert_string_equal(rc == 0 ? buf_str(&text) : err.msg, described[i].text);
		if (described[i].body) assert_string_equal(strstr(w.lo.requests[0], "\r\n\r\n") + 4, described[i].body);
		aws_world_clear(&w);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creates_tags),
		cmocka_unit_test(refuses_an_answer_that_is_no_xml),
		cmocka_unit_test(describes_tags),
	};

	aws_world_pin_clock();
	return cmocka_run_group_tests_name("ec2", tests, NULL, NULL);
}
