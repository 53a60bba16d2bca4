/*
 * One implementation for all: a reflected CRC of 32 bits is one of 64 whose polynomial is multiplied by x^32, and its
 * register then keeps to the low half. So tables, folding and joining are those of 64 bits. A register holds x^63 in
 * its lowest bit; multiplication by x is a shift to the right.
 */
#include "fmt/crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

#define KINDS 3
#define SLICES 16
#define FOLD_SIZE 64 /* four registers of 16 bytes each step */

struct crc {
	uint64_t polynomial; /* reflected, without its highest term */
	uint64_t ones;	     /* before and after */
	uint64_t tables[SLICES][256];
	uint64_t fold_64[2], fold_16[2]; /* x^(n+63) and x^(n-1) for n = 512 and 128 bits */
};

static struct crc crcs[KINDS] = {
	[CRC_32] = {.polynomial = 0xedb88320, .ones = UINT32_MAX},
	[CRC_32C] = {.polynomial = 0x82f63b78, .ones = UINT32_MAX},
	[CRC_64NVME] = {.polynomial = 0x9a6c9329ac4bc9b5, .ones = UINT64_MAX},
};
static bool has_multiply; /* like the tables set once by prepare, then only read */

static uint64_t times_x(const struct crc *c, uint64_t v) { return v >> 1 ^ (v & 1 ? c->polynomial : 0); }

/** a times b modulo the polynomial. */
static uint64_t times(const struct crc *c, uint64_t a, uint64_t b) {
	uint64_t product = 0;

	for (unsigned i = 0; i < 64; i++) {
		if (b >> 63) product ^= a;
		b <<= 1;
		a = times_x(c, a);
	}
	return product;
}

static uint64_t power_of_x(const struct crc *c, unsigned n) {
	uint64_t v = UINT64_C(1) << 63;

	while (n-- > 0) v = times_x(c, v);
	return v;
}

static bool cpu_multiplies(void) {
#if defined(__x86_64__)
	return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#elif defined(__aarch64__)
	return getauxval(AT_HWCAP) & (1U << 4); /* HWCAP_PMULL */
#else
	return false;
#endif
}

static void prepare_one(struct crc *c) {
	for (unsigned byte = 0; byte < 256; byte++) {
		uint64_t v = byte;

		for (unsigned bit = 0; bit < 8; bit++) v = times_x(c, v);
		c->tables[0][byte] = v;
	}
	for (unsigned slice = 1; slice < SLICES; slice++)
		for (unsigned byte = 0; byte < 256; byte++) {
			uint64_t v = c->tables[slice - 1][byte];

			c->tables[slice][byte] = v >> 8 ^ c->tables[0][v & 0xff];
		}
	c->fold_64[0] = power_of_x(c, 512 + 63);
	c->fold_64[1] = power_of_x(c, 512 - 1);
	c->fold_16[0] = power_of_x(c, 128 + 63);
	c->fold_16[1] = power_of_x(c, 128 - 1);
}

static void prepare(void) {
	for (size_t i = 0; i < KINDS; i++) prepare_one(&crcs[i]);
	has_multiply = cpu_multiplies();
}

static const struct crc *crc_of(enum crc_kind kind) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, prepare); /* cannot fail with a valid control */
	return &crcs[kind];
}

static uint64_t load(const unsigned char *p) {
	uint64_t v;

	memcpy(&v, p, sizeof v); /* little-endian, as both architectures are */
	return v;
}

/** The register after 8 bytes of v at the given distance of slices from the end. */
static uint64_t slice_8(const struct crc *c, uint64_t v, unsigned slice) {
	uint64_t out = 0;

	for (unsigned i = 0; i < 8; i++) out ^= c->tables[slice - i][v >> 8 * i & 0xff];
	return out;
}

static uint64_t by_table(const struct crc *c, uint64_t v, const unsigned char *p, size_t len) {
	for (; len >= 16; p += 16, len -= 16) v = slice_8(c, v ^ load(p), 15) ^ slice_8(c, load(p + 8), 7);
	for (; len > 0; p++, len--) v = v >> 8 ^ c->tables[0][(v ^ *p) & 0xff];
	return v;
}

/* Folding: a register of 128 bits is moved n bits ahead as low * x^(n+64) + high * x^n. A product of reflected values
 * is one bit short, hence the exponents less one. The attribute lets one function use what the build in general may
 * not. */
#if defined(__x86_64__)

typedef __m128i wide;
#define WIDE_TARGET __attribute__((target("pclmul,sse4.1")))

WIDE_TARGET static wide wide_load(const void *p) { return _mm_loadu_si128(p); }
WIDE_TARGET static wide wide_from(uint64_t low) { return _mm_set_epi64x(0, (long long)low); }
WIDE_TARGET static wide wide_xor(wide a, wide b) { return _mm_xor_si128(a, b); }
WIDE_TARGET static void wide_store(void *p, wide a) { _mm_storeu_si128(p, a); }
WIDE_TARGET static wide fold(wide a, const uint64_t by[2]) {
	wide k = wide_load(by);

	return _mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11));
}

#elif defined(__aarch64__)

typedef uint64x2_t wide;
#define WIDE_TARGET __attribute__((target("+crypto")))

WIDE_TARGET static wide wide_load(const void *p) { return vreinterpretq_u64_u8(vld1q_u8(p)); }
WIDE_TARGET static wide wide_from(uint64_t low) { return vcombine_u64(vcreate_u64(low), vcreate_u64(0)); }
WIDE_TARGET static wide wide_xor(wide a, wide b) { return veorq_u64(a, b); }
WIDE_TARGET static void wide_store(void *p, wide a) { vst1q_u8(p, vreinterpretq_u8_u64(a)); }
WIDE_TARGET static wide fold(wide a, const uint64_t by[2]) {
	wide low = vreinterpretq_u64_p128(vmull_p64((poly64_t)vgetq_lane_u64(a, 0), (poly64_t)by[0]));
	wide high = vreinterpretq_u64_p128(vmull_p64((poly64_t)vgetq_lane_u64(a, 1), (poly64_t)by[1]));

	return veorq_u64(low, high);
}

#endif

#ifdef WIDE_TARGET
/** len: at least FOLD_SIZE. */
WIDE_TARGET static uint64_t by_folding(const struct crc *c, uint64_t v, const unsigned char *p, size_t len) {
	unsigned char rest[16];
	wide a[4];

	for (size_t i = 0; i < 4; i++) a[i] = wide_load(p + 16 * i);
	a[0] = wide_xor(a[0], wide_from(v));
	for (p += FOLD_SIZE, len -= FOLD_SIZE; len >= FOLD_SIZE; p += FOLD_SIZE, len -= FOLD_SIZE)
		for (size_t i = 0; i < 4; i++) a[i] = wide_xor(fold(a[i], c->fold_64), wide_load(p + 16 * i));
	for (size_t i = 1; i < 4; i++) a[i] = wide_xor(fold(a[i - 1], c->fold_16), a[i]);
	for (; len >= 16; p += 16, len -= 16) a[3] = wide_xor(fold(a[3], c->fold_16), wide_load(p));
	wide_store(rest, a[3]);
	return by_table(c, by_table(c, 0, rest, sizeof rest), p, len);
}
#endif

uint64_t crc_add_by_table(enum crc_kind kind, uint64_t crc, const void *data, size_t len) {
	const struct crc *c = crc_of(kind);

	return by_table(c, crc ^ c->ones, data, len) ^ c->ones;
}

uint64_t crc_add(enum crc_kind kind, uint64_t crc, const void *data, size_t len) {
#ifdef WIDE_TARGET
	const struct crc *c = crc_of(kind);

	if (has_multiply && len >= FOLD_SIZE) return by_folding(c, crc ^ c->ones, data, len) ^ c->ones;
#endif
	return crc_add_by_table(kind, crc, data, len);
}

/** Moving a ahead by the bits of b is a multiplication by x to their number: by squaring. */
uint64_t crc_join(enum crc_kind kind, uint64_t a, uint64_t b, uint64_t b_len) {
	const struct crc *c = crc_of(kind);
	uint64_t by = UINT64_C(1) << 63, square = power_of_x(c, 8);

	for (; b_len; b_len >>= 1) {
		if (b_len & 1) by = times(c, by, square);
		square = times(c, square, square);
	}
	return times(c, a, by) ^ b;
}

size_t crc_size(enum crc_kind kind) { return kind == CRC_64NVME ? 8 : 4; }
