/*
 * What a received body goes through: hashes that the request told, the MD5 of an ETag, CRC32C for the manifest. S3 User
 * Guide, "Checking object integrity".
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "s3.h"
#include "sums.h"

#define TOLD(request, name) http_get_header(request, "x-amz-checksum-" name)

static EVP_MD_CTX *digest_new(const char *name) {
	EVP_MD_CTX *ctx = must(EVP_MD_CTX_new());
	EVP_MD *md = must(EVP_MD_fetch(NULL, name, NULL));

	if (!EVP_DigestInit_ex(ctx, md, NULL)) abort();
	EVP_MD_free(md);
	return ctx;
}

void s3_sink_begin(struct s3_sink *s, const struct request *r, bool keeps, bool checks_payload) {
	const char *told = http_get_header(r, "x-amz-content-sha256");

	*s = (struct s3_sink){.keeps = keeps};
	if ((checks_payload && told && strlen(told) == 64) || TOLD(r, "sha256")) s->sha256 = digest_new("SHA256");
	if (TOLD(r, "sha1")) s->sha1 = digest_new("SHA1");
	if (keeps || http_get_header(r, "content-md5")) s->md5 = digest_new("MD5");
	s->has_crc32 = TOLD(r, "crc32");
	s->has_crc64 = TOLD(r, "crc64nvme");
}

void s3_sink_add(struct s3_sink *s, const void *data, size_t len) {
	EVP_MD_CTX *const digests[] = {s->sha256, s->sha1, s->md5};

	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		if (digests[i] && !EVP_DigestUpdate(digests[i], data, len)) abort();
	s->crc32c = sum_crc32c(s->crc32c, data, len);
	if (s->has_crc32) s->crc32 = sum_crc32(s->crc32, data, len);
	if (s->has_crc64) s->crc64 = sum_crc64nvme(s->crc64, data, len);
	if (s->keeps) out_add(&s->kept, data, len);
	s->len += (int64_t)len;
}

static size_t take(EVP_MD_CTX **ctx, unsigned char *out) {
	unsigned len = 0;

	if (*ctx && !EVP_DigestFinal_ex(*ctx, out, &len)) abort();
	EVP_MD_CTX_free(*ctx);
	*ctx = NULL;
	return len;
}

static size_t big_endian(uint64_t value, size_t len, unsigned char *out) {
	for (size_t i = 0; i < len; i++) out[i] = (unsigned char)(value >> (8 * (len - 1 - i)));
	return len;
}

static bool is_as_told(const char *told, const unsigned char *digest, size_t len) {
	char text[EVP_MAX_MD_SIZE * 2];

	if (!told) return true;
	sum_base64(digest, len, text);
	return strcmp(told, text) == 0;
}

void s3_sink_end(struct s3_sink *s, struct request *r) {
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	size_t len = take(&s->sha256, digest);
	bool is_good = len ? is_as_told(TOLD(r, "sha256"), digest, len) : true;

	for (size_t i = 0; i < len; i++) snprintf(r->body_sha256 + 2 * i, 3, "%02x", digest[i]);
	if ((len = take(&s->sha1, digest))) is_good = is_as_told(TOLD(r, "sha1"), digest, len) && is_good;
	is_good = is_as_told(TOLD(r, "crc32"), digest, big_endian(s->crc32, 4, digest)) && is_good;
	is_good = is_as_told(TOLD(r, "crc32c"), digest, big_endian(s->crc32c, 4, digest)) && is_good;
	is_good = is_as_told(TOLD(r, "crc64nvme"), digest, big_endian(s->crc64, 8, digest)) && is_good;
	if (take(&s->md5, s->md5_value))
		is_good = is_as_told(http_get_header(r, "content-md5"), s->md5_value, 16) && is_good;
	s->is_as_told = is_good;
}

void s3_sink_clear(struct s3_sink *s) {
	EVP_MD_CTX_free(s->sha256);
	EVP_MD_CTX_free(s->sha1);
	EVP_MD_CTX_free(s->md5);
	free(s->kept.at);
	*s = (struct s3_sink){0};
}

char *s3_told_checksum(const struct request *r) {
	static const char *const names[] = {"crc64nvme", "crc32c", "crc32", "sha256", "sha1"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char name[64];
		snprintf(name, sizeof name, "x-amz-checksum-%s", names[i]);
		const char *value = http_get_header(r, name);
		if (value) return text_print("%s: %s\r\nx-amz-checksum-type: FULL_OBJECT\r\n", name, value);
	}
	return NULL;
}

char *s3_kept_headers(const struct request *r) {
	static const char *const names[] = {"content-encoding", "content-disposition", "content-language",
					    "cache-control"};
	const char *type = http_get_header(r, "content-type");
	struct out out = {0};

	out_print(&out, "Content-Type: %s\r\n", type ? type : "binary/octet-stream");
	for (size_t i = 0; i < r->header_count; i++) {
		bool is_kept = text_starts(r->headers[i].name, "x-amz-meta-");
		for (size_t k = 0; k < sizeof names / sizeof *names; k++)
			is_kept = is_kept || strcmp(r->headers[i].name, names[k]) == 0;
		if (is_kept) out_print(&out, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
	}
	return out.at;
}

const char *s3_told_class(const struct request *r) {
	static const char *const classes[] = {"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
					      "GLACIER_IR",  "GLACIER",	   "DEEP_ARCHIVE"};
	const char *told = http_get_header(r, "x-amz-storage-class");

	for (size_t i = 0; told && i < sizeof classes / sizeof *classes; i++)
		if (strcmp(told, classes[i]) == 0) return classes[i];
	return "STANDARD";
}

void s3_etag_md5(const unsigned char md5[16], char out[33]) {
	for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", md5[i]);
}
