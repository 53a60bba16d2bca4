/*
 * The examples of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API Reference (header, query,
 * chunked), stage by stage, and the rules of encoding and sorting one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/cred.h"
#include "aws/sigv4.h"
#include "base/mem.h"
#include "fmt/digest.h"

#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define DATE "20130524T000000Z"
#define SCOPE "20130524/us-east-1/s3/aws4_request"
#define NOW 1369353600
#define WELCOME_HASH "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define STREAMING "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define BUCKET_HOST "host: examplebucket.s3.amazonaws.com"

static const struct {
	const char *name, *method, *path;
	const char *query[16], *headers[9];
	const char *payload_hash;
	const char *canonical, *signed_headers, *canonical_hash, *signature;
} vectors[] = {
	{"get object with a range",
	 "GET",
	 "/test.txt",
	 {NULL},
	 {BUCKET_HOST, "Range: bytes=0-9", "x-amz-content-sha256: " SIGV4_EMPTY_HASH, "x-amz-date: " DATE},
	 SIGV4_EMPTY_HASH,
	 "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
	 "x-amz-content-sha256:" SIGV4_EMPTY_HASH "\nx-amz-date:" DATE "\n\n"
	 "host;range;x-amz-content-sha256;x-amz-date\n" SIGV4_EMPTY_HASH,
	 "host;range;x-amz-content-sha256;x-amz-date",
	 "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
	 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"put object",
	 "PUT",
	 "/test$file.text",
	 {NULL},
	 {"Date: Fri, 24 May 2013 00:00:00 GMT", BUCKET_HOST, "x-amz-content-sha256: " WELCOME_HASH,
	  "x-amz-date: " DATE, "x-amz-storage-class: REDUCED_REDUNDANCY"},
	 WELCOME_HASH,
	 "PUT\n/test%24file.text\n\ndate:Fri, 24 May 2013 00:00:00 GMT\nhost:examplebucket.s3.amazonaws.com\n"
	 "x-amz-content-sha256:" WELCOME_HASH "\nx-amz-date:" DATE "\nx-amz-storage-class:REDUCED_REDUNDANCY\n\n"
	 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class\n" WELCOME_HASH,
	 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	 "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
	 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"get bucket lifecycle",
	 "GET",
	 "",
	 {"lifecycle", "", NULL},
	 {BUCKET_HOST, "x-amz-content-sha256: " SIGV4_EMPTY_HASH, "x-amz-date: " DATE},
	 SIGV4_EMPTY_HASH,
	 "GET\n/\nlifecycle=\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" SIGV4_EMPTY_HASH
	 "\nx-amz-date:" DATE "\n\nhost;x-amz-content-sha256;x-amz-date\n" SIGV4_EMPTY_HASH,
	 "host;x-amz-content-sha256;x-amz-date",
	 "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
	 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"list objects",
	 "GET",
	 "/",
	 {"prefix", "J", "max-keys", "2", NULL},
	 {"x-amz-date: " DATE, "x-amz-content-sha256: " SIGV4_EMPTY_HASH, BUCKET_HOST},
	 SIGV4_EMPTY_HASH,
	 "GET\n/\nmax-keys=2&prefix=J\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" SIGV4_EMPTY_HASH
	 "\nx-amz-date:" DATE "\n\nhost;x-amz-content-sha256;x-amz-date\n" SIGV4_EMPTY_HASH,
	 "host;x-amz-content-sha256;x-amz-date",
	 "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
	 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	{"presigned get",
	 "GET",
	 "/test.txt",
	 {"X-Amz-Algorithm", "AWS4-HMAC-SHA256", "X-Amz-Credential", ACCESS_KEY "/" SCOPE, "X-Amz-Date", DATE,
	  "X-Amz-Expires", "86400", "X-Amz-SignedHeaders", "host", NULL},
	 {BUCKET_HOST},
	 "UNSIGNED-PAYLOAD",
	 "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" ACCESS_KEY
	 "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=" DATE
	 "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD",
	 "host",
	 "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04",
	 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
	{"seed of a chunked put",
	 "PUT",
	 "/examplebucket/chunkObject.txt",
	 {NULL},
	 {"Host: s3.amazonaws.com", "x-amz-date: " DATE, "x-amz-storage-class: REDUCED_REDUNDANCY",
	  "x-amz-content-sha256: " STREAMING, "Content-Encoding: aws-chunked", "x-amz-decoded-content-length: 66560",
	  "Content-Length: 66824"},
	 STREAMING,
	 "PUT\n/examplebucket/chunkObject.txt\n\ncontent-encoding:aws-chunked\ncontent-length:66824\n"
	 "host:s3.amazonaws.com\nx-amz-content-sha256:" STREAMING "\nx-amz-date:" DATE
	 "\nx-amz-decoded-content-length:66560\nx-amz-storage-class:REDUCED_REDUNDANCY\n\n"
	 "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
	 "x-amz-storage-class\n" STREAMING,
	 "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
	 "x-amz-storage-class",
	 "cee3fed04b70f867d036f722359b0b1f2f0e5dc0efadbc082b76c4c60e316455",
	 "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"},
};

static struct sigv4_request request_of(size_t i, struct strs *headers) {
	for (size_t h = 0; vectors[i].headers[h]; h++) strs_add(headers, vectors[i].headers[h]);
	return (struct sigv4_request){.method = vectors[i].method,
				      .path = vectors[i].path,
				      .query = vectors[i].query,
				      .headers = headers,
				      .payload_hash = vectors[i].payload_hash,
				      .region = "us-east-1",
				      .service = "s3",
				      .now = NOW};
}

static void stage_by_stage(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_STRS struct strs headers = {0};
		struct sigv4_request req = request_of(i, &headers);
		struct cred cred = {.access_key = mem_strdup(ACCESS_KEY), .secret_key = mem_strdup(SECRET_KEY)};
		const char *canonical = sigv4_canonical_request(&req, &arena), *to_sign;
		unsigned char key[32];

		print_message("  %s\n", vectors[i].name);
		assert_string_equal(canonical, vectors[i].canonical);
		assert_string_equal(sigv4_signed_headers(&headers, &arena), vectors[i].signed_headers);
		assert_string_equal(sigv4_scope(&req, &arena), SCOPE);
		to_sign = sigv4_string_to_sign(&req, canonical, &arena);
		assert_string_equal(to_sign, arena_printf(&arena, "AWS4-HMAC-SHA256\n" DATE "\n" SCOPE "\n%s",
							  vectors[i].canonical_hash));
		sigv4_signing_key(&req, SECRET_KEY, key);
		assert_string_equal(sigv4_signature(key, to_sign, &arena), vectors[i].signature);
		assert_string_equal(sigv4_authorization(&req, &cred, &arena),
				    arena_printf(&arena,
						 "Authorization: AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/" SCOPE
						 ", SignedHeaders=%s, Signature=%s",
						 vectors[i].signed_headers, vectors[i].signature));
		free(cred.access_key);
		free(cred.secret_key);
	}
}

/* 64 KiB of 'a', 1 KiB of 'a', nothing; each signature goes into the next. The first follows the seed. */
static const struct {
	size_t size;
	const char *signature;
} chunks[] = {
	{65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"},
	{1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"},
	{0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
};

static void chunk_signatures(void **state) {
	AUTO_ARENA struct arena arena = {0};
	const struct sigv4_request req = {.region = "us-east-1", .service = "s3", .now = NOW};
	const char *previous = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
	unsigned char key[32];
	char hash[SHA256_HEX_SIZE], *data = arena_alloc(&arena, 65536);

	(void)state;
	memset(data, 'a', 65536);
	sigv4_signing_key(&req, SECRET_KEY, key);
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
		const char *to_sign =
			arena_printf(&arena, "AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s\n%s\n" SIGV4_EMPTY_HASH "\n%s",
				     sigv4_amz_date(NOW, &arena), sigv4_scope(&req, &arena), previous,
				     digest_sha256_hex(data, chunks[i].size, hash));

		previous = sigv4_signature(key, to_sign, &arena);
		assert_string_equal(previous, chunks[i].signature);
	}
}

static const struct {
	const char *name, *query[9], *canonical;
} queries[] = {
	{"none", {NULL}, ""},
	{"a name sorts before a longer one", {"Param-3", "3", "Param", "1", NULL}, "Param=1&Param-3=3"},
	{"equal names sort by value", {"a", "2", "a", "10", "a", "1", NULL}, "a=1&a=10&a=2"},
	{"no value", {"uploads", "", NULL}, "uploads="},
	{"slash, space, plus and equals", {"key", "a/b c+d=e&f", NULL}, "key=a%2Fb%20c%2Bd%3De%26f"},
	{"unreserved bytes", {"A-Z_a.z~9", "-._~", NULL}, "A-Z_a.z~9=-._~"},
	{"UTF-8, upper-case hex", {"k", "\xc3\xbc", NULL}, "k=%C3%BC"},
	{"upper case before lower", {"b", "1", "B", "2", NULL}, "B=2&b=1"},
	{"sorted after encoding", {"\xc3\xa9", "1", "z", "2", NULL}, "%C3%A9=1&z=2"},
};

static void canonical_queries(void **state) {
	AUTO_ARENA struct arena arena = {0};

	(void)state;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
		assert_string_equal(sigv4_canonical_query(queries[i].query, &arena), queries[i].canonical);
	assert_string_equal(sigv4_canonical_query(NULL, &arena), "");
}

static const struct {
	const char *name, *path;
	bool twice;
	const char *encoded;
} paths[] = {
	{"empty", "", false, "/"},
	{"never normalised", "/a//b/./c/../d/", false, "/a//b/./c/../d/"},
	{"encoded once", "/a b/100%/\xc3\xbc+=", false, "/a%20b/100%25/%C3%BC%2B%3D"},
	{"encoded twice", "/a b/100%", true, "/a%2520b/100%2525"},
};

static void canonical_paths(void **state) {
	AUTO_ARENA struct arena arena = {0};
	const struct strs none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const struct sigv4_request req = {.method = "GET",
						  .path = paths[i].path,
						  .encodes_path_twice = paths[i].twice,
						  .headers = &none,
						  .payload_hash = "hash"};

		assert_string_equal(sigv4_canonical_request(&req, &arena),
				    arena_printf(&arena, "GET\n%s\n\n\n\nhash", paths[i].encoded));
	}
}

static void canonical_headers(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs headers = {0};
	const struct sigv4_request req = {.method = "GET", .path = "/", .headers = &headers, .payload_hash = "hash"};

	(void)state;
	strs_add(&headers, "X-Two: b");
	strs_add(&headers, "Host:h");
	strs_add(&headers, "x-two:  a  \t b ");
	strs_add(&headers, "X-Empty:");
	strs_add(&headers, "X-Tw: url http://x");
	strs_add(&headers, "X-U\r\nX-Forged: v\nhost:other");
	assert_string_equal(sigv4_canonical_request(&req, &arena),
			    "GET\n/\n\nhost:h\nx-empty:\nx-tw:url http://x\nx-two:b,a b\nx-u x-forged:v host:other\n\n"
			    "host;x-empty;x-tw;x-two;x-u x-forged\nhash");
	assert_string_equal(sigv4_signed_headers(&headers, &arena), "host;x-empty;x-tw;x-two;x-u x-forged");
}

/* One signer over changes of day, region, service and secret signs as a fresh one does. */
static void keeps_its_key_only_while_it_fits(void **state) {
	const struct {
		int64_t now;
		const char *region, *service;
		char *secret;
	} turns[] = {
		{NOW, "us-east-1", "s3", (char[]){"a"}},	  {NOW + 1, "us-east-1", "s3", (char[]){"a"}},
		{NOW + 86400, "us-east-1", "s3", (char[]){"a"}},  {NOW + 86400, "eu-west-3", "s3", (char[]){"a"}},
		{NOW + 86400, "eu-west-3", "ec2", (char[]){"a"}}, {NOW + 86400, "eu-west-3", "ec2", (char[]){"b"}},
		{NOW, "us-east-1", "s3", (char[]){"a"}},
	};
	struct sigv4_signer *signer = sigv4_signer_new();

	(void)state;
	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_STRS struct strs headers = {0};
		const struct cred cred = {.access_key = (char[]){ACCESS_KEY}, .secret_key = turns[i].secret};
		struct sigv4_request req = {
			.method = "GET",
			.path = "/k",
			.headers = &headers,
			.payload_hash = SIGV4_EMPTY_HASH,
			.region = turns[i].region,
			.service = turns[i].service,
			.now = turns[i].now,
		};

		strs_add(&headers, BUCKET_HOST);
		assert_string_equal(sigv4_sign(signer, &req, &cred, &arena), sigv4_authorization(&req, &cred, &arena));
	}
	sigv4_signer_free(signer);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stage_by_stage),    cmocka_unit_test(chunk_signatures),
		cmocka_unit_test(canonical_queries), cmocka_unit_test(canonical_paths),
		cmocka_unit_test(canonical_headers), cmocka_unit_test(keeps_its_key_only_while_it_fits),
	};

	return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
