#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/str.h"
#include "fmt/tar.h"

#define NAME_100 "1234567890123456789012345678901234567890123456789/1234567890123456789012345678901234567890123456789x"

/* The system's tar is who must understand it. */
static void test_tar_reads_it(void **state) {
	AUTO_BUF struct buf out = BUF_INIT(64 * 1024);
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct err err = {0};
	(void)state;
	assert_int_equal(tar_add("a/b.txt", "hello\n", 6, 0640, 1795183800, &out, &err), 0);
	assert_int_equal(tar_add(NAME_100, "", 0, 0600, 0, &out, &err), 0);
	tar_end(&out);
	assert_int_equal(out.len, 512 + 512 + 512 + 1024);
	const char *argv[] = {"tar", "--utc", "--full-time", "-tvf", "-", NULL};
	struct exec_spec spec = {
		.argv = argv, .stdin_data = out.data, .stdin_len = out.len, .timeout_ms = 60000, .stdout_max = 4096};
	if (exec_check(&spec, &result, &err)) fail_msg("%s", err.msg);
	assert_string_equal(buf_str(&result.out), "-rw-r----- 0/0               6 2026-11-20 14:10:00 a/b.txt\n"
						  "-rw------- 0/0               0 1970-01-01 00:00:00 " NAME_100 "\n");
}

static void test_names(void **state) {
	AUTO_BUF struct buf out = BUF_INIT(64 * 1024);
	struct err err = {0};
	(void)state;
	assert_int_equal(tar_add("", "", 0, 0600, 0, &out, &err), -ERR_INVALID);
	assert_int_equal(tar_add(NAME_100 "x", "", 0, 0600, 0, &out, &err), -ERR_INVALID);
	assert_int_equal(out.len, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tar_reads_it), cmocka_unit_test(test_names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
