#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/s3key.h"
#include "aws/s3url.h"
#include "base/arena.h"
#include "base/err.h"

#define NO "no file can have the name: "
#define EMPTY NO "it has an empty part between slashes"
#define DOTS(part) NO "its part '" part "' would lead elsewhere; nothing was written"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X255 X50 X50 X50 X50 X50 "xxxxx"

static const struct {
	const char *key, *said; /* said "": it can be */
} keys[] = {
	{"a", ""},
	{"a/b/c.txt", ""},
	{"a/", ""},
	{"...", ""},
	{"a/..b", ""},
	{".hidden", ""},
	{"a\nb\\c", ""},
	{"\xff", ""},
	{X255, ""},
	{X255 "/" X255, ""},
	{"", "the name is empty"},
	{"/a", EMPTY},
	{"a//b", EMPTY},
	{"a//", EMPTY},
	{"/", EMPTY},
	{".", DOTS(".")},
	{"..", DOTS("..")},
	{"../a", DOTS("..")},
	{"a/../b", DOTS("..")},
	{"a/..", DOTS("..")},
	{"a/./b", DOTS(".")},
	{"a/../", DOTS("..")},
	{X255 "x", NO "a part of it is 256 bytes long, 255 are the most"},
	{"a/" X255 "x/b", NO "a part of it is 256 bytes long, 255 are the most"},
	{"a/.b.dsagent.abcdef", "the name is of the kind that dsagent gives unfinished files: it is left alone"},
	{"a/.b.dsagent.abcdef/c", ""},
};

static void keys_become_paths(void **state) {
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct err err = {0};
		int rc = s3key_check(keys[i].key, &err);
		assert_string_equal(err.msg, keys[i].said);
		assert_int_equal(rc, *keys[i].said ? -ERR_INVALID : 0);
	}
}

static void paths_become_keys(void **state) {
	static char path[1025];
	struct err err = {0};
	memset(path, 'x', 1024);
	assert_int_equal(s3key_check_path("", path, &err), 0);
	assert_int_equal(s3key_check_path("p/", path, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "the key would be 1026 bytes long, 1024 are the most");
	assert_int_equal(s3key_check_path("p/", "a\xff", &err), -ERR_INVALID);
	assert_string_equal(err.msg, "the name is not UTF-8, which keys must be: rename the file");
}

static const struct {
	const char *text, *bucket, *key, *said; /* bucket NULL: refused */
} urls[] = {
	{"s3://bucket", "bucket", "", NULL},
	{"s3://bucket/", "bucket", "", NULL},
	{"s3://bucket/a/b", "bucket", "a/b", NULL},
	{"s3://bucket//a", "bucket", "/a", NULL},
	{"s3://b.u-c_k/a b?c", "b.u-c_k", "a b?c", NULL},
	{"s3://", NULL, NULL, "'s3://' names no bucket: write s3://BUCKET/PREFIX"},
	{"s3:///a", NULL, NULL, "'s3:///a' names no bucket: write s3://BUCKET/PREFIX"},
	{"/a", NULL, NULL, "'/a' is no s3:// URL"},
	{"s3://bu cket/a", NULL, NULL, "'bu cket' in 's3://bu cket/a' is no name of a bucket"},
	{"s3://../a", NULL, NULL, "'..' in 's3://../a' is no name of a bucket"},
	{"s3://arn:aws:s3:eu-west-1:1:accesspoint/x", NULL, NULL,
	 "'s3://arn:aws:s3:eu-west-1:1:accesspoint/x' is an ARN: use the alias of the access point as the bucket's "
	 "name"},
	{"s3://b--use1-az4--x-s3/a", NULL, NULL,
	 "'b--use1-az4--x-s3' is a directory bucket (S3 Express One Zone), which needs sessions and lists in no order: "
	 "that is not supported"},
};

static void urls_are_taken_apart(void **state) {
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct err err = {0};
		struct s3url url = {0};
		int rc = s3url_parse(urls[i].text, &arena, &url, &err);
		if (urls[i].bucket) {
			if (rc) fail_msg("%s: %s", urls[i].text, err.msg);
			assert_string_equal(url.bucket, urls[i].bucket);
			assert_string_equal(url.key, urls[i].key);
		} else {
			assert_int_not_equal(rc, 0);
			assert_string_equal(err.msg, urls[i].said);
		}
	}
	assert_string_equal(s3url_folder("a", &arena), "a/");
	assert_string_equal(s3url_folder("a/", &arena), "a/");
	assert_string_equal(s3url_folder("", &arena), "");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_paths),
		cmocka_unit_test(paths_become_keys),
		cmocka_unit_test(urls_are_taken_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
