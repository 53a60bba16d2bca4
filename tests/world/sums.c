#include "sums.h"

#include <stdbool.h>
#include <string.h>

#define SLICES 8

/* One table a slice of the eight bytes that are taken at once. */
static uint64_t tables[3][SLICES][256];
enum { CRC32, CRC32C, CRC64 };

static void fill(int which, uint64_t polynomial) {
	for (uint32_t i = 0; i < 256; i++) {
		uint64_t c = i;
		for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ polynomial : c >> 1;
		tables[which][0][i] = c;
	}
	for (int s = 1; s < SLICES; s++)
		for (uint32_t i = 0; i < 256; i++) {
			uint64_t c = tables[which][s - 1][i];
			tables[which][s][i] = (c >> 8) ^ tables[which][0][c & 255];
		}
}

__attribute__((constructor)) static void fill_all(void) {
	fill(CRC32, 0xEDB88320);
	fill(CRC32C, 0x82F63B78);
	fill(CRC64, 0x9A6C9329AC4BC9B5);
}

static uint64_t by_table(int which, uint64_t crc, const unsigned char *p, size_t len) {
	uint64_t(*t)[256] = tables[which];

	for (; len >= SLICES; p += SLICES, len -= SLICES) {
		uint64_t word;
		memcpy(&word, p, sizeof word);
		word ^= crc;
		crc = 0;
		for (int s = 0; s < SLICES; s++) crc ^= t[SLICES - 1 - s][(word >> (8 * s)) & 255];
	}
	for (; len; p++, len--) crc = (crc >> 8) ^ t[0][(crc ^ *p) & 255];
	return crc;
}

uint32_t sum_crc32(uint32_t crc, const void *data, size_t len) { return ~(uint32_t)by_table(CRC32, ~crc, data, len); }

uint64_t sum_crc64nvme(uint64_t crc, const void *data, size_t len) { return ~by_table(CRC64, ~crc, data, len); }

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t len) {
	uint64_t c = crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;
		memcpy(&word, p, sizeof word);
		c = __builtin_ia32_crc32di(c, word);
	}
	for (; len; p++, len--) c = __builtin_ia32_crc32qi((uint32_t)c, *p);
	return (uint32_t)c;
}

uint32_t sum_crc32c(uint32_t crc, const void *data, size_t len) {
	return __builtin_cpu_supports("sse4.2") ? ~by_instruction(~crc, data, len)
						: ~(uint32_t)by_table(CRC32C, ~crc, data, len);
}
#else
uint32_t sum_crc32c(uint32_t crc, const void *data, size_t len) { return ~(uint32_t)by_table(CRC32C, ~crc, data, len); }
#endif

/* A 32 by 32 matrix of bits, one column a word, times a vector. */
static uint32_t times(const uint32_t matrix[32], uint32_t vector) {
	uint32_t sum = 0;

	for (int i = 0; vector; i++, vector >>= 1)
		if (vector & 1) sum ^= matrix[i];
	return sum;
}

static void square(uint32_t matrix[32]) {
	uint32_t copy[32];

	memcpy(copy, matrix, sizeof copy);
	for (int i = 0; i < 32; i++) matrix[i] = times(copy, copy[i]);
}

/* The first piece's sum is pushed on by second_len zero bytes: the operator for one bit, squared for 2, 4, 8, … */
uint32_t sum_crc32c_join(uint32_t first, uint32_t second, uint64_t second_len) {
	uint32_t matrix[32] = {0x82F63B78};

	for (int i = 1; i < 32; i++) matrix[i] = 1u << (i - 1);
	for (int i = 0; i < 3; i++) square(matrix);
	for (; second_len; second_len >>= 1, square(matrix))
		if (second_len & 1) first = times(matrix, first);
	return first ^ second;
}

void sum_base64(const unsigned char *data, size_t len, char *out) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t word = (uint32_t)data[i] << 16;
		if (i + 1 < len) word |= (uint32_t)data[i + 1] << 8;
		if (i + 2 < len) word |= data[i + 2];
		*out++ = letters[word >> 18];
		*out++ = letters[(word >> 12) & 63];
		*out++ = i + 1 < len ? letters[(word >> 6) & 63] : '=';
		*out++ = i + 2 < len ? letters[word & 63] : '=';
	}
	*out = '\0';
}
