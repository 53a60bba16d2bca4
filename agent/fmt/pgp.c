/* Reference: RFC 9580, 4.2 (packet headers), 5.5.4 (fingerprints), 6.2 (armor). */
#include "fmt/pgp.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/codec.h"
#include "fmt/digest.h"

#define ARMOR_BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define ARMOR_END "-----END PGP PUBLIC KEY BLOCK-----"
/** A keyring of a distribution has 100 KiB. */
#define BINARY_MAX (4 * 1024 * 1024)
#define TAG_SECRET_KEY 5
#define TAG_PUBLIC_KEY 6

struct packet {
	unsigned tag;
	const unsigned char *body;
	size_t len;
};

static size_t big_endian(const unsigned char *at, size_t n) {
	size_t value = 0;
	for (size_t i = 0; i < n; i++) value = value << 8 | at[i];
	return value;
}

/* Reads a length of the new format at *at; false for a cut or partial one. */
static bool new_length(const unsigned char **at, const unsigned char *end, size_t *ret_len) {
	const unsigned char *p = *at;
	if (p < end && p[0] < 192) {
		*ret_len = p[0];
		*at = p + 1;
	} else if (end - p >= 2 && p[0] >= 192 && p[0] < 224) {
		*ret_len = ((size_t)(p[0] - 192) << 8) + p[1] + 192;
		*at = p + 2;
	} else if (end - p >= 5 && p[0] == 255) {
		*ret_len = big_endian(p + 1, 4);
		*at = p + 5;
	} else {
		return false;
	}
	return true;
}

static bool next_packet(const unsigned char **at, const unsigned char *end, struct packet *ret) {
	const unsigned char *p = *at;
	unsigned head = *p++;
	if (!(head & 0x80)) return false;
	if (head & 0x40) {
		ret->tag = head & 0x3f;
		if (!new_length(&p, end, &ret->len)) return false;
	} else {
		size_t n = (size_t)1 << (head & 3);
		ret->tag = head >> 2 & 0xf;
		if ((head & 3) == 3 || (size_t)(end - p) < n) return false;
		ret->len = big_endian(p, n);
		p += n;
	}
	if (ret->len > (size_t)(end - p)) return false;
	ret->body = p;
	*at = p + ret->len;
	return true;
}

static int fingerprint(const struct packet *packet, struct arena *arena, const char **ret_text, struct err *err) {
	unsigned char digest[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];
	size_t len = packet->len;
	unsigned version = len ? packet->body[0] : 0;
	AUTO_BUF struct buf text = BUF_INIT(BINARY_MAX + 8);
	if (version == 4) {
		const unsigned char head[] = {0x99, (unsigned char)(len >> 8), (unsigned char)len};
		buf_add(&text, head, sizeof head);
	} else if (version == 6) {
		const unsigned char head[] = {0x9b, (unsigned char)(len >> 24), (unsigned char)(len >> 16),
					      (unsigned char)(len >> 8), (unsigned char)len};
		buf_add(&text, head, sizeof head);
	} else {
		return err_set(err, ERR_UNSUPPORTED,
			       "an OpenPGP key of version %u: only 4 and 6 have safe fingerprints", version);
	}
	buf_add(&text, packet->body, len);
	if (version == 4)
		digest_sha1(text.data, text.len, digest);
	else
		digest_sha256(text.data, text.len, digest);
	char *upper = digest_hex(digest, version == 4 ? SHA1_SIZE : SHA256_SIZE, hex);
	for (char *c = upper; *c; c++) *c = (char)toupper((unsigned char)*c);
	*ret_text = arena_strdup(arena, upper);
	return 0;
}

static int read_packets(const char *data, size_t len, struct arena *arena, struct strs *ret, struct err *err) {
	const unsigned char *at = (const unsigned char *)data, *end = at + len;
	size_t count = 0;
	while (at < end) {
		struct packet packet;
		const char *text = "";
		bool is_whole = next_packet(&at, end, &packet);
		if (is_whole && packet.tag == TAG_SECRET_KEY) return err_set(err, ERR_INVALID, "it holds a secret key");
		if (!is_whole || (!count && packet.tag != TAG_PUBLIC_KEY)) break;
		if (packet.tag != TAG_PUBLIC_KEY) continue;
		if (fingerprint(&packet, arena, &text, err) < 0) return -(int)err->code;
		strs_add_once(ret, text);
		count++;
	}
	if (at < end || !count) return err_set(err, ERR_INVALID, "it is no OpenPGP public key file, or a damaged one");
	return 0;
}

/* One armored block: headers, an empty line, base64, "=" and a sum that is not looked at. */
static int read_armored(const char *block, const char *end, struct arena *arena, struct strs *ret, struct err *err) {
	AUTO_BUF struct buf binary = BUF_INIT(BINARY_MAX);
	const char *at = block + strcspn(block, "\n");
	for (;;) {
		if (at >= end) return err_set(err, ERR_INVALID, "its armor has no empty line before the key");
		const char *line = at + 1;
		size_t len = strcspn(line, "\n");
		at = line + len;
		if (strspn(line, " \t\r") >= len) break;
	}
	size_t len = (size_t)(end - at);
	for (const char *line = at; line && line < end; line = memchr(line, '\n', (size_t)(end - line))) {
		if (*line == '\n') line++;
		if (line < end && *line == '=') {
			len = (size_t)(line - at);
			break;
		}
	}
	int r = codec_unbase64(at, len, &binary, err);
	if (r == 0) r = buf_check(&binary, "the key", err);
	return r < 0 ? r : read_packets(buf_str(&binary), binary.len, arena, ret, err);
}

int pgp_fingerprints(const char *data, size_t len, struct arena *arena, struct strs *ret_fingerprints,
		     struct err *err) {
	if (len && ((unsigned char)data[0] & 0x80)) return read_packets(data, len, arena, ret_fingerprints, err);
	const char *text = arena_dup(arena, data, len), *block;
	int r = 0, blocks = 0;
	while (r == 0 && (block = strstr(text, ARMOR_BEGIN))) {
		const char *end = strstr(block, ARMOR_END);
		if (!end) return err_set(err, ERR_INVALID, "its armor is cut");
		r = read_armored(block, end, arena, ret_fingerprints, err);
		text = end;
		blocks++;
	}
	if (r == 0 && !blocks) r = err_set(err, ERR_INVALID, "it is no OpenPGP public key file, or a damaged one");
	return r;
}
