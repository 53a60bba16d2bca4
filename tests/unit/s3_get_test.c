#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_file.h"
#include "base/mem.h"
#include "s3_fixture.h"

#define GET "GET /bucket/k HTTP/1.1\r\n"
#define CRC_ABC "x-amz-checksum-crc64nvme: Ffmx7kz9nB0=\r\n" /* of "0123456789" */

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
	{"all known", &fx_whole, {{GET, 200, ETAG MODIFIED, "0123456789"}}, DONE FILE},
	{"nothing known", &unknown, {{GET, 200, ETAG MODIFIED, "0123456789"}}, "10 1369353600000 e1" FILE},
	{"empty", &unknown, {{GET, 200, ETAG MODIFIED, ""}}, "0 1369353600000 e1; f 640 1369353600 ''"},
	{"verified", &fx_whole, {{GET, 200, ETAG CRC_ABC, "0123456789"}}, DONE " verified" FILE},
	{"verified by CRC-32C",
	 &fx_whole,
	 {{GET, 200, ETAG "x-amz-checksum-crc32c: KAwGng==\r\n", "0123456789"}},
	 DONE " verified" FILE},
	{"verified by SHA-256",
	 &fx_whole,
	 {{GET, 200, ETAG "x-amz-checksum-sha256: hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=\r\n", "0123456789"}},
	 DONE " verified" FILE},
	{"a checksum of checksums says nothing",
	 &fx_whole,
	 {{GET, 200, ETAG "x-amz-checksum-crc32c: KAwGng==-3\r\n", "0123456789"}},
	 DONE FILE},
	{"another checksum, then the right one",
	 &fx_whole,
	 {{GET, 200, ETAG CRC_ABC, "0123456780"}, {GET, 200, ETAG CRC_ABC, "0123456789"}},
	 DONE " verified" FILE},
	{"broken off, gone on with",
	 &fx_whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 206, ETAG "Content-Range: bytes 5-9/10\r\n", "56789"}},
	 DONE FILE},
	{"broken off, and the server knows no ranges",
	 &fx_whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"broken off, and another range",
	 &fx_whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 206, ETAG "Content-Range: bytes 6-9/10\r\n", "6789"}},
	 "remote: s3://bucket/k: after 2 tries: GET http://$HOST/bucket/k: the server sent another range than it was "
	 "asked "
	 "for"},
	{"replaced since the listing",
	 &fx_whole,
	 {{GET, 412, NULL, S3_ERROR("PreconditionFailed")}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"replaced while it was got",
	 &fx_whole,
	 {{GET, LO_RAW, NULL, HALF}, {GET, 412, NULL, ""}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"another version, by a server that ignores If-Match",
	 &fx_whole,
	 {{GET, 200, "ETag: \"e2\"\r\n", "0123456789"}, {GET, 200, "ETag: \"e2\"\r\n" MODIFIED, "new"}},
	 "3 1369353600000 e2; f 640 1369353600 'new'"},
	{"another size of the same version",
	 &fx_whole,
	 {{GET, 200, ETAG, "0123"}, {GET, 200, ETAG MODIFIED, "0123"}},
	 "4 1369353600000 e1; f 640 1369353600 '0123'"},
	{"told to slow down, refused, answered",
	 &fx_whole,
	 {{GET, 503, NULL, S3_ERROR("SlowDown")},
	  {GET, 500, NULL, S3_ERROR("InternalError")},
	  {GET, LO_CLOSE, NULL, NULL},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"gone",
	 &fx_whole,
	 {{GET, 404, NULL, S3_ERROR("NoSuchKey")}},
	 "not-found: s3://bucket/k: HTTP 404 NoSuchKey: m"},
	{"archived",
	 &fx_whole,
	 {{GET, 403, NULL, S3_ERROR("InvalidObjectState")}},
	 "denied: s3://bucket/k: the object is archived and must be restored before it can be read (aws s3api "
	 "restore-object): HTTP 403 InvalidObjectState: m"},
	{"in another region",
	 &fx_whole,
	 {{GET, 301, "x-amz-bucket-region: eu-west-3\r\n", S3_ERROR("PermanentRedirect")},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
	{"a clock that is off",
	 &fx_whole,
	 {{GET, 403, "Date: Fri, 24 May 2013 01:00:00 GMT\r\n", S3_ERROR("RequestTimeTooSkewed")},
	  {GET, 200, ETAG, "0123456789"}},
	 DONE FILE},
};

static void small_files(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct s3_fixture f;

		fx_start(&f, rows[i].script, (struct s3_options){0});
		fx_get(&f, *rows[i].get);
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
	struct s3_get get = fx_whole;
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	get.key = "a b//../";
	get.version_id = "v+1";
	fx_get(&f, get);
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
	struct s3_fixture f;

	(void)state;
	fx_start_env(&f, script, env, (struct s3_options){0});
	fx_get(&f, fx_whole);
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
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	assert_int_equal(mkdirat(f.dir_fd, "f", 0755), 0);
	fx_get(&f, fx_whole);
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
		struct s3_fixture f;

		fx_start(&f, script, (struct s3_options){0});
		fx_get(&f, fx_whole);
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

static int set_up(void **state) {
	(void)state;
	aws_world_pin_clock();
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
		cmocka_unit_test(names_temporary_files),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
