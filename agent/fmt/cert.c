/* X.509 v3 as RFC 5280 has it; names as RFC 6125 and RFC 5280 4.2.1.6 do. */
#include "fmt/cert.h"

#include <arpa/inet.h>
#include <time.h>

#define ERR_STATE openssl_err_state /* OpenSSL's type of that name would hide our error code */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/** A common name has at most 64 characters (RFC 5280, ub-common-name). */
#define COMMON_NAME_MAX 64
#define SERIAL_BYTES 16
#define DAY_S (24LL * 60 * 60)
/** Clocks of clients may be behind. */
#define BACKDATE_S (60LL * 60)

static void free_key(EVP_PKEY **p) { EVP_PKEY_free(*p); }
static void free_x509(X509 **p) { X509_free(*p); }
static void free_bio(BIO **p) { (void)BIO_free(*p); }
static void free_names(GENERAL_NAMES **p) { GENERAL_NAMES_free(*p); }

static int failed(struct err *err, const char *what) {
	char text[160] = "";
	unsigned long code = ERR_get_error();
	ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	return err_set(err, ERR_INVALID, "%s: %s", what, code ? text : "no reason given");
}

static bool is_address(const char *name, unsigned char bytes[16], size_t *ret_len) {
	*ret_len = 4;
	if (inet_pton(AF_INET, name, bytes) == 1) return true;
	*ret_len = 16;
	return inet_pton(AF_INET6, name, bytes) == 1;
}

bool cert_name_is_valid(const char *name) {
	unsigned char bytes[16];
	size_t len;
	if (is_address(name, bytes, &len)) return true;
	if (str_starts(name, "*.")) name += 2;
	if (!*name || strlen(name) > 253) return false;
	while (*name) {
		size_t label = strcspn(name, ".");
		size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
		if (!label || label > 63 || good < label || name[0] == '-' || name[label - 1] == '-') return false;
		name += label + (name[label] == '.' && name[label + 1]);
		if (*name == '.') return false;
	}
	return true;
}

const char *cert_name_plain(const char *name, struct arena *arena) {
	unsigned char bytes[16];
	size_t len;
	char text[INET6_ADDRSTRLEN];
	if (!is_address(name, bytes, &len)) return name;
	return arena_strdup(arena, inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text));
}

static bool add_name(GENERAL_NAMES *names, const char *text) {
	unsigned char bytes[16];
	size_t len;
	GENERAL_NAME *name = GENERAL_NAME_new();
	bool is_ip = is_address(text, bytes, &len);
	ASN1_STRING *value = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	if (!name || !value ||
	    !ASN1_STRING_set(value, is_ip ? (const void *)bytes : text, is_ip ? (int)len : (int)strlen(text))) {
		GENERAL_NAME_free(name);
		ASN1_STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, value);
	if (sk_GENERAL_NAME_push(names, name)) return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool add_extension(X509 *x, int nid, const char *value) {
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool is_ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return is_ok;
}

static bool add_names(X509 *x, const struct strs *names) {
	AUTO(free_names) GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool is_ok = list != NULL;
	for (size_t i = 0; is_ok && i < names->count; i++) is_ok = add_name(list, names->items[i]);
	return is_ok && X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
}

static bool set_serial(X509 *x) {
	unsigned char bytes[SERIAL_BYTES];
	if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
	bytes[0] &= 0x7f; /* positive */
	bytes[0] |= 0x40; /* and of constant length */
	BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool is_ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return is_ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const struct strs *names, int64_t now_s, int64_t days) {
	X509_NAME *subject = X509_get_subject_name(x);
	const char *common = strlen(names->items[0]) <= COMMON_NAME_MAX ? names->items[0] : "dsagent";
	int64_t end_s = now_s - BACKDATE_S + days * DAY_S - 1; /* both ends count */
	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(now_s - BACKDATE_S)) &&
	       ASN1_TIME_set(X509_getm_notAfter(x), (time_t)end_s) && X509_set_pubkey(x, key) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) ==
		       1 &&
	       X509_set_issuer_name(x, subject) == 1 && add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x, NID_subject_key_identifier, "hash") && add_names(x, names) &&
	       X509_sign(x, key, EVP_sha256()) > 0;
}

static void take(BIO *bio, struct buf *out) {
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	buf_add(out, data, (size_t)len);
	OPENSSL_cleanse(data, (size_t)len);
}

int cert_make(const struct strs *names, int64_t now_s, int64_t days, struct buf *ret_cert, struct buf *ret_key,
	      struct err *err) {
	if (!names->count || names->count > CERT_NAMES_MAX || days < 1 || days > CERT_DAYS_MAX)
		return err_set(err, ERR_INVALID, "a certificate has 1 to %d names and lasts 1 to %d days",
			       CERT_NAMES_MAX, CERT_DAYS_MAX);
	AUTO(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
	AUTO(free_x509) X509 *x = X509_new();
	AUTO(free_bio) BIO *cert_bio = BIO_new(BIO_s_mem());
	AUTO(free_bio) BIO *key_bio = BIO_new(BIO_s_secmem());
	if (!key || !x || !cert_bio || !key_bio || !fill(x, key, names, now_s, days) ||
	    PEM_write_bio_X509(cert_bio, x) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return failed(err, "cannot make the certificate");
	take(cert_bio, ret_cert);
	take(key_bio, ret_key);
	return 0;
}

static void read_names(const X509 *x, struct arena *arena, struct strs *ret_names) {
	AUTO(free_names) GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; list && i < sk_GENERAL_NAME_num(list) && i < CERT_NAMES_MAX; i++) {
		int type;
		char text[INET6_ADDRSTRLEN] = "";
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, i), &type);
		const unsigned char *data = type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_get0_data(value) : NULL;
		size_t len = data ? (size_t)ASN1_STRING_length(value) : 0;
		if (type == GEN_DNS) strs_add(ret_names, arena_dup(arena, data, len));
		if (type == GEN_IPADD && inet_ntop(len == 4 ? AF_INET : AF_INET6, data, text, sizeof text))
			strs_add(ret_names, arena_strdup(arena, text));
	}
}

static int64_t seconds(const ASN1_TIME *t) {
	struct tm tm = {0};
	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static int no_passphrase(char *out, int size, int is_writing, void *arg) { return 0; }

int cert_read(const char *cert_pem, const char *key_pem, struct arena *arena, struct strs *ret_names,
	      struct cert_info *ret_info, struct err *err) {
	AUTO(free_bio) BIO *cert_bio = BIO_new_mem_buf(cert_pem, -1);
	AUTO(free_bio) BIO *key_bio = BIO_new_mem_buf(key_pem, -1);
	AUTO(free_x509) X509 *x = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, no_passphrase, NULL) : NULL;
	if (!x) return failed(err, "it is no certificate in PEM");
	AUTO(free_key) EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL) : NULL;
	if (!key) return failed(err, "its key is no private key in PEM");
	char group[32] = "";
	size_t len;
	(void)EVP_PKEY_get_group_name(X509_get0_pubkey(x), group, sizeof group, &len); /* "" for other kinds */
	*ret_info = (struct cert_info){.not_before_s = seconds(X509_get0_notBefore(x)),
				       .not_after_s = seconds(X509_get0_notAfter(x)),
				       .is_p256 = str_eq(group, "prime256v1") || str_eq(group, "P-256"),
				       .is_key_its_own = X509_check_private_key(x, key) == 1};
	ERR_clear_error();
	read_names(x, arena, ret_names);
	return 0;
}
