#include "aws/s3_check.h"

#include "base/buf.h"
#include "base/err.h"
#include "fmt/codec.h"
#include "io/http.h"

static const struct {
	const char *header, *name;
	enum s3_check_how how;
	enum crc_kind kind;
	size_t size;
} rows[] = {
	{"x-amz-checksum-crc64nvme", "CRC-64/NVME", S3_CHECK_CRC, CRC_64NVME, 8},
	{"x-amz-checksum-crc32c", "CRC-32C", S3_CHECK_CRC, CRC_32C, 4},
	{"x-amz-checksum-crc32", "CRC-32", S3_CHECK_CRC, CRC_32, 4},
	{"x-amz-checksum-sha256", "SHA-256", S3_CHECK_SHA256, CRC_32, SHA256_SIZE},
};

/** Decodes base64; false for another length: "…-3", a checksum of checksums, is one. */
static bool decode(const char *text, size_t len, size_t size, unsigned char *ret_bytes) {
	AUTO_BUF struct buf bytes = BUF_INIT(SHA256_SIZE);
	struct err ignored;

	if (codec_unbase64(text, len, &bytes, &ignored) != 0 || bytes.len != size) return false;
	memcpy(ret_bytes, bytes.data, size);
	return true;
}

void s3_check_begin(struct s3_check *check, const struct http_response *answer) {
	s3_check_clear(check);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t len;
		const char *text = http_header_at(answer, rows[i].header, &len);

		if (!text || !decode(text, len, rows[i].size, check->want)) continue;
		check->how = rows[i].how;
		check->kind = rows[i].kind;
		check->name = rows[i].name;
		check->crc = CRC_INIT;
		if (check->how == S3_CHECK_SHA256) check->digest = digest_new();
		return;
	}
}

void s3_check_add(struct s3_check *check, const void *data, size_t len) {
	switch (check->how) {
	case S3_CHECK_NONE: break;
	case S3_CHECK_CRC: check->crc = crc_add(check->kind, check->crc, data, len); break;
	case S3_CHECK_SHA256: digest_add(check->digest, data, len); break;
	}
}

void s3_check_set_crc(struct s3_check *check, uint64_t crc) { check->crc = crc; }

static size_t crc_bytes(enum crc_kind kind, uint64_t crc, unsigned char bytes[8]) {
	size_t size = crc_size(kind);

	for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(crc >> 8 * (size - 1 - i));
	return size;
}

int s3_check_end(struct s3_check *check, struct err *err) {
	unsigned char got[SHA256_SIZE];
	size_t size = 0;

	switch (check->how) {
	case S3_CHECK_NONE: return 0;
	case S3_CHECK_CRC: size = crc_bytes(check->kind, check->crc, got); break;
	case S3_CHECK_SHA256:
		digest_end(check->digest, got);
		check->digest = NULL;
		size = SHA256_SIZE;
		break;
	}
	if (memcmp(got, check->want, size) == 0) return 0;
	(void)err_set(err, ERR_REMOTE, "what came has another %s than the object", check->name);
	err->is_retryable = true;
	return -(int)err->code;
}

void s3_check_clear(struct s3_check *check) {
	digest_free(check->digest);
	*check = (struct s3_check){0};
}

const char *s3_crc_text(enum crc_kind kind, uint64_t crc, char text[S3_CRC_TEXT_SIZE]) {
	AUTO_BUF struct buf out = BUF_INIT(S3_CRC_TEXT_SIZE - 1);
	unsigned char bytes[8];

	codec_base64(bytes, crc_bytes(kind, crc, bytes), &out);
	(void)snprintf(text, S3_CRC_TEXT_SIZE, "%s", buf_str(&out)); /* fits: 8 bytes are 12 characters */
	return text;
}

bool s3_crc_parse(enum crc_kind kind, const char *text, uint64_t *ret_crc) {
	unsigned char bytes[SHA256_SIZE];
	uint64_t crc = 0;

	if (!decode(text, strlen(text), crc_size(kind), bytes)) return false;
	for (size_t i = 0; i < crc_size(kind); i++) crc = crc << 8 | bytes[i];
	*ret_crc = crc;
	return true;
}
