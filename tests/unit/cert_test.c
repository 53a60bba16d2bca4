#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/cert.h"

#define DAY 86400LL
#define NOW 1795000000LL

static const struct {
	const char *name;
	bool is_valid;
} names[] = {
	{"localhost", true}, {"db.internal", true}, {"*.example.com", true},
	{"127.0.0.1", true}, {"::1", true},	    {"2001:db8::1", true},
	{"", false},	     {"a b", false},	    {"-a", false},
	{"a-", false},	     {"a..b", false},	    {"a.", false},
	{"*", false},	     {"a_b", false},
};

static void names_are_judged(void **state) {
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(cert_name_is_valid(names[i].name), names[i].is_valid);
}

static void what_is_made_can_be_read(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs wanted = {0};
	AUTO_STRS struct strs got = {0};
	AUTO_BUF struct buf cert = BUF_INIT(65536), key = BUF_INIT(65536), other = BUF_INIT(65536),
			    none = BUF_INIT(65536);
	struct cert_info info;
	struct err err;
	strs_add(&wanted, "localhost");
	strs_add(&wanted, "10.1.2.3");
	strs_add(&wanted, "2001:db8::1");
	assert_int_equal(cert_make(&wanted, NOW, CERT_DAYS_MAX, &cert, &key, &err), 0);
	assert_int_equal(cert_read(buf_str(&cert), buf_str(&key), &arena, &got, &info, &err), 0);
	assert_string_equal(strs_join(&got, " ", &arena), "localhost 10.1.2.3 2001:db8::1");
	assert_true(info.is_p256 && info.is_key_its_own);
	assert_int_equal(info.not_before_s, NOW - 3600);
	assert_int_equal(info.not_after_s, NOW - 3600 + CERT_DAYS_MAX * DAY - 1);
	assert_true(str_starts(buf_str(&key), "-----BEGIN PRIVATE KEY-----\n"));
	assert_int_equal(cert_make(&wanted, NOW, 1, &none, &other, &err), 0);
	assert_int_equal(cert_read(buf_str(&cert), buf_str(&other), &arena, &got, &info, &err), 0);
	assert_false(info.is_key_its_own);
	assert_int_equal(cert_make(&wanted, NOW, CERT_DAYS_MAX + 1, &none, &other, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "a certificate has 1 to 64 names and lasts 1 to 397 days");
}

static void what_is_none_is_refused(void **state) {
	static const char *const texts[] = {"", "nonsense",
					    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs got = {0};
	struct cert_info info;
	struct err err;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_int_equal(cert_read(texts[i], texts[i], &arena, &got, &info, &err), -ERR_INVALID);
		assert_true(str_starts(err.msg, "it is no certificate in PEM"));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_judged),
		cmocka_unit_test(what_is_made_can_be_read),
		cmocka_unit_test(what_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
