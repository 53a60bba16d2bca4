#include "fmt/codec.h"

#include <stdint.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"

/** Bytes inflated at once; the output's own maximum is checked after each. */
#define CODEC_CHUNK_SIZE 16384
/** Most compressed bytes: zlib counts in 32 bits, and no gzip document that is read whole comes near. */
#define CODEC_GZIP_MAX ((size_t)1 << 30)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void codec_base64(const void *data, size_t len, struct buf *out) {
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)p[i] << 16;
		if (n > 1) bits |= (uint32_t)p[i + 1] << 8;
		if (n > 2) bits |= p[i + 2];
		char quad[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63],
				alphabet[bits & 63]};
		for (size_t k = n + 1; k < 4; k++) quad[k] = '=';
		buf_add(out, quad, sizeof quad);
	}
}

static int sextet(char c) {
	const char *at = c ? strchr(alphabet, c) : NULL;
	return at ? (int)(at - alphabet) : -1;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int codec_unbase64(const char *text, size_t len, struct buf *out, struct err *err) {
	uint32_t bits = 0;
	size_t digits = 0, padding = 0;
	for (size_t i = 0; i < len; i++) {
		if (is_space(text[i])) continue;
		int value = sextet(text[i]);
		bool is_padding = text[i] == '=';
		if (is_padding) padding++;
		if ((value < 0 && !is_padding) || (!is_padding && padding) ||
		    (is_padding && digits % 4 + padding > 4) || (is_padding && digits % 4 < 2)) {
			return err_set(err, ERR_INVALID, "byte %zu (0x%02x) does not belong into base64", i,
				       (unsigned char)text[i]);
		}
		if (is_padding) continue;
		bits = bits << 6 | (uint32_t)value;
		if (++digits % 4) continue;
		const char three[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
		buf_add(out, three, sizeof three);
	}
	if (digits % 4 == 1) return err_set(err, ERR_INVALID, "base64 is cut: its last character stands alone");
	if (digits % 4 == 2) buf_addc(out, (char)(bits >> 4));
	if (digits % 4 == 3) {
		buf_addc(out, (char)(bits >> 10));
		buf_addc(out, (char)(bits >> 2));
	}
	return buf_check(out, "what the base64 holds", err);
}

bool codec_is_gzip(const void *data, size_t len) { return len >= 3 && memcmp(data, "\x1f\x8b\x08", 3) == 0; }

/* One member, from where z stands to its end. */
static int inflate_member(z_stream *z, struct buf *out, struct err *err) {
	for (;;) {
		unsigned char chunk[CODEC_CHUNK_SIZE];
		z->next_out = chunk;
		z->avail_out = sizeof chunk;
		int rc = inflate(z, Z_NO_FLUSH);
		if (rc == Z_MEM_ERROR) abort(); /* memory never fails: base/mem.h */
		buf_add(out, chunk, sizeof chunk - z->avail_out);
		int limit = buf_check(out, "what the gzip data holds", err);
		if (limit < 0) return limit;
		if (rc == Z_STREAM_END) return 0;
		if (rc == Z_OK) continue;
		if (rc == Z_BUF_ERROR) return err_set(err, ERR_INVALID, "gzip data is cut: its end is missing");
		return err_set(err, ERR_INVALID, "gzip data is damaged: %s", z->msg ? z->msg : "no gzip header");
	}
}

static int inflate_all(z_stream *z, struct buf *out, struct err *err) {
	for (;;) {
		int rc = inflate_member(z, out, err);
		if (rc < 0) return rc;
		while (z->avail_in && !*z->next_in) { /* gzip(1) lets zero bytes pad the end: tapes and blocks */
			z->next_in++;
			z->avail_in--;
		}
		if (!z->avail_in) return 0;
		if (!codec_is_gzip(z->next_in, z->avail_in)) {
			return err_set(err, ERR_INVALID, "%u bytes after the gzip data are no gzip data", z->avail_in);
		}
		if (inflateReset(z) != Z_OK) return err_set(err, ERR_STATE, "zlib cannot be reset");
	}
}

int codec_gunzip(const void *data, size_t len, struct buf *out, struct err *err) {
	if (!codec_is_gzip(data, len)) return err_set(err, ERR_INVALID, "not gzip data");
	if (len > CODEC_GZIP_MAX) return err_set(err, ERR_LIMIT, "gzip data of %zu bytes is too large", len);
	z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) abort(); /* for want of memory; 16: gzip alone, no zlib header */
	int rc = inflate_all(&z, out, err);
	(void)inflateEnd(&z); /* fails only for a stream that was never begun */
	return rc;
}

void codec_gzip(const void *data, size_t len, struct buf *out) {
	unsigned char chunk[CODEC_CHUNK_SIZE];
	z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
	int rc = Z_OK;
	if (len > CODEC_GZIP_MAX || deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		abort(); /* for want of memory: see inflateInit2 */
	while (rc == Z_OK) {
		z.next_out = chunk;
		z.avail_out = sizeof chunk;
		rc = deflate(&z, Z_FINISH);
		buf_add(out, chunk, sizeof chunk - z.avail_out);
	}
	(void)deflateEnd(&z); /* all of it was taken */
}

static bool is_plain(char c, bool keeps_slash) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~' || (keeps_slash && c == '/');
}

void codec_percent(const char *s, bool keeps_slash, struct buf *out) {
	static const char digits[] = "0123456789ABCDEF";

	while (*s) {
		size_t run = 0;
		unsigned char c;

		while (s[run] && is_plain(s[run], keeps_slash)) run++;
		buf_add(out, s, run);
		s += run;
		c = (unsigned char)*s;
		if (!c) return;
		buf_add(out, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
		s++;
	}
}
