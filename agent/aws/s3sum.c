#include "aws/s3sum.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "aws/s3.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "fmt/digest.h"

#define MIB (1024LL * 1024)
#define CHUNK_SIZE (256 * 1024)
/* Bytes a slice: some 10 ms of MD5. */
#define SLICE_BYTES (8 * MIB)
#define MD5_DIGITS ((size_t)2 * MD5_SIZE)
/* S3 User Guide, "Amazon S3 multipart upload limits". */
#define PARTS_MAX 10000
#define PART_SIZES_MAX 12

struct s3sum {
	int fd;
	int64_t size, at, part_end;
	char etag[S3_ETAG_MAX];
	int64_t part_sizes[PART_SIZES_MAX]; /* still to be tried, the last first; none: one piece */
	size_t tries;
	bool has_parts;
	struct digest *part, *whole; /* of the part that is read; of the MD5s of parts */
	unsigned char *chunk;
};

bool s3sum_is_md5(const char *etag, bool *ret_has_parts) {
	int64_t parts;
	struct err ignored; /* no number: no part count */
	if (strspn(etag, "0123456789abcdefABCDEF") != MD5_DIGITS) return false;
	*ret_has_parts = etag[MD5_DIGITS] == '-';
	return !etag[MD5_DIGITS] ||
	       (*ret_has_parts && !parse_i64(etag + MD5_DIGITS + 1, 1, PARTS_MAX, &parts, &ignored));
}

static int64_t up_to_mib(int64_t n) { return (n + MIB - 1) / MIB * MIB; }

static void add_size(struct s3sum *s, int64_t part_size, int64_t parts) {
	if (part_size <= 0 || (s->size + part_size - 1) / part_size != parts || s->tries == PART_SIZES_MAX) return;
	for (size_t i = 0; i < s->tries; i++)
		if (s->part_sizes[i] == part_size) return;
	s->part_sizes[s->tries++] = part_size;
}

/* Sizes of parts that give so many: those of the common programs, and what an even division would take. */
static void guess_sizes(struct s3sum *s, int64_t parts) {
	static const int64_t usual[] = {100, 64, 50, 32, 16, 15, 10, 5};
	add_size(s, up_to_mib((s->size + parts - 1) / parts), parts);
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) add_size(s, usual[i] * MIB, parts);
	int64_t least = up_to_mib((s->size + PARTS_MAX - 1) / PARTS_MAX);
	add_size(s, least > 8 * MIB ? least : 8 * MIB, parts);
}

static void begin_try(struct s3sum *s) {
	s->at = 0;
	digest_free(s->part);
	digest_free(s->whole);
	s->part = digest_new_md5();
	s->whole = s->has_parts ? digest_new_md5() : NULL;
	s->part_end = s->has_parts ? s->part_sizes[s->tries - 1] : s->size;
}

struct s3sum *s3sum_new(int fd, int64_t size, const char *etag) {
	struct s3sum *s = mem_zalloc(sizeof *s);
	struct err ignored; /* s3sum_is_md5 has looked */
	int64_t parts = 0;
	s->fd = fd;
	s->size = size;
	(void)snprintf(s->etag, sizeof s->etag, "%s", etag);
	if (!s3sum_is_md5(etag, &s->has_parts)) return s;
	if (s->has_parts && !parse_i64(etag + MD5_DIGITS + 1, 1, PARTS_MAX, &parts, &ignored)) guess_sizes(s, parts);
	s->chunk = mem_zalloc(CHUNK_SIZE);
	if (!s->has_parts || s->tries) begin_try(s);
	return s;
}

void s3sum_free(struct s3sum *s) {
	if (!s) return;
	digest_free(s->part);
	digest_free(s->whole);
	cleanup_close(&s->fd);
	free(s->chunk);
	free(s);
}

static void end_part(struct s3sum *s) {
	unsigned char md5[MD5_SIZE];
	digest_end(s->part, md5);
	digest_add(s->whole, md5, sizeof md5);
	s->part = digest_new_md5();
	s->part_end += s->part_sizes[s->tries - 1];
	if (s->part_end > s->size) s->part_end = s->size;
}

/* All was read. */
static enum s3sum_state judge(struct s3sum *s) {
	unsigned char md5[MD5_SIZE];
	char hex[MD5_DIGITS + 1];
	if (s->has_parts) {
		digest_end(s->whole, md5);
		s->whole = NULL;
	} else {
		digest_end(s->part, md5);
		s->part = NULL;
	}
	digest_hex(md5, sizeof md5, hex);
	if (strncasecmp(hex, s->etag, MD5_DIGITS) == 0) return S3SUM_SAME;
	if (!s->has_parts) return S3SUM_DIFFERS;
	if (!--s->tries) return S3SUM_UNKNOWN;
	begin_try(s);
	return S3SUM_GOES_ON;
}

enum s3sum_state s3sum_step(struct s3sum *s) {
	if (!s->part) return S3SUM_UNKNOWN;
	for (int64_t left = SLICE_BYTES; left > 0 && s->at < s->size;) {
		int64_t want = s->part_end - s->at < CHUNK_SIZE ? s->part_end - s->at : CHUNK_SIZE;
		ssize_t n = pread(s->fd, s->chunk, (size_t)want, s->at);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return S3SUM_UNKNOWN;
		if (!n) return S3SUM_DIFFERS; /* shorter than it was */
		digest_add(s->part, s->chunk, (size_t)n);
		s->at += n;
		left -= n;
		if (s->has_parts && s->at == s->part_end) end_part(s);
	}
	return s->at < s->size ? S3SUM_GOES_ON : judge(s);
}
