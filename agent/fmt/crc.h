#pragma once
/*
 * The CRCs of S3 objects: CRC-32 (ISO-HDLC), CRC-32C (Castagnoli) and CRC-64/NVME, all reflected, with all ones before
 * and after. By carry-less multiplication where the CPU has it, else by tables.
 *
 * Sources: catalogue of parametrised CRC algorithms (reveng); NVM Express Command Set Specification, "64b CRC"; Intel,
 * "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (2009).
 */
#include <stddef.h>
#include <stdint.h>

enum crc_kind { CRC_32, CRC_32C, CRC_64NVME };

/** The CRC of nothing. */
#define CRC_INIT 0

/** The CRC of what crc is of, followed by len bytes. */
uint64_t crc_add(enum crc_kind kind, uint64_t crc, const void *data, size_t len);

/** The same without the CPU's help: for tests. */
uint64_t crc_add_by_table(enum crc_kind kind, uint64_t crc, const void *data, size_t len);

/** The CRC of a followed by b, b_len bytes long, from those of each. */
uint64_t crc_join(enum crc_kind kind, uint64_t a, uint64_t b, uint64_t b_len);

/** 4 or 8: bytes of a CRC of that kind; big-endian in S3's headers. */
size_t crc_size(enum crc_kind kind);
