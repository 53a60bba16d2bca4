#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3_check.h"
#include "aws/s3_parts.h"
#include "s3_fixture.h"
#include "s3_large.h"

#define PUT "PUT /bucket/k HTTP/1.1\r\n"
#define DATE "Date: Fri, 24 May 2013 00:00:00 GMT\r\n"
#define ETAG_A "00000000000000000000000000000001"
#define ETAG_B "00000000000000000000000000000002"
#define ETAG_C "00000000000000000000000000000003"
#define CREATE "POST /bucket/k?uploads= HTTP/1.1\r\n"
#define CREATED                                                                                                        \
	CREATE, 200, NULL, "<InitiateMultipartUploadResult><UploadId>id+1</UploadId></InitiateMultipartUploadResult>"
#define PART(n) "PUT /bucket/k?partNumber=" n "&uploadId=id%2B1 HTTP/1.1\r\n"
#define PARTS                                                                                                          \
	{PART("1"), 200, "ETag: \"" ETAG_A "\"\r\n", ""}, {PART("2"), 200, "ETag: \"" ETAG_B "\"\r\n", ""}, {          \
		PART("3"), 200, "ETag: \"" ETAG_C "\"\r\n", ""                                                         \
	}
#define UPLOAD "/bucket/k?uploadId=id%2B1 HTTP/1.1\r\n"
#define COMPLETE "POST " UPLOAD
#define ABORT "DELETE " UPLOAD
#define COMPLETED                                                                                                      \
	COMPLETE, 200, DATE,                                                                                           \
		" \n<CompleteMultipartUploadResult><ETag>&quot;x-3&quot;</ETag></CompleteMultipartUploadResult>"

static void write_file(struct s3_fixture *f, const char *name, const char *data, size_t len) {
	int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd) != 0) abort();
}

static void put(struct s3_fixture *f, struct s3_put spec) {
	if (!spec.key) spec.key = "k";
	if (!spec.on_read && !spec.name) spec.name = "f.json";
	spec.dir_fd = f->dir_fd;
	spec.on_end = fx_on_done;
	spec.arg = f;
	s3_put(f->s3, &spec);
}

static const struct {
	const char *name;
	size_t size;
	struct lo_row script[9];
	const char *text;
} rows[] = {
	{"small", 10, {{PUT, 200, ETAG DATE, ""}}, "10 1369353600000 e1"},
	{"empty", 0, {{PUT, 200, ETAG DATE, ""}}, "0 1369353600000 e1"},
	{"from the disk as it is sent", MIB, {{PUT, 200, ETAG DATE, ""}}, "1048576 1369353600000 e1"},
	{"tried again",
	 MIB,
	 {{PUT, LO_CLOSE, NULL, NULL}, {PUT, 500, NULL, S3_ERROR("InternalError")}, {PUT, 200, ETAG DATE, ""}},
	 "1048576 1369353600000 e1"},
	{"not allowed",
	 10,
	 {{PUT, 403, NULL, S3_ERROR("AccessDenied")}},
	 "denied: s3://bucket/k: HTTP 403 AccessDenied: m"},
	{"in parts", LARGE_SIZE, {{CREATED}, PARTS, {COMPLETED}}, "17825792 1369353600000 x-3"},
	{"completed at the second try",
	 LARGE_SIZE,
	 {{CREATED}, PARTS, {COMPLETE, 200, DATE, "  " S3_ERROR("InternalError")}, {COMPLETED}},
	 "17825792 1369353600000 x-3"},
	{"completed, and the answer was lost",
	 LARGE_SIZE,
	 {{CREATED},
	  PARTS,
	  {COMPLETE, LO_CLOSE, NULL, NULL},
	  {COMPLETE, 404, NULL, S3_ERROR("NoSuchUpload")},
	  {"HEAD /bucket/k HTTP/1.1\r\n", 200, "ETag: \"$ETAG\"\r\n" DATE MODIFIED, "$LARGE"}},
	 "17825792 1369353600000 $ETAG"},
	{"gone, and another object is there",
	 LARGE_SIZE,
	 {{CREATED},
	  PARTS,
	  {COMPLETE, 404, NULL, S3_ERROR("NoSuchUpload")},
	  {"HEAD /bucket/k HTTP/1.1\r\n", 200, "ETag: \"$ETAG\"\r\n", "other"},
	  {ABORT, 404, NULL, S3_ERROR("NoSuchUpload")}},
	 "not-found: s3://bucket/k: HTTP 404 NoSuchUpload: m"},
	{"refused at the end, aborted",
	 LARGE_SIZE,
	 {{CREATED}, PARTS, {COMPLETE, 200, NULL, S3_ERROR("EntityTooSmall")}, {ABORT, 204, NULL, ""}},
	 "remote: s3://bucket/k: CompleteMultipartUpload: HTTP 200 EntityTooSmall: m"},
	{"a part refused, aborted",
	 LARGE_SIZE,
	 {{CREATED}, {PART("1"), 403, NULL, S3_ERROR("AccessDenied")}, {ABORT, 204, NULL, ""}},
	 "denied: s3://bucket/k: HTTP 403 AccessDenied: m"},
	{"not begun",
	 LARGE_SIZE,
	 {{CREATE, 403, NULL, S3_ERROR("AccessDenied")}},
	 "denied: s3://bucket/k: HTTP 403 AccessDenied: m"},
};

/** $ETAG in a text becomes that of the parts, $LARGE a body of the whole size. */
static const char *fill(const char *text, const char *etag, struct arena *arena) {
	const char *at = text ? strstr(text, "$ETAG") : NULL;

	if (text && str_eq(text, "$LARGE")) return large;
	return at ? arena_printf(arena, "%.*s%s%s", (int)(at - text), text, etag, at + 5) : text;
}

static void etag_of_parts(char etag[S3_ETAG_MAX]) {
	struct s3_part parts[] = {{.etag = (char[]){ETAG_A}}, {.etag = (char[]){ETAG_B}}, {.etag = (char[]){ETAG_C}}};
	struct s3_parts all = {.parts = {parts, 3, 3}};

	assert_true(s3_parts_etag(&all, etag));
	all.parts.items[1].etag = (char[]){"not an MD5"};
	char other[S3_ETAG_MAX];
	assert_false(s3_parts_etag(&all, other));
}

static void puts_files(void **state) {
	char etag[S3_ETAG_MAX];

	(void)state;
	etag_of_parts(etag);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct lo_row script[9];
		struct s3_fixture f;

		memcpy(script, rows[i].script, sizeof script);
		for (size_t k = 0; k < 9; k++) {
			script[k].headers = fill(script[k].headers, etag, &arena);
			script[k].body = fill(script[k].body, etag, &arena);
		}
		fx_start(&f, script, (struct s3_options){0});
		write_file(&f, "f.json", large, rows[i].size);
		put(&f, (struct s3_put){0});
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, rows[i].name, fill(rows[i].text, etag, &arena));
		fx_clear(&f);
	}
}

/** The request's head with its signature blanked, and its body. */
static const char *request(struct s3_fixture *f, size_t i) {
	char *signature = strstr(f->w.lo.requests[i], "Signature=");

	for (char *p = signature + 10; signature && *p && *p != '\r'; p++) *p = '#';
	return f->w.lo.requests[i];
}

#define AUTHORIZATION(names)                                                                                           \
	"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20130524/us-east-1/s3/aws4_request, "                  \
	"SignedHeaders=" names ", Signature=################################################################\r\n"
#define BLANKS "Host: $HOST\r\nUser-Agent: dsagent/" DSAGENT_VERSION "\r\nAccept: */*\r\n"
#define SHA_HI "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"

static void sends(void **state) {
	static const struct lo_row script[] = {{"PUT /bucket/a%20b HTTP/1.1\r\n", 200, ETAG DATE, ""}, {0}};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	write_file(&f, "f.json", "hi", 2);
	put(&f, (struct s3_put){.key = "a b", .storage_class = "STANDARD_IA", .sse_kms_key = "key-1"});
	fx_run(&f);
	fx_stop(&f);
	assert_string_equal(
		request(&f, 0),
		aws_world_fill("PUT /bucket/a%20b HTTP/1.1\r\n" BLANKS
			       "Content-Type: application/json\r\nx-amz-storage-class: STANDARD_IA\r\n"
			       "x-amz-server-side-encryption: aws:kms\r\n"
			       "x-amz-server-side-encryption-aws-kms-key-id: key-1\r\n"
			       "X-Amz-Date: 20130524T000000Z\r\nX-Amz-Content-Sha256: " SHA_HI "\r\n" AUTHORIZATION(
				       "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-server-side-"
				       "encryption;x-amz-server-side-encryption-aws-kms-key-id;x-amz-storage-"
				       "class") "Content-Length: 2\r\n\r\nhi",
			       f.w.lo.url, &f.w.arena));
	fx_clear(&f);
}

/* A file that is written to while it is sent is not what anybody wanted. */
static void notices_a_change(void **state) {
	static const struct lo_row script[] = {
		{PUT, 503, "Retry-After: 1\r\n", S3_ERROR("SlowDown")}, {PUT, 200, ETAG, ""}, {0}};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	write_file(&f, "f.json", "before", 6);
	put(&f, (struct s3_put){0});
	while (s3_stats(f.s3)->retries == 0) fx_turn(&f);
	write_file(&f, "f.json", "afterwards", 10);
	fx_run(&f);
	assert_int_equal(s3_stats(f.s3)->throttled, 1);
	fx_stop(&f);
	fx_check(&f, "change", "busy: s3://bucket/k: after 2 tries: 'f.json' changed while it was sent");
	fx_clear(&f);
}

static void refuses_what_is_no_file(void **state) {
	static const struct lo_row none[] = {{0}};
	static const struct {
		const char *name, *text;
	} files[] = {
		{"none", "not-found: s3://bucket/k: cannot open 'none': No such file or directory"},
		{"link", "invalid: s3://bucket/k: 'link' is a symbolic link, and links are not followed"},
		{"pipe", "invalid: s3://bucket/k: 'pipe' is not a regular file"},
		{"dir", "invalid: s3://bucket/k: 'dir' is not a regular file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct s3_fixture f;

		fx_start(&f, none, (struct s3_options){0});
		assert_int_equal(symlinkat("/etc/passwd", f.dir_fd, "link"), 0);
		assert_int_equal(mkfifoat(f.dir_fd, "pipe", 0600), 0);
		assert_int_equal(mkdirat(f.dir_fd, "dir", 0700), 0);
		put(&f, (struct s3_put){.name = files[i].name});
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, files[i].name, files[i].text);
		fx_clear(&f);
	}
}

static size_t stream_left;

static int on_read(void *data, size_t size, size_t *ret_len, void *arg, struct err *err) {
	size_t n = size < stream_left ? size : stream_left;

	(void)arg, (void)err;
	if (n > 1000000) n = 1000000; /* a pipe gives what it has */
	memset(data, 'x', n);
	stream_left -= n;
	*ret_len = n;
	return 0;
}

static void sends_streams(void **state) {
	static const struct {
		size_t size;
		struct lo_row script[6];
		const char *text;
	} streams[] = {
		{0, {{PUT, 200, ETAG, ""}}, "0 0 e1"},
		{8 * MIB - 1, {{PUT, 200, ETAG, ""}}, "8388607 0 e1"},
		{8 * MIB,
		 {{CREATED}, {PART("1"), 200, "ETag: \"" ETAG_A "\"\r\n", ""}, {COMPLETED}},
		 "8388608 1369353600000 x-3"},
		{17 * MIB, {{CREATED}, PARTS, {COMPLETED}}, "17825792 1369353600000 x-3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		struct s3_fixture f;

		fx_start(&f, streams[i].script, (struct s3_options){0});
		stream_left = streams[i].size;
		put(&f, (struct s3_put){.on_read = on_read});
		fx_run(&f);
		fx_stop(&f);
		fx_check(&f, "stream", streams[i].text);
		fx_clear(&f);
	}
}

#define NOTED_PART(n, etag, size)                                                                                      \
	"<Part><PartNumber>" n "</PartNumber><ETag>\"" etag "\"</ETag><Size>" size "</Size></Part>"

/* The client waits for its next try. */
#define LATER(part)                                                                                                    \
	{ PART(part), 503, "Retry-After: 20\r\n", S3_ERROR("SlowDown") }

/* After a kill: what S3 has of the same file is not sent again; what it has of another is aborted. */
static void goes_on_with_an_upload(void **state) {
	static const struct lo_row script[] = {
		{CREATED},
		LATER("1"),
		{"GET " UPLOAD, 200, NULL,
		 "<ListPartsResult><IsTruncated>false</IsTruncated>" NOTED_PART("2", ETAG_B, "8388608")
			 NOTED_PART("3", ETAG_C, "5") "</ListPartsResult>"},
		LATER("1"),
		{ABORT, 204, NULL, ""},
		{CREATED},
		PARTS,
		{COMPLETED},
		{0},
	};
	struct err err = {0};
	struct s3_fixture f;
	struct s3_options options = {0};
	AUTO_ARENA struct arena arena = {0};

	(void)state;
	fx_start(&f, script, options);
	options = (struct s3_options){.aws = &f.w.aws,
				      .bucket = "bucket",
				      .jobs = 1,
				      .state_dir = arena_printf(&arena, "%s/state", f.tree.dir)};
	assert_int_equal(mkdirat(f.dir_fd, "state", 0700), 0);
	write_file(&f, "f.json", large, LARGE_SIZE);
	for (size_t i = 0; i < 2; i++) {
		s3_close(f.s3);
		assert_int_equal(s3_open(&options, &f.s3, &err), 0);
		put(&f, (struct s3_put){0});
		while (s3_stats(f.s3)->retries == 0) fx_turn(&f);
	}
	s3_close(f.s3);
	write_file(&f, "f.json", large, LARGE_SIZE); /* another time */
	assert_int_equal(s3_open(&options, &f.s3, &err), 0);
	put(&f, (struct s3_put){0});
	fx_run(&f);
	fx_stop(&f);
	fx_check(&f, "gone on with", "17825792 1369353600000 x-3");
	fx_clear(&f);
}

/* Cut once the upload was asked for: it is aborted when the reader has let go of the other parts. */
static void aborts_when_the_file_shrinks(void **state) {
	static const struct lo_row script[] = {{CREATED}, {ABORT, 204, NULL, ""}, {0}};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	write_file(&f, "f.json", large, LARGE_SIZE);
	put(&f, (struct s3_put){0});
	while (s3_stats(f.s3)->requests == 0) fx_turn(&f);
	write_file(&f, "f.json", "short", 5);
	fx_run(&f);
	fx_stop(&f);
	fx_check(&f, "shrunk", "busy: s3://bucket/k: 'f.json' changed while it was sent");
	fx_clear(&f);
}

static void aborts_when_cancelled(void **state) {
	static const struct lo_row script[] = {{CREATED}, LATER("1"), {ABORT, 204, NULL, ""}, {0}};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	write_file(&f, "f.json", large, LARGE_SIZE);
	put(&f, (struct s3_put){0});
	while (s3_stats(f.s3)->retries == 0) fx_turn(&f);
	s3_cancel(f.s3);
	fx_run(&f);
	fx_stop(&f);
	fx_check(&f, "cancelled", "cancelled: s3://bucket/k: told to stop");
	fx_clear(&f);
}

static void on_refused(const char *key, const struct err *err, void *arg) { fx_add(arg, "%s %s; ", key, err->msg); }

static void deletes(void **state) {
	static const char *const keys[] = {"a", "b\x01", "c<&>\"'\n", "d"};
	static const struct lo_row script[] = {
		{"POST /bucket/?delete= HTTP/1.1\r\n", 200, NULL,
		 "<DeleteResult><Error><Key>d</Key><Code>AccessDenied</Code><Message>no</Message></Error></"
		 "DeleteResult>"},
		{"DELETE /bucket/b%01 HTTP/1.1\r\n", 403, NULL, S3_ERROR("AccessDenied")},
		{0},
	};
	struct s3_fixture f;

	(void)state;
	fx_start(&f, script, (struct s3_options){0});
	s3_delete(f.s3, &(struct s3_delete){
				.keys = keys, .count = 4, .on_refused = on_refused, .on_end = fx_on_end, .arg = &f});
	fx_run(&f);
	fx_stop(&f);
	assert_non_null(
		strstr(f.w.lo.requests[0],
		       "\r\n\r\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet><Object>"
		       "<Key>a</Key></Object><Object><Key>c&#60;&#38;&#62;&#34;&#39;&#10;</Key></Object><Object><Key>d"
		       "</Key></Object></Delete>"));
	assert_non_null(strstr(f.w.lo.requests[0], "\r\nContent-MD5: "));
	fx_check(&f, "delete",
		 "d s3://bucket/d: AccessDenied: no; b\x01 s3://bucket/b?: HTTP 403 AccessDenied: m; end");
	fx_clear(&f);
}

static void sizes_parts(void **state) {
	(void)state;
	assert_int_equal(s3_part_size(9 * (int64_t)MIB), 8 * MIB);
	assert_int_equal(s3_part_size(80000 * (int64_t)MIB), 8 * MIB);
	assert_int_equal(s3_part_size(80000 * (int64_t)MIB + 1), 9 * MIB);
	assert_int_equal(s3_part_size(5 * (int64_t)MIB * MIB), 525 * MIB);
	assert_int_equal(s3_stream_part_size(0), 8 * MIB);
	assert_int_equal(s3_stream_part_size(2000), 16 * MIB);
	assert_int_equal(s3_stream_part_size(9999), 128 * MIB);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_files),
		cmocka_unit_test(sends),
		cmocka_unit_test(notices_a_change),
		cmocka_unit_test(refuses_what_is_no_file),
		cmocka_unit_test(sends_streams),
		cmocka_unit_test(goes_on_with_an_upload),
		cmocka_unit_test(aborts_when_the_file_shrinks),
		cmocka_unit_test(aborts_when_cancelled),
		cmocka_unit_test(deletes),
		cmocka_unit_test(sizes_parts),
	};
	return cmocka_run_group_tests(tests, large_set_up, large_tear_down);
}
