#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "aws/s3sum.h"
#include "base/mem.h"
#include "fmt/digest.h"

#define MIB ((size_t)1024 * 1024)

/* The ETag that S3 gives to data put in parts of part_size; 0: in one piece. */
static void etag_of(const char *data, size_t len, size_t part_size, char etag[64]) {
	unsigned char md5s[64][MD5_SIZE], md5[MD5_SIZE];
	size_t parts = 0;
	if (!part_size) {
		digest_md5(data, len, md5);
		digest_hex(md5, sizeof md5, etag);
		return;
	}
	for (size_t at = 0; at < len; at += part_size)
		digest_md5(data + at, len - at < part_size ? len - at : part_size, md5s[parts++]);
	digest_md5(md5s, parts * MD5_SIZE, md5);
	digest_hex(md5, sizeof md5, etag);
	(void)snprintf(etag + 32, 32, "-%zu", parts);
}

static const struct {
	size_t len, part_size;
	bool is_changed;
	const char *etag; /* NULL: the right one */
	enum s3sum_state state;
} rows[] = {
	{0, 0, false, NULL, S3SUM_SAME},
	{5, 0, false, NULL, S3SUM_SAME},
	{5, 0, true, NULL, S3SUM_DIFFERS},
	{20 * MIB + 1, 0, false, NULL, S3SUM_SAME},
	{20 * MIB + 1, 8 * MIB, false, NULL, S3SUM_SAME},
	{20 * MIB + 1, 5 * MIB, false, NULL, S3SUM_SAME},
	{20 * MIB + 1, 15 * MIB, false, NULL, S3SUM_SAME},
	{20 * MIB + 1, 11 * MIB, false, NULL, S3SUM_SAME},  /* the least of whole MiB that gives two parts */
	{20 * MIB + 1, 8 * MIB, true, NULL, S3SUM_UNKNOWN}, /* other content, or other parts */
	{20 * MIB + 1, 12 * MIB + 7, false, NULL, S3SUM_UNKNOWN},
	{5, 0, false, "opaque", S3SUM_UNKNOWN},
	{5, 0, false, "0123456789abcdef0123456789abcdef-0", S3SUM_UNKNOWN},
	{5, 0, false, "0123456789abcdef0123456789abcdef-x", S3SUM_UNKNOWN},
};

static void compares(void **state) {
	char *data AUTO_FREE = mem_zalloc(20 * MIB + 1);
	for (size_t i = 0; i < 20 * MIB + 1; i++) data[i] = (char)(i * 31 >> 7);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char etag[64], path[] = "/tmp/s3sum_test.XXXXXX";
		int fd = mkstemp(path);
		assert_true(fd >= 0);
		(void)unlink(path);
		etag_of(data, rows[i].len, rows[i].part_size, etag);
		assert_int_equal(write(fd, data, rows[i].len), (ssize_t)rows[i].len);
		if (rows[i].is_changed) assert_int_equal(pwrite(fd, "x", 1, (off_t)rows[i].len - 1), 1);
		struct s3sum *sum = s3sum_new(fd, (int64_t)rows[i].len, rows[i].etag ? rows[i].etag : etag);
		enum s3sum_state got = S3SUM_GOES_ON;
		for (int turns = 0; got == S3SUM_GOES_ON && turns < 100; turns++) got = s3sum_step(sum);
		if (got != rows[i].state) fail_msg("row %zu: %d, not %d", i, got, rows[i].state);
		s3sum_free(sum);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(compares)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
