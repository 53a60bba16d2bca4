#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_check.h"
#include "aws/s3_file.h"
#include "aws/s3_window.h"
#include "s3_fixture.h"
#include "s3_large.h"

#define GET "GET /bucket/k HTTP/1.1\r\n"
#define RANGE(text) ETAG "Content-Range: bytes " text "/17825792\r\n"
#define HEAD "HEAD /bucket/k HTTP/1.1\r\n"

static bool has_large(struct s3_fixture *f) {
	AUTO_FREE char *got = mem_zalloc(LARGE_SIZE + 1);
	AUTO_CLOSE int fd = openat(f->dir_fd, "f", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, got, LARGE_SIZE + 1) == (ssize_t)LARGE_SIZE && memcmp(got, large, LARGE_SIZE) == 0;
}

#define FIRST "0-8388607"
#define SECOND "8388608-16777215"
#define THIRD "16777216-17825791"
#define LARGE_DONE "17825792 1369353600123 e1"

enum part { NONE, A, B, C, ALL };

static const struct {
	const char *name;
	struct lo_row script[8];
	enum part bodies[8]; /* that the rows send */
	const char *text;
	bool is_there;
} large_rows[] = {
	{"by ranges",
	 {{HEAD, 200, ETAG, ""},
	  {GET, 206, RANGE(FIRST), ""},
	  {GET, 206, RANGE(SECOND), ""},
	  {GET, 206, RANGE(THIRD), ""}},
	 {ALL, A, B, C},
	 LARGE_DONE,
	 true},
	{"verified as a whole",
	 {{HEAD, 200, ETAG "x-amz-checksum-crc64nvme: $CRC\r\n", ""},
	  {GET, 206, RANGE(FIRST), ""},
	  {GET, 206, RANGE(SECOND), ""},
	  {GET, 206, RANGE(THIRD), ""}},
	 {ALL, A, B, C},
	 LARGE_DONE " verified",
	 true},
	{"replaced in between",
	 {{HEAD, 200, ETAG, ""},
	  {GET, 206, RANGE(FIRST), ""},
	  {GET, 412, NULL, S3_ERROR("PreconditionFailed")},
	  {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 {ALL, A},
	 "3 1369353600000 e2",
	 false},
	{"a server that knows no ranges",
	 {{HEAD, 200, ETAG, ""}, {GET, 200, "ETag: \"e1\"\r\n", "x"}, {GET, 404, NULL, S3_ERROR("NoSuchKey")}},
	 {ALL},
	 "not-found: s3://bucket/k: HTTP 404 NoSuchKey: m",
	 false},
	{"gone", {{HEAD, 404, NULL, ""}}, {NONE}, "not-found: s3://bucket/k: HTTP 404 without an error message", false},
};

static char *body_of(enum part part) {
	size_t offset = part == A ? 0 : part == B ? 8 * MIB : 16 * MIB;

	return part == ALL ? mem_strdup(large) : mem_dup(large + offset, part == C ? MIB : 8 * MIB);
}

static void begin_large(struct s3_fixture *f) {
	struct s3_get get = fx_whole;

	get.size = (int64_t)LARGE_SIZE;
	fx_get(f, get);
}

static void gets_large(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof large_rows / sizeof *large_rows; i++) {
		struct lo_row script[8];
		char *bodies[8] = {0};
		char head[128], crc[S3_CRC_TEXT_SIZE];
		struct s3_fixture f;

		memcpy(script, large_rows[i].script, sizeof script);
		for (size_t k = 0; k < 8; k++)
			if (large_rows[i].bodies[k] != NONE)
				script[k].body = bodies[k] = body_of(large_rows[i].bodies[k]);
		if (strstr(script[0].headers ? script[0].headers : "", "$CRC")) {
			(void)snprintf(head, sizeof head, ETAG "x-amz-checksum-crc64nvme: %s\r\n",
				       s3_crc_text(CRC_64NVME, crc_add(CRC_64NVME, CRC_INIT, large, LARGE_SIZE), crc));
			script[0].headers = head;
		}
		fx_start(&f, script, (struct s3_options){0});
		begin_large(&f);
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, large_rows[i].name, large_rows[i].text);
		assert_int_equal(has_large(&f), large_rows[i].is_there);
		*f.text = '\0';
		fx_add_files(&f);
		assert_null(strstr(f.text, ".dsagent."));
		fx_clear(&f);
		for (size_t k = 0; k < 8; k++) free(bodies[k]);
	}
}

/** Whether the journal, whose header takes 1,024 bytes, tells of a range. */
static bool has_noted(struct s3_fixture *f) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs names = {0};
	struct err err = {0};
	struct stat st;

	if (fs_list(&f->tree.root, "/", &arena, &names, &err) != 0) fail_msg("%s", err.msg);
	for (size_t i = 0; i < names.count; i++)
		if (str_ends(names.items[i], S3_JOURNAL_SUFFIX) && fstatat(f->dir_fd, names.items[i], &st, 0) == 0 &&
		    st.st_size > 1024)
			return true;
	return false;
}

/* What was there when the program was ended is not fetched again; what is left of another version is removed. */
static void goes_on_with_a_large_file(void **state) {
	struct lo_row script[] = {
		{HEAD, 200, ETAG, body_of(ALL)},
		{GET, 206, RANGE(FIRST), body_of(A)},
		{GET, LO_STALL, NULL, NULL},
		{HEAD, 200, ETAG, body_of(ALL)},
		{GET, 206, RANGE(SECOND), body_of(B)},
		{GET, 206, RANGE(THIRD), body_of(C)},
		{0},
	};
	struct err err = {0};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	tree_write(&f.tree, "/.f.dsagent.aaaaaa", "old", 0600);
	tree_write(&f.tree, "/.f.dsagent.aaaaaa.journal", "old", 0600);
	begin_large(&f);
	while (s3_stats(f.s3)->requests < 3 || !has_noted(&f)) fx_turn(&f);
	s3_close(f.s3);
	fx_add_files(&f);
	assert_non_null(strstr(f.text, ".journal 600 "));
	assert_null(strstr(f.text, ".aaaaaa"));
	*f.text = '\0';
	assert_int_equal(s3_open(&(struct s3_options){.aws = &f.w.aws, .bucket = "bucket", .jobs = 1}, &f.s3, &err), 0);
	begin_large(&f);
	fx_run(&f);
	assert_int_equal(s3_stats(f.s3)->done_bytes, LARGE_SIZE);
	assert_int_equal(s3_stats(f.s3)->received_bytes, LARGE_SIZE - 8 * MIB);
	fx_stop(&f);
	fx_check(&f, "gone on with", LARGE_DONE);
	assert_non_null(strstr(f.w.lo.requests[4], "\r\nRange: bytes=8388608-16777215\r\n"));
	assert_true(has_large(&f));
	fx_add_files(&f);
	assert_null(strstr(f.text, ".dsagent."));
	fx_clear(&f);
	for (size_t i = 0; i < 6; i++)
		if (script[i].body && *script[i].body) free((char *)script[i].body);
}

static void sizes_ranges(void **state) {
	static const struct {
		int64_t size;
		const char *etag;
		int64_t want;
	} sizes[] = {
		{17 * (int64_t)MIB, "e", 8 * (int64_t)MIB},
		{5000 * (int64_t)MIB, "e", 16 * (int64_t)MIB},
		{70000 * (int64_t)MIB, NULL, 32 * (int64_t)MIB},
		{100 * (int64_t)MIB, "e-10", 10 * (int64_t)MIB},
		{95 * (int64_t)MIB + 1, "e-10", 10 * (int64_t)MIB},
		{100 * (int64_t)MIB, "e-100", 8 * (int64_t)MIB}, /* parts of 1 MiB are too small for ranges */
		{1000 * (int64_t)MIB, "e-2", 8 * (int64_t)MIB},	 /* and these too large */
		{100 * (int64_t)MIB, "e-x", 8 * (int64_t)MIB},
	};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_int_equal(s3_range_size(sizes[i].size, sizes[i].etag), sizes[i].want);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gets_large),
		cmocka_unit_test(goes_on_with_a_large_file),
		cmocka_unit_test(sizes_ranges),
	};
	return cmocka_run_group_tests(tests, large_set_up, large_tear_down);
}
