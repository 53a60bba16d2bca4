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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct buf out AUTO_BUF = BUF_INIT(OUT_MAX), percent AUTO_BUF = BUF_INIT(3 * OUT_MAX);
	struct err err = {0};
	claim_base64((const char *)data, len);
	int rc = codec_gunzip(data, len, &out, &err);
	FUZZ_CLAIM(out.len <= OUT_MAX && (rc == 0) == (err.msg[0] == '\0'));
	FUZZ_CLAIM(rc != 0 || codec_is_gzip(data, len));
	char *text AUTO_FREE = fuzz_text(data, len);
	codec_percent(text, len % 2, &percent);
	FUZZ_CLAIM(percent.has_overflowed || percent.len >= strlen(text));
	return 0;
}
