#include "fmt/digest.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#define ERR_STATE openssl_err_state /* OpenSSL's type of that name would hide our error code */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#include "base/err.h"
#include "base/mem.h"

/** Bytes read at once: large enough that the system calls do not show beside the hashing. */
#define DIGEST_READ_SIZE (64 * 1024)
#define SHA256_BLOCK 64

static EVP_MD *sha256; /* set once by fetch, then only read */

static void fetch(void) { sha256 = EVP_MD_fetch(NULL, "SHA256", NULL); }

/* EVP_sha256() would look the implementation up anew for every digest: dear for the many small ones of SigV4. */
static const EVP_MD *algorithm(void) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, fetch); /* cannot fail with a valid control */
	return sha256;
}

/* OpenSSL fails here for want of memory alone (SHA-256 is in every provider), and memory never fails (base/mem.h). */
static void must(bool is_ok) {
	if (!is_ok) abort();
}

void digest_sha256(const void *data, size_t len, unsigned char ret_digest[SHA256_SIZE]) {
	must(EVP_Digest(data ? data : "", len, ret_digest, NULL, algorithm(), NULL) == 1);
}

void digest_sha1(const void *data, size_t len, unsigned char ret_digest[SHA1_SIZE]) {
	must(EVP_Digest(data ? data : "", len, ret_digest, NULL, EVP_sha1(), NULL) == 1);
}

void digest_md5(const void *data, size_t len, unsigned char ret_digest[MD5_SIZE]) {
	must(EVP_Digest(data ? data : "", len, ret_digest, NULL, EVP_md5(), NULL) == 1);
}

void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			unsigned char ret_mac[SHA256_SIZE]) {
	must(HMAC(algorithm(), key ? key : "", (int)key_len, data ? data : (const void *)"", len, ret_mac, NULL) !=
	     NULL);
}

/* RFC 2104: the hash states after the key's inner and outer padding. */
struct digest_hmac {
	EVP_MD_CTX *inner, *outer, *scratch;
};

static EVP_MD_CTX *padded(const unsigned char key[SHA256_BLOCK], unsigned char pad) {
	unsigned char block[SHA256_BLOCK];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	for (size_t i = 0; i < sizeof block; i++) block[i] = key[i] ^ pad;
	must(ctx && EVP_DigestInit_ex2(ctx, algorithm(), NULL) == 1 && EVP_DigestUpdate(ctx, block, sizeof block) == 1);
	explicit_bzero(block, sizeof block);
	return ctx;
}

struct digest_hmac *digest_hmac_new(const void *key, size_t key_len) {
	struct digest_hmac *h = mem_zalloc(sizeof *h);
	unsigned char block[SHA256_BLOCK] = {0};

	if (key_len > sizeof block)
		digest_sha256(key, key_len, block);
	else
		memcpy(block, key, key_len);
	h->inner = padded(block, 0x36);
	h->outer = padded(block, 0x5c);
	h->scratch = EVP_MD_CTX_new();
	must(h->scratch != NULL);
	explicit_bzero(block, sizeof block);
	return h;
}

void digest_hmac_mac(struct digest_hmac *h, const void *data, size_t len, unsigned char ret_mac[SHA256_SIZE]) {
	unsigned char inner[SHA256_SIZE];

	must(EVP_MD_CTX_copy_ex(h->scratch, h->inner) == 1 && EVP_DigestUpdate(h->scratch, data, len) == 1 &&
	     EVP_DigestFinal_ex(h->scratch, inner, NULL) == 1);
	must(EVP_MD_CTX_copy_ex(h->scratch, h->outer) == 1 && EVP_DigestUpdate(h->scratch, inner, sizeof inner) == 1 &&
	     EVP_DigestFinal_ex(h->scratch, ret_mac, NULL) == 1);
}

void digest_hmac_free(struct digest_hmac *h) {
	if (!h) return;
	EVP_MD_CTX_free(h->inner); /* OpenSSL wipes what it frees */
	EVP_MD_CTX_free(h->outer);
	EVP_MD_CTX_free(h->scratch);
	free(h);
}

char *digest_hex(const unsigned char *bytes, size_t n, char *hex) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 0xf];
	}
	hex[2 * n] = '\0';
	return hex;
}

char *digest_sha256_hex(const void *data, size_t len, char hex[SHA256_HEX_SIZE]) {
	unsigned char digest[SHA256_SIZE];
	digest_sha256(data, len, digest);
	return digest_hex(digest, sizeof digest, hex);
}

struct digest {
	EVP_MD_CTX *ctx;
};

static struct digest *digest_begin(const EVP_MD *md) {
	struct digest *d = mem_zalloc(sizeof *d);
	d->ctx = EVP_MD_CTX_new();
	must(d->ctx && EVP_DigestInit_ex2(d->ctx, md, NULL) == 1);
	return d;
}

struct digest *digest_new(void) {
	return digest_begin(algorithm());
}
struct digest *digest_new_md5(void) {
	return digest_begin(EVP_md5());
}

void digest_add(struct digest *d, const void *data, size_t len) { must(EVP_DigestUpdate(d->ctx, data, len) == 1); }

void digest_end(struct digest *d, unsigned char *ret_digest) {
	must(EVP_DigestFinal_ex(d->ctx, ret_digest, NULL) == 1);
	digest_free(d);
}

void digest_free(struct digest *d) {
	if (!d) return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

int digest_fd_hex(int fd, char hex[SHA256_HEX_SIZE], struct err *err) {
	unsigned char *chunk AUTO_FREE = mem_zalloc(DIGEST_READ_SIZE);
	struct digest *d = digest_new();
	for (;;) {
		ssize_t n = read(fd, chunk, DIGEST_READ_SIZE);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) {
			int errnum = errno;
			digest_free(d);
			return err_set_errno(err, errnum, "reading to compute the SHA-256");
		}
		if (n == 0) break;
		digest_add(d, chunk, (size_t)n);
	}
	unsigned char digest[SHA256_SIZE];
	digest_end(d, digest);
	digest_hex(digest, sizeof digest, hex);
	return 0;
}
