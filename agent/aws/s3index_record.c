#include "aws/s3index_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/digest.h"

/* How an ETag is written. */
enum { ETAG_NONE, ETAG_MD5, ETAG_PARTS, ETAG_TEXT };

#define MD5_DIGITS ((size_t)2 * MD5_SIZE)

static void put_number(uint64_t n, struct buf *out) {
	for (; n >= 0x80; n >>= 7) buf_addc(out, (char)(n | 0x80));
	buf_addc(out, (char)n);
}

/* Signed ones with the sign in the lowest bit, so that small ones stay short. */
static void put_signed(int64_t n, struct buf *out) { put_number(((uint64_t)n << 1) ^ (n < 0 ? UINT64_MAX : 0), out); }

static bool is_md5(const char *etag) { return strspn(etag, "0123456789abcdef") == MD5_DIGITS; }

static void put_etag(const char *etag, struct buf *out) {
	unsigned char md5[MD5_SIZE];
	struct err ignored; /* is_md5 has looked */
	int64_t parts = 0;
	char text[24];
	if (!is_md5(etag)) {
		put_number(*etag ? ETAG_TEXT : ETAG_NONE, out);
		if (*etag) put_number(strlen(etag), out);
		buf_adds(out, etag);
		return;
	}
	const char *rest = etag + MD5_DIGITS;
	bool has_parts = *rest == '-' && !parse_i64(rest + 1, 1, INT32_MAX, &parts, &ignored);
	(void)snprintf(text, sizeof text, "-%" PRId64, parts);
	if (*rest && !(has_parts && str_eq(text, rest))) {
		put_number(ETAG_TEXT, out);
		put_number(strlen(etag), out);
		buf_adds(out, etag);
		return;
	}
	char digits[MD5_DIGITS + 1];
	memcpy(digits, etag, MD5_DIGITS);
	digits[MD5_DIGITS] = '\0';
	(void)!parse_hex(digits, md5, sizeof md5, &ignored);
	put_number(has_parts ? ETAG_PARTS : ETAG_MD5, out);
	buf_add(out, md5, sizeof md5);
	if (has_parts) put_number((uint64_t)parts, out);
}

void s3record_put(const struct s3index_entry *e, const char *previous, struct buf *out) {
	size_t shared = 0, len = strlen(e->path);
	while (shared < len && e->path[shared] == previous[shared]) shared++;
	put_number(shared, out);
	put_number(len - shared, out);
	buf_add(out, e->path + shared, len - shared);
	put_signed(e->size, out);
	put_signed(e->mtime_ns, out);
	/* What was downloaded has the object's time: nothing is left to say then. */
	put_signed((int64_t)((uint64_t)e->modified_at_ms - (uint64_t)(e->mtime_ns / 1000000)), out);
	put_etag(e->etag, out);
}

/* Bytes that are left to read; data NULL once they were not what they must be. */
struct bytes {
	const unsigned char *data, *end;
};

static uint64_t get_number(struct bytes *b) {
	uint64_t n = 0;
	for (unsigned shift = 0; b->data && b->data < b->end && shift < 64; shift += 7) {
		unsigned char byte = *b->data++;
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) return n;
	}
	b->data = NULL;
	return 0;
}

static int64_t get_signed(struct bytes *b) {
	uint64_t n = get_number(b);
	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static bool get_bytes(struct bytes *b, void *out, size_t n) {
	if (!b->data || (size_t)(b->end - b->data) < n) {
		b->data = NULL;
		return false;
	}
	memcpy(out, b->data, n);
	b->data += n;
	return true;
}

static void get_etag(struct bytes *b, char etag[S3_ETAG_MAX]) {
	unsigned char md5[MD5_SIZE];
	uint64_t kind = get_number(b);
	etag[0] = '\0';
	if (kind == ETAG_TEXT) {
		uint64_t n = get_number(b);
		if (n >= S3_ETAG_MAX) b->data = NULL;
		if (b->data && get_bytes(b, etag, n)) etag[n] = '\0';
	} else if (kind == ETAG_MD5 || kind == ETAG_PARTS) {
		if (!get_bytes(b, md5, sizeof md5)) return;
		digest_hex(md5, sizeof md5, etag);
		uint64_t parts = kind == ETAG_PARTS ? get_number(b) : 0;
		if (parts > INT32_MAX) b->data = NULL;
		if (kind == ETAG_PARTS) (void)snprintf(etag + MD5_DIGITS, S3_ETAG_MAX - MD5_DIGITS, "-%" PRIu64, parts);
	} else if (kind != ETAG_NONE) {
		b->data = NULL;
	}
}

/* The path, which must follow the one before it. */
static void get_path(struct bytes *b, struct s3record *r) {
	char before[S3RECORD_PATH_MAX + 1];
	size_t len = strlen(r->path);
	uint64_t shared = get_number(b), rest = get_number(b);
	memcpy(before, r->path, len + 1);
	if (shared > len || rest > S3RECORD_PATH_MAX - shared) b->data = NULL;
	if (!b->data || !get_bytes(b, r->path + shared, rest)) return;
	r->path[shared + rest] = '\0';
	if (strlen(r->path) != shared + rest || strcmp(before, r->path) >= 0) b->data = NULL;
}

size_t s3record_get(const unsigned char *data, size_t len, struct s3record *r) {
	struct bytes b = {data, data + len};
	get_path(&b, r);
	r->entry = (struct s3index_entry){.path = r->path, .etag = r->etag};
	r->entry.size = get_signed(&b);
	r->entry.mtime_ns = get_signed(&b);
	uint64_t delta = (uint64_t)get_signed(&b);
	r->entry.modified_at_ms = (int64_t)((uint64_t)(r->entry.mtime_ns / 1000000) + delta);
	get_etag(&b, r->etag);
	return b.data ? (size_t)(b.data - data) : 0;
}

void s3stream_open(struct s3stream *s, int fd, int64_t at, int64_t end) {
	*s = (struct s3stream){.fd = fd, .at = at, .end = end, .data = mem_zalloc(S3STREAM_SIZE)};
}

void s3stream_close(struct s3stream *s) {
	free(s->data);
	s->data = NULL;
}

/* Fills up from the file. */
static int fill(struct s3stream *s, struct err *err) {
	memmove(s->data, s->data + s->used, s->have - s->used);
	s->have -= s->used;
	s->used = 0;
	while (s->have < S3STREAM_SIZE && s->at < s->end) {
		size_t want = S3STREAM_SIZE - s->have;
		if ((int64_t)want > s->end - s->at) want = (size_t)(s->end - s->at);
		ssize_t n = pread(s->fd, s->data + s->have, want, s->at);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot read the index");
		if (!n) return err_set(err, ERR_STATE, "the index is shorter than it was");
		s->have += (size_t)n;
		s->at += n;
	}
	return 0;
}

int s3stream_next(struct s3stream *s, bool *ret_has, struct err *err) {
	if (s->have - s->used < S3RECORD_MAX && s->at < s->end) {
		int rc = fill(s, err);
		if (rc) return rc;
	}
	*ret_has = s->used < s->have;
	if (!*ret_has) return 0;
	size_t n = s3record_get(s->data + s->used, s->have - s->used, &s->record);
	if (!n) return err_set(err, ERR_STATE, "the index is damaged");
	s->used += n;
	return 0;
}
