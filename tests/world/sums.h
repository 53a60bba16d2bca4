#pragma once
/*
 * Checksums of S3, each fed piece by piece: CRC32 (reflected 0xEDB88320), CRC32C (0x82F63B78), CRC64NVME
 * (0x9A6C9329AC4BC9B5), by tables; CRC32C by the processor's instruction where there is one. All start from 0 and give
 * the finished value, so that the next piece goes on with it.
 */
#include <stddef.h>
#include <stdint.h>

uint32_t sum_crc32(uint32_t crc, const void *data, size_t len);
uint32_t sum_crc32c(uint32_t crc, const void *data, size_t len);
uint64_t sum_crc64nvme(uint64_t crc, const void *data, size_t len);

/** CRC32C of two pieces joined, from those of each and the length of the second. */
uint32_t sum_crc32c_join(uint32_t first, uint32_t second, uint64_t second_len);

/** "AAAA==" of big-endian bytes; out holds (len + 2) / 3 * 4 + 1. */
void sum_base64(const unsigned char *data, size_t len, char *out);
