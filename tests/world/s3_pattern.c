/* Contents without a disk: every made-up object is a stretch of one random pattern that begins where its key says. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "s3.h"
#include "sums.h"

static uint64_t next_random(uint64_t *state) {
	uint64_t z = *state += 0x9E3779B97F4A7C15; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	return z ^ (z >> 31);
}

void s3_pattern_make(struct s3 *s3) {
	uint64_t state = 20131001;
	char *p;

	s3->pattern_fd = memfd_create("pattern", MFD_CLOEXEC);
	if (s3->pattern_fd < 0 || ftruncate(s3->pattern_fd, S3_PATTERN_SIZE + 8)) abort();
	p = mmap(NULL, S3_PATTERN_SIZE + 8, PROT_READ | PROT_WRITE, MAP_SHARED, s3->pattern_fd, 0);
	if (p == MAP_FAILED) abort();
	for (size_t i = 0; i < S3_PATTERN_SIZE; i += 8) {
		uint64_t word = next_random(&state);
		memcpy(p + i, &word, sizeof word);
	}
	s3->pattern = p;
}

void s3_pattern_copy(const struct s3 *s3, size_t at, char *out, size_t len) {
	while (len) {
		size_t from = at % S3_PATTERN_SIZE, n = S3_PATTERN_SIZE - from < len ? S3_PATTERN_SIZE - from : len;
		memcpy(out, s3->pattern + from, n);
		at += n;
		out += n;
		len -= n;
	}
}

static void set_checksum(struct s3_object *o, uint64_t crc) {
	unsigned char bytes[8];
	char text[16];

	for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(crc >> (56 - 8 * i));
	sum_base64(bytes, sizeof bytes, text);
	free(o->checksum);
	o->checksum = text_print("x-amz-checksum-crc64nvme: %s\r\nx-amz-checksum-type: FULL_OBJECT\r\n", text);
}

static void set_md5(struct s3_object *o, const char *data) {
	static EVP_MD *md5;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (!md5) md5 = must(EVP_MD_fetch(NULL, "MD5", NULL));
	if (!EVP_Digest(data, (size_t)o->size, digest, &len, md5, NULL)) abort();
	for (unsigned i = 0; i < 16; i++) snprintf(o->etag + 2 * i, 3, "%02x", digest[i]);
}

void s3_object_invent(const struct s3 *s3, struct s3_object *o, const char *seed, bool has_checksum) {
	static char scratch[S3_ONE_PUT_MAX];
	uint64_t state = sum_crc64nvme(sum_crc64nvme(0, seed, strlen(seed)), o->key, strlen(o->key));
	uint64_t random = next_random(&state);

	o->pattern_at = random % S3_PATTERN_SIZE;
	if (o->size > S3_ONE_PUT_MAX) { /* as of a multipart upload: no hash of the contents */
		snprintf(o->etag, sizeof o->etag, "%016llx%016llx-%lld", (unsigned long long)random,
			 (unsigned long long)next_random(&state),
			 (long long)(o->size + S3_ONE_PUT_MAX - 1) / S3_ONE_PUT_MAX);
		return;
	}
	s3_pattern_copy(s3, o->pattern_at, scratch, (size_t)o->size);
	set_md5(o, scratch);
	if (has_checksum) set_checksum(o, sum_crc64nvme(0, scratch, (size_t)o->size));
}

uint32_t s3_object_crc32c(const struct s3 *s3, struct s3_object *o) {
	if (o->has_crc32c) return o->crc32c;
	o->has_crc32c = true;
	o->crc32c = o->data ? sum_crc32c(0, o->data, (size_t)o->size) : 0;
	for (int64_t done = 0; !o->data && done < o->size;) {
		size_t from = (o->pattern_at + (uint64_t)done) % S3_PATTERN_SIZE;
		size_t n = S3_PATTERN_SIZE - from;
		if ((int64_t)n > o->size - done) n = (size_t)(o->size - done);
		o->crc32c = sum_crc32c(o->crc32c, s3->pattern + from, n);
		done += (int64_t)n;
	}
	return o->crc32c;
}
