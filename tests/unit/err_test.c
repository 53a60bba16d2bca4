#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/err.h"

static const struct {
	int errnum;
	enum err_code code;
} errnos[] = {
	{ENOENT, ERR_NOT_FOUND}, {EACCES, ERR_DENIED}, {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE},
	{ENOMEM, ERR_NO_MEMORY}, {EIO, ERR_IO},	       {EINVAL, ERR_INVALID},  {ENOSYS, ERR_UNSUPPORTED},
};

static const struct {
	enum err_code code;
	const char *name;
} names[] = {
	{ERR_NONE, "none"},
	{ERR_INVALID, "invalid"},
	{ERR_NOT_FOUND, "not-found"},
	{ERR_DENIED, "denied"},
	{ERR_BUSY, "busy"},
	{ERR_LIMIT, "limit"},
	{ERR_TIMEOUT, "timeout"},
	{ERR_IO, "io"},
	{ERR_NO_SPACE, "no-space"},
	{ERR_NO_MEMORY, "no-memory"},
	{ERR_NET, "net"},
	{ERR_REMOTE, "remote"},
	{ERR_COMMAND, "command"},
	{ERR_UNSUPPORTED, "unsupported"},
	{ERR_STATE, "state"},
	{ERR_CANCELLED, "cancelled"},
};

static void sets_and_wraps(void **state) {
	struct err err = {.is_retryable = true};

	assert_int_equal(err_set(&err, ERR_REMOTE, "HTTP %d for %s", 403, "s3://b/k"), -ERR_REMOTE);
	assert_int_equal(err.code, ERR_REMOTE);
	assert_false(err.is_retryable);
	err.is_retryable = true;
	assert_int_equal(err_wrap(&err, "step %d", 3), -ERR_REMOTE);
	assert_string_equal(err.msg, "step 3: HTTP 403 for s3://b/k");
	assert_true(err.is_retryable); /* a wrap adds words only */
	err_clear(&err);
	assert_int_equal(err.code, ERR_NONE);
	assert_string_equal(err.msg, "");
}

static void own_message_may_be_an_argument(void **state) {
	struct err err;

	(void)err_set(&err, ERR_IO, "inner");
	(void)err_set(&err, ERR_STATE, "<%s>", err.msg);
	assert_string_equal(err.msg, "<inner>");
	(void)err_wrap(&err, "again %s", err.msg);
	assert_string_equal(err.msg, "again <inner>: <inner>");
}

static void errnos_have_codes(void **state) {
	for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++) {
		struct err err;
		char msg[256];

		(void)snprintf(msg, sizeof msg, "cannot open /x: %s", strerror(errnos[i].errnum));
		assert_int_equal(err_set_errno(&err, errnos[i].errnum, "cannot open %s", "/x"), -(int)errnos[i].code);
		assert_int_equal(err.code, errnos[i].code);
		assert_string_equal(err.msg, msg);
	}
}

static void long_messages_are_cut_between_characters(void **state) {
	static const char *const chars[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

	for (size_t c = 0; c < sizeof chars / sizeof *chars; c++) {
		for (size_t shift = 0; shift < 4; shift++) {
			char text[2 * ERR_MSG_MAX] = "";
			size_t k = strlen(chars[c]), len = shift;
			struct err err;

			memset(text, 'a', shift);
			for (; len + k < sizeof text; len += k) memcpy(text + len, chars[c], k);
			(void)err_set(&err, ERR_IO, "%s", text);
			len = strlen(err.msg);
			assert_true(len > ERR_MSG_MAX - 5 && len < ERR_MSG_MAX);
			assert_int_equal((len - shift) % k, 0);
			assert_memory_equal(err.msg, text, len);
			(void)err_wrap(&err, "w");
			assert_int_equal((strlen(err.msg) - 3 - shift) % k, 0);
		}
	}
}

static void codes_have_names(void **state) {
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(names[i].code, i);
		assert_string_equal(err_code_name(names[i].code), names[i].name);
	}
	assert_string_equal(err_code_name((enum err_code)99), "unknown");
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_and_wraps),    cmocka_unit_test(own_message_may_be_an_argument),
		cmocka_unit_test(errnos_have_codes), cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(codes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
