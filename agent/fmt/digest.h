#pragma once
/*
 * Digests by OpenSSL's EVP. Algorithms are fetched once per process.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct err;

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65 /* with the NUL */

void digest_sha256(const void *data, size_t len, unsigned char ret_digest[SHA256_SIZE]);
void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			unsigned char ret_mac[SHA256_SIZE]);

/** HMAC-SHA256 with one key many times: the key is taken in once. */
struct digest_hmac;
struct digest_hmac *digest_hmac_new(const void *key, size_t key_len);
void digest_hmac_mac(struct digest_hmac *hmac, const void *data, size_t len, unsigned char ret_mac[SHA256_SIZE]);
void digest_hmac_free(struct digest_hmac *hmac); /* wipes; NULL is fine */

/** For OpenPGP fingerprints of version 4, which are SHA-1; never for anything else. */
#define SHA1_SIZE 20
void digest_sha1(const void *data, size_t len, unsigned char ret_digest[SHA1_SIZE]);

/** For Content-MD5, which some requests of S3 demand, and for its ETags; never for anything else. */
#define MD5_SIZE 16
void digest_md5(const void *data, size_t len, unsigned char ret_digest[MD5_SIZE]);

/** Lower-case hexadecimal of n bytes into hex (2 * n + 1); returns hex. */
char *digest_hex(const unsigned char *bytes, size_t n, char *hex);

/** sha256 as hexadecimal text; returns hex. */
char *digest_sha256_hex(const void *data, size_t len, char hex[SHA256_HEX_SIZE]);

/** A running SHA-256. */
struct digest;
struct digest *digest_new(void);
/** The same of MD5, for ETags: digest_end then fills MD5_SIZE bytes. */
struct digest *digest_new_md5(void);
void digest_add(struct digest *d, const void *data, size_t len);
/** Ends it and frees d; ret_digest has room for it. */
void digest_end(struct digest *d, unsigned char *ret_digest);
void digest_free(struct digest *d); /* NULL is fine */

/** SHA-256 of what can still be read from fd, as hexadecimal. */
CHECK_RESULT int digest_fd_hex(int fd, char hex[SHA256_HEX_SIZE], struct err *err);
