#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_check.h"
#include "aws/s3_file.h"
#include "aws/s3_window.h"
#include "base/mem.h"
#include "s3_fixture.h"

#define GET "GET /bucket/k HTTP/1.1\r\n"
#define T 1369353600					     /* MODIFIED */
#define CRC_ABC "x-amz-checksum-crc64nvme: Ffmx7kz9nB0=\r\n" /* of "0123456789" */
#define MIB (1024 * 1024)

static const struct s3_get whole = {
	.key = "k",
	.size = 10,
	.etag = "e1",
	.modified_at_ms = T * 1000LL + 123,
	.name = "f",
	.mode = 0640,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.on_end = fx_on_done,
};

static const struct s3_get unknown = {
	.key = "k",
	.size = -1,
	.name = "f",
	.mode = 0640,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
	.on_end = fx_on_done,
};

#define DONE "10 1369353600123 e1"
#define FILE "; f 640 1369353600 '0123456789'"
#define HALF "HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 10\r\n\r\n01234"

static const struct {
	const char *name;
	const struct s3_get *get;
	struct lo_row script[6];
	const char *text; /* the result and what is in the folder */
} rows[] = {
	{"all known", &whole, {{GET, 200, ETAG MODIFIED, "0123456789"}}, DONE FILE},
	{"nothing known", &unknown, {{GET, 200, ETAG MODIFIED, "0123456789"}}, "10 1369353600000 e1" FILE},
	{"empty", &unknown, {{GET, 200, ETAG MODIFIED, ""}}, "0 1369353600000 e1; f 640 1369353600 ''"},
	{"verified", &whole, {{GET, 200, ETAG CRC_ABC, "0123456789"}}, DONE " verified" FILE},
	{"verified by CRC-32C",
	 &whole,
	 {{GET, 200, ETAG "x-amz-checksum-crc32c: KAwGng==\r\n", "0123456789"}},
	 DONE " verified" FILE},
	{"verified by SHA-256",
	 &whole,
	 {{GET, 200, ETAG "x-amz-checksum-sha256: hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=\r\n", "0123456789"}},
	 DONE " verified" FILE},
	{"a checksum of checksums says nothing",
	 &whole,
	 {{GET, 200, ETAG "x-amz-checksum-crc32c: KAwGng==-3\r\n", "0123456789"}},
	 DONE FILE},
	{"another checksum, then the right one",
	 &whole,
	 {{GET, 200, ETAG CRC_ABC, "0123456780"}, {GET, 200, ETAG CRC_ABC, "0123456789"}},
	 DONE " verified" FILE},
	{"broken off, gone on with",
	 &whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 206, ETAG "Content-Range: bytes 5-9/10\r\n", "56789"}},
	 DONE FILE},
	{"broken off, and the server knows no ranges",
	 &whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"broken off, and another range",
	 &whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 206, ETAG "Content-Range: bytes 6-9/10\r\n", "6789"}},
	 "remote: s3://bucket/k: after 2 tries: GET http://$HOST/bucket/k: the server sent another range than it was "
	 "asked "
	 "for"},
	{"replaced since the listing",
	 &whole,
	 {{GET, 412, NULL, S3_ERROR("PreconditionFailed")}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"replaced while it was got",
	 &whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 412, NULL, ""}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"another version, by a server that ignores If-Match",
	 &whole,
	 {{GET, 200, "ETag: \"e2\"\r\n", "0123456789"}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"another size of the same version",
	 &whole,
	 {{GET, 200, ETAG, "0123"}, {GET, 200, ETAG MODIFIED, "0123"}},
	 "4 1369353600000 e1; f 640 1369353600 '0123'"},
	{"told to slow down, refused, answered",
	 &whole,
	 {{GET, 503, NULL, S3_ERROR("SlowDown")},
	  {GET, 500, NULL, S3_ERROR("InternalError")},
	  {GET, LO_CLOSE, NULL, NULL},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"gone", &whole, {{GET, 404, NULL, S3_ERROR("NoSuchKey")}}, "not-found: s3://bucket/k: HTTP 404 NoSuchKey: m"},
	{"archived",
	 &whole,
	 {{GET, 403, NULL, S3_ERROR("InvalidObjectState")}},
	 "denied: s3://bucket/k: the object is archived and must be restored before it can be read (aws s3api "
	 "restore-object): HTTP 403 InvalidObjectState: m"},
	{"in another region",
	 &whole,
	 {{GET, 301, "x-amz-bucket-region: eu-west-3\r\n", S3_ERROR("PermanentRedirect")},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"a clock that is off",
	 &whole,
	 {{GET, 403, "Date: Fri, 24 May 2013 01:00:00 GMT\r\n", S3_ERROR("RequestTimeTooSkewed")},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
};

static void small_files(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3_get get = *rows[i].get;
		struct s3_fixture f;

		fx_start(&f, rows[i].script, (struct s3_options){0});
		get.dir_fd = f.dir_fd;
		get.arg = &f;
		s3_get(f.s3, &get);
		fx_run(&f);
		fx_stop(&f);
		fx_add_files(&f);
		fx_check(&f, rows[i].name, rows[i].text);
		fx_clear(&f);
	}
}

/* The whole of two requests but for the signature. */
static void sends(void **state) {
	static const struct lo_row script[] = {
		{"GET /bucket/a%20b//../?versionId=v%2B1 HTTP/1.1\r\n", LO_RAW, NULL, HALF},
		{"GET ", 206, ETAG "Content-Range: bytes 5-9/10\r\n", "56789"},
		{0},
	};
	static const char *const want[] = {"\r\nIf-Match: \"e1\"\r\n", "\r\nRange: bytes=5-\r\n"};
	struct s3_get get = whole;
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	get.key = "a b//../";
	get.version_id = "v+1";
	get.dir_fd = f.dir_fd;
	get.arg = &f;
	s3_get(f.s3, &get);
	fx_run(&f);
	fx_stop(&f);
	assert_null(lo_difference(&f.w.lo));
	assert_non_null(strstr(f.w.lo.requests[0], "\r\nx-amz-checksum-mode: ENABLED\r\n"));
	assert_null(strstr(f.w.lo.requests[0], "Range:"));
	for (size_t i = 0; i < 2; i++) assert_non_null(strstr(f.w.lo.requests[1], want[i]));
	assert_non_null(strstr(f.w.lo.requests[1],
			       "SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date, Signature="));
	fx_clear(&f);
}

#define CREDS(id)                                                                                                      \
	"{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"secret-1\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

/* In mid-run: what was signed with the old ones is signed anew. */
static void renews_credentials(void **state) {
	static const char *const env[] = {"AWS_CONTAINER_CREDENTIALS_FULL_URI=$URL/creds", NULL};
	static const struct lo_row script[] = {
		{"GET /creds ", 200, NULL, CREDS("FIRST")},
		{GET, LO_RAW, NULL, HALF},
		{GET, 400, NULL, S3_ERROR("ExpiredToken")},
		{"GET /creds ", 200, NULL, CREDS("SECOND")},
		{GET, 206, ETAG "Content-Range: bytes 5-9/10\r\n", "56789"},
		{0},
	};
	struct s3_get get = whole;
	struct s3_fixture f;

	(void)state;
	fx_start_env(&f, script, env, (struct s3_options){0});
	get.dir_fd = f.dir_fd;
	get.arg = &f;
	s3_get(f.s3, &get);
	fx_run(&f);
	fx_stop(&f);
	fx_add_files(&f);
	fx_check(&f, "renews", DONE FILE);
	assert_non_null(strstr(f.w.lo.requests[2], "Credential=FIRST/"));
	assert_non_null(strstr(f.w.lo.requests[4], "Credential=SECOND/"));
	fx_clear(&f);
}

static int on_data(const void *data, size_t len, void *arg, struct err *err) {
	(void)err;
	fx_add(arg, "%.*s|", (int)len, (const char *)data);
	return 0;
}

static int refuse_data(const void *data, size_t len, void *arg, struct err *err) {
	(void)data, (void)len, (void)arg, (void)err;
	return -1;
}

/* Each byte of a stream goes out once: what came before is neither sent again nor mixed with another version. */
static void streams(void **state) {
	static const struct {
		int (*on_data)(const void *data, size_t len, void *arg, struct err *err);
		struct lo_row script[3];
		const char *text;
	} cases[] = {
		{on_data, {{GET, LO_RAW, NULL, HALF}, {GET, 200, ETAG, "0123456789"}}, "01234|56789|10 0 e1"},
		{on_data,
		 {{GET, LO_RAW, NULL, HALF}, {GET, 412, NULL, S3_ERROR("PreconditionFailed")}},
		 "01234|invalid: s3://bucket/k: after 2 tries: HTTP 412 PreconditionFailed: m"},
		{on_data,
		 {{GET, 200, ETAG CRC_ABC, "012345678x"}},
		 "012345678x|remote: s3://bucket/k: what came has another CRC-64/NVME than the object"},
		{refuse_data,
		 {{GET, 200, ETAG, "0123456789"}},
		 "cancelled: s3://bucket/k: GET http://$HOST/bucket/k: stopped by the receiver"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct s3_fixture f;

		fx_start(&f, cases[i].script, (struct s3_options){0});
		s3_get(f.s3, &(struct s3_get){
				     .key = "k",
				     .size = -1,
				     .on_data = cases[i].on_data,
				     .on_end = fx_on_done,
				     .arg = &f,
			     });
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, "stream", cases[i].text);
		fx_clear(&f);
	}
}

static void does_not_replace_a_directory(void **state) {
	static const struct lo_row script[] = {{GET, 200, ETAG, "0123456789"}, {0}};
	struct s3_get get = whole;
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	assert_int_equal(mkdirat(f.dir_fd, "f", 0755), 0);
	get.dir_fd = f.dir_fd;
	get.arg = &f;
	s3_get(f.s3, &get);
	fx_run(&f);
	fx_stop(&f);
	fx_add_files(&f);
	fx_check(&f, "directory", "state: s3://bucket/k: 'f' is a directory here: the object has the name of one; f/");
	fx_clear(&f);
}

/* Nothing is left of what is under way. */
static void is_cancelled_and_closed(void **state) {
	static const struct lo_row script[] = {{GET, LO_STALL, NULL, NULL}, {0}};
	struct err err = {0};

	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		struct s3_get get = whole;
		struct s3_fixture f;

		fx_start(&f, script, (struct s3_options){0});
		get.dir_fd = f.dir_fd;
		get.arg = &f;
		s3_get(f.s3, &get);
		assert_int_equal(s3_run(f.s3, 10, &err), 0);
		if (!closes) {
			s3_cancel(f.s3);
			fx_run(&f);
		}
		fx_stop(&f);
		fx_add_files(&f);
		assert_string_equal(f.text, closes ? "" : "cancelled: s3://bucket/k: told to stop");
		fx_clear(&f);
	}
}

/* 17 MiB in three ranges. */
#define LARGE_SIZE ((size_t)17 * MIB)
#define RANGE(text) ETAG "Content-Range: bytes " text "/17825792\r\n"
#define HEAD "HEAD /bucket/k HTTP/1.1\r\n"

static char *large; /* all of it; each range is a copy with an end */

static char *piece_of(size_t offset, size_t len) { return mem_dup(large + offset, len); }

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

	return part == ALL ? mem_strdup(large) : piece_of(offset, part == C ? MIB : 8 * MIB);
}

static void begin_large(struct s3_fixture *f) {
	struct s3_get get = whole;

	get.size = (int64_t)LARGE_SIZE;
	get.dir_fd = f->dir_fd;
	get.arg = f;
	s3_get(f->s3, &get);
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
	while (s3_stats(f.s3)->requests < 3 || !has_noted(&f))
		if (s3_run(f.s3, 1000, &err) != 0) fail_msg("%s", err.msg);
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

static void names_temporary_files(void **state) {
	static const struct {
		const char *name;
		bool is_temporary;
	} names[] = {
		{".f.dsagent.abc234", true},
		{".f.dsagent.abc234.journal", true},
		{".f.dsagent.abc23", false},
		{".f.dsagent.abc2345", false},
		{".f.dsagent.ABC234", false},
		{"f.dsagent.abc234", false},
		{".dsagent.abc234", false},
		{".f.dsagent.abc234.x", false},
		{"f", false},
		{".x.dsagent.q.dsagent.abcdef", true},
	};
	char temp[NAME_MAX + 1], name[NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(s3_is_temporary(names[i].name), names[i].is_temporary);
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	s3_file_temp(name, 12345, temp);
	assert_true(s3_is_temporary(temp) && strlen(temp) + strlen(S3_JOURNAL_SUFFIX) <= NAME_MAX);
}

static void sizes_ranges(void **state) {
	static const struct {
		int64_t size;
		const char *etag;
		int64_t want;
	} sizes[] = {
		{17LL * MIB, "e", 8LL * MIB},
		{5000LL * MIB, "e", 16LL * MIB},
		{70000LL * MIB, NULL, 32LL * MIB},
		{100LL * MIB, "e-10", 10LL * MIB},
		{95LL * MIB + 1, "e-10", 10LL * MIB},
		{100LL * MIB, "e-100", 8LL * MIB}, /* parts of 1 MiB are too small for ranges */
		{1000LL * MIB, "e-2", 8LL * MIB},  /* and these too large */
		{100LL * MIB, "e-x", 8LL * MIB},
	};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_int_equal(s3_range_size(sizes[i].size, sizes[i].etag), sizes[i].want);
}

static int set_up(void **state) {
	(void)state;
	aws_world_pin_clock();
	large = mem_zalloc(LARGE_SIZE + 1);
	for (size_t i = 0; i < LARGE_SIZE; i++) large[i] = (char)(1 + (i * 2654435761U >> 13) % 251);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	free(large);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_files),
		cmocka_unit_test(sends),
		cmocka_unit_test(renews_credentials),
		cmocka_unit_test(streams),
		cmocka_unit_test(does_not_replace_a_directory),
		cmocka_unit_test(is_cancelled_and_closed),
		cmocka_unit_test(gets_large),
		cmocka_unit_test(goes_on_with_a_large_file),
		cmocka_unit_test(names_temporary_files),
		cmocka_unit_test(sizes_ranges),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
