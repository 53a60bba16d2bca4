#include "aws/s3_page.h"
#include "base/buf.h"
#include "base/err.h"
#include "fmt/codec.h"
#include "fuzz.h"

#define OUT_MAX 65536

/* What is decoded and encoded anew decodes to the same. */
static void claim_base64(const char *text, size_t len) {
	struct buf plain AUTO_BUF = BUF_INIT(OUT_MAX), encoded AUTO_BUF = BUF_INIT(2 * OUT_MAX),
			 again AUTO_BUF = BUF_INIT(OUT_MAX);
	struct err err = {0};
	if (codec_unbase64(text, len, &plain, &err) < 0) return;
	codec_base64(plain.data, plain.len, &encoded);
	FUZZ_CLAIM(encoded.len == (plain.len + 2) / 3 * 4);
	FUZZ_CLAIM(codec_unbase64(buf_str(&encoded), encoded.len, &again, &err) == 0);
	FUZZ_CLAIM(again.len == plain.len && memcmp(buf_str(&again), buf_str(&plain), plain.len) == 0);
}

/* Encoded text holds nothing that a URL would read otherwise, and decodes to what it was. */
static void claim_encoding(const char *text, bool keeps_slash) {
	struct buf encoded AUTO_BUF = BUF_INIT(3 * OUT_MAX);
	codec_percent(text, keeps_slash, &encoded);
	FUZZ_CLAIM(!encoded.has_overflowed && encoded.len >= strlen(text));
	for (const char *p = buf_str(&encoded); *p; p++)
		FUZZ_CLAIM((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
			   strchr(keeps_slash ? "-._~%/" : "-._~%", *p));
	char *again AUTO_FREE = mem_dup(buf_str(&encoded), encoded.len);
	FUZZ_CLAIM(s3_url_decode(again, true) && strcmp(again, text) == 0);
}

/* What can be decoded is never longer, and survives being encoded again. */
static void claim_decoding(const char *text, bool plus_is_space) {
	char *plain AUTO_FREE = mem_strdup(text);
	if (!s3_url_decode(plain, plus_is_space)) return;
	FUZZ_CLAIM(strlen(plain) <= strlen(text));
	claim_encoding(plain, plus_is_space);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct buf out AUTO_BUF = BUF_INIT(OUT_MAX);
	struct err err = {0};
	claim_base64((const char *)data, len);
	int rc = codec_gunzip(data, len, &out, &err);
	FUZZ_CLAIM(out.len <= OUT_MAX && (rc == 0) == (err.msg[0] == '\0'));
	FUZZ_CLAIM(rc != 0 || codec_is_gzip(data, len));
	char *text AUTO_FREE = fuzz_text(data, len);
	claim_encoding(text, len % 2);
	claim_decoding(text, len % 2);
	return 0;
}
