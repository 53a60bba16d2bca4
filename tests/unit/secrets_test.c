#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "fmt/secrets.h"

static const struct {
	const char *text, *scrubbed;
} rows[] = {
	{"", ""},
	{"nothing to hide: 3.10 and yes", "nothing to hide: 3.10 and yes"},
	{"https://bob:hunter2@host/x", "https://bob:***@host/x"},
	{"https://tokenalone@host/x", "https://***@host/x"},
	{"git+ssh://git:p%40ss@host", "git+ssh://git:***@host"},
	{"mailto a@b.c, http://host/a@b", "mailto a@b.c, http://host/a@b"},
	{"GET /x?X-Amz-Signature=abcdef01&y=1", "GET /x?X-Amz-Signature=***&y=1"},
	{"/x?token=abcdef&sig=zyxwvu", "/x?token=***&sig=***"},
	{"design=modern", "design=modern"},
	{"password: hunter2", "password: ***"},
	{"PGPASSWORD=\"hunter2\" psql", "PGPASSWORD=\"***\" psql"},
	{"{\"secretKey\": \"abcd1234\", \"n\": 1}", "{\"secretKey\": \"***\", \"n\": 1}"},
	{"--token abcd1234 --verbose", "--token *** --verbose"},
	{"the token is long", "the token is long"},
	{"Authorization: Bearer eyJhbGciOi", "Authorization: Bearer ***"},
	{"authorization: basic dXNlcjpw", "authorization: basic ***"},
	{"token: ${vars.token}", "token: ${vars.token}"},
	{"TOKEN=$(cat f)", "TOKEN=$(cat f)"},
	{"password=***", "password=***"},
	{"key AKIAIOSFODNN7EXAMPLE here", "key *** here"},
	{"NOTAKIAIOSFODNN7EXAMPLE", "NOTAKIAIOSFODNN7EXAMPLE"},
	{"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = ***"},
	{"-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----\n",
	 "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\n"},
	{"-----BEGIN CERTIFICATE-----\nMIIE\n", "-----BEGIN CERTIFICATE-----\nMIIE\n"},
	{"-----BEGIN PRIVATE KEY-----\ncut off", "-----BEGIN PRIVATE KEY-----***"},
	{"passw\xc3\xb6rter: viele", "passw\xc3\xb6rter: viele"},
};

static void test_scrub(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096);
		secrets_scrub(rows[i].text, &out);
		assert_string_equal(buf_str(&out), rows[i].scrubbed);
	}
}

static void test_sure(void **state) {
	struct secret_span span;
	(void)state;
	assert_true(secrets_next("https://a:bcdef@h", 0, &span) && span.is_sure && span.at == 10 && span.len == 5);
	assert_true(secrets_next("http://h/?token=abcdef", 0, &span) && span.is_sure);
	assert_true(secrets_next("token: abcdef", 0, &span) && !span.is_sure);
	assert_false(secrets_next("token: abcdef", 8, &span));
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scrub), cmocka_unit_test(test_sure)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
