#pragma once
/*
 * Self-signed certificates by OpenSSL: EC P-256, SHA-256, subject alternative names, valid for at most CERT_DAYS_MAX
 * days, usable as a TLS server's own trust anchor. PEM in and out; the private key is PKCS #8 without a passphrase.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct err;
struct strs;

/** Browsers refuse longer ones (CA/Browser Forum, Baseline Requirements 6.3.2: 398 days, and one day of grace). */
#define CERT_DAYS_MAX 397
/** Most names in one certificate. */
#define CERT_NAMES_MAX 64

/** True for a DNS name (a leading "*." too) or an IPv4 or IPv6 address. */
bool cert_name_is_valid(const char *name);

/** The name as cert_read gives it back: addresses in their one spelling. */
const char *cert_name_plain(const char *name, struct arena *arena);

/** A new key and its certificate from now on; the first name is the common name. Wipe the key's buffer. */
CHECK_RESULT int cert_make(const struct strs *names, int64_t now_s, int64_t days, struct buf *ret_cert,
			   struct buf *ret_key, struct err *err);

struct cert_info {
	int64_t not_before_s, not_after_s;
	bool is_p256;
	bool is_key_its_own; /* the key given is the one that it certifies */
};

/** What a certificate says; its names, as text, in the arena. ERR_INVALID when either is not PEM of its kind. */
CHECK_RESULT int cert_read(const char *cert_pem, const char *key_pem, struct arena *arena, struct strs *ret_names,
			   struct cert_info *ret_info, struct err *err);
