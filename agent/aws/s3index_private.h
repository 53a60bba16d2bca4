#pragma once
/* The frame of an index file: what s3index.c reads and s3index_write.c writes. */
#include <stdint.h>

#include "fmt/digest.h"

/** "dsas3idx", as a number in the order of all others. */
#define S3INDEX_MAGIC 0x7864693373617364ULL
#define S3INDEX_MAGIC_SIZE 8
#define S3INDEX_VERSION 1

/** In front: magic, version (8 bytes, little-endian like all), SHA-256 of the owner's text. */
#define S3INDEX_HEAD_SIZE (S3INDEX_MAGIC_SIZE + 8 + SHA256_SIZE)

/** At the end: number of records, place of the table, its rows; SHA-256 of everything before it. */
#define S3INDEX_TAIL_SIZE (3 * 8 + SHA256_SIZE)

void s3index_put_u64(unsigned char *out, uint64_t n);

/** Fills the head for an owner. */
void s3index_head(const char *owner, unsigned char head[S3INDEX_HEAD_SIZE]);
