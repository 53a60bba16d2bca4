/*
 * Checks Signature Version 4 from the wire (AWS General Reference, "Signature Version 4 signing process", and "Create a
 * signed AWS API request"). Written apart from the agent's signer: works from the raw request text, OpenSSL does the
 * hashing. The window of 15 minutes and the codes: EC2 API Reference, "Error codes"; S3 API Reference, "Error
 * responses".
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

#define WINDOW_S (15 * 60)

struct credential {
	char access_key[64], date[16], region[64], service[32], signed_headers[1024], signature[80];
	char at[32], token[TOKEN_BYTES_MAX]; /* x-amz-date and the session token, "" */
	bool is_url;			     /* presigned: all of it is in the query */
	long live_s;			     /* from `at` on */
};

static void hex(const unsigned char *data, size_t len, char *out) {
	for (size_t i = 0; i < len; i++) {
		*out++ = "0123456789abcdef"[data[i] >> 4];
		*out++ = "0123456789abcdef"[data[i] & 15];
	}
	*out = '\0';
}

static void sha256_hex(const void *data, size_t len, char out[65]) {
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;

	if (!EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL)) abort();
	hex(digest, 32, out);
}

static void hmac(const unsigned char *key, size_t key_len, const char *text, unsigned char out[32]) {
	unsigned len = 32;

	if (!HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &len)) abort();
}

/* "Credential=…" and so on out of the header; false if anything is missing. */
static bool take_part(const char *header, const char *name, char *out, size_t size) {
	const char *p = strstr(header, name);

	if (!p) return false;
	p += strlen(name);
	size_t len = strcspn(p, ", ");
	if (!len || len >= size) return false;
	memcpy(out, p, len);
	out[len] = '\0';
	return true;
}

static bool parse_scope(const char *scope, struct credential *c) {
	char terminator[32];

	return sscanf(scope, "%63[^/]/%15[^/]/%63[^/]/%31[^/]/%31s", c->access_key, c->date, c->region, c->service,
		      terminator) == 5 &&
	       strcmp(terminator, "aws4_request") == 0;
}

static void copy(char *out, size_t size, const char *text) { snprintf(out, size, "%s", text ? text : ""); }

static bool parse_header(const struct request *r, const char *header, struct credential *c) {
	char scope[256];

	copy(c->at, sizeof c->at, http_get_header(r, "x-amz-date"));
	copy(c->token, sizeof c->token, http_get_header(r, "x-amz-security-token"));
	c->live_s = WINDOW_S;
	return text_starts(header, "AWS4-HMAC-SHA256 ") && take_part(header, "Credential=", scope, sizeof scope) &&
	       take_part(header, "SignedHeaders=", c->signed_headers, sizeof c->signed_headers) &&
	       take_part(header, "Signature=", c->signature, sizeof c->signature) && parse_scope(scope, c);
}

static bool take_parameter(const struct request *r, const char *name, char *out, size_t size) {
	char *value = http_form_value(r->query, name);

	copy(out, size, value);
	free(value);
	return *out;
}

static bool parse_url(const struct request *r, struct credential *c) {
	char scope[256], live[32];

	c->is_url = true;
	(void)take_parameter(r, "X-Amz-Security-Token", c->token, sizeof c->token);
	if (!take_parameter(r, "X-Amz-Credential", scope, sizeof scope) || !parse_scope(scope, c) ||
	    !take_parameter(r, "X-Amz-SignedHeaders", c->signed_headers, sizeof c->signed_headers) ||
	    !take_parameter(r, "X-Amz-Signature", c->signature, sizeof c->signature) ||
	    !take_parameter(r, "X-Amz-Date", c->at, sizeof c->at) ||
	    !take_parameter(r, "X-Amz-Expires", live, sizeof live))
		return false;
	c->live_s = strtol(live, NULL, 10);
	return c->live_s > 0 && c->live_s <= 7 * 24 * 3600;
}

static bool parse_authorization(const struct request *r, struct credential *c) {
	const char *header = http_get_header(r, "authorization");

	*c = (struct credential){0};
	return header ? parse_header(r, header, c) : strstr(r->query, "X-Amz-Signature=") && parse_url(r, c);
}

bool sigv4_region(const struct request *r, char *out, size_t size) {
	struct credential c;

	if (!parse_authorization(r, &c)) return false;
	snprintf(out, size, "%s", c.region);
	return true;
}

/* Epoch seconds of "20130524T000000Z", or -1. */
static int64_t parse_amz_date(const char *text) {
	struct tm tm = {0};
	const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);

	return end && !*end ? (int64_t)timegm(&tm) : -1;
}

static bool is_signed(const struct credential *c, const char *name) {
	size_t len = strlen(name);

	for (const char *p = c->signed_headers; *p;) {
		size_t item = strcspn(p, ";");
		if (item == len && strncmp(p, name, len) == 0) return true;
		p += item + (p[item] == ';');
	}
	return false;
}

/* The key of a day, region and service; the last one is kept. Called with the world's lock held. */
static const unsigned char *signing_key(const struct credential *c, const char *secret) {
	static char of[512];
	static unsigned char key[32];
	char *seed = text_print("AWS4%s", secret),
	     *what = text_print("%s/%s/%s/%s", c->date, c->region, c->service, secret);

	if (strcmp(of, what) != 0) {
		hmac((const unsigned char *)seed, strlen(seed), c->date, key);
		hmac(key, 32, c->region, key);
		hmac(key, 32, c->service, key);
		hmac(key, 32, "aws4_request", key);
		snprintf(of, sizeof of, "%s", what);
	}
	free(seed);
	free(what);
	return key;
}

static void sign(const struct credential *c, const char *secret, const char *amz_date, const char *canonical,
		 char out[65]) {
	unsigned char signature[32];
	char hash[65];

	sha256_hex(canonical, strlen(canonical), hash);
	char *to_sign = text_print("AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", amz_date, c->date, c->region,
				   c->service, hash);
	hmac(signing_key(c, secret), 32, to_sign, signature);
	hex(signature, 32, out);
	free(to_sign);
}

/* host, x-amz-date and every other x-amz-* header that was sent must be signed. */
static bool signs_enough(const struct request *r, const struct credential *c) {
	if (!is_signed(c, "host")) return false;
	for (size_t i = 0; i < r->header_count; i++)
		if (text_starts(r->headers[i].name, "x-amz-") && !is_signed(c, r->headers[i].name)) return false;
	return true;
}

/* The hash that was signed: of the very body, unless the client says that it left the body out. */
static bool payload_hash(const struct request *r, bool trusts_hash, char out[65]) {
	const char *told = http_get_header(r, "x-amz-content-sha256");

	if (r->body_sha256[0])
		snprintf(out, 65, "%s", r->body_sha256);
	else
		sha256_hex(r->body ? r->body : "", r->body ? r->body_len : 0, out);
	if (!told || strcmp(told, out) == 0) return true;
	if (!trusts_hash && strcmp(told, "UNSIGNED-PAYLOAD") != 0 && !text_starts(told, "STREAMING-")) return false;
	snprintf(out, 65, "%s", told);
	return true;
}

static bool refuse(struct refusal *ret, int status, const char *code, const char *message) {
	*ret = (struct refusal){status, code, message};
	return false;
}

/* Signed by someone we know, and lately. */
static bool is_known(const struct world *world, const struct credential *c, bool is_s3, int64_t now,
		     struct refusal *ret) {
	int64_t signed_at = parse_amz_date(c->at);

	if (is_s3 && world->expired_token[0] && strcmp(c->token, world->expired_token) == 0)
		return refuse(ret, 400, "ExpiredToken", "The provided token has expired.");
	if (strcmp(c->access_key, world->access_key) != 0 || strcmp(c->token, world->session_token) != 0)
		return is_s3 ? refuse(ret, 403, "InvalidAccessKeyId",
				      "The AWS Access Key Id you provided does not exist in our records.")
			     : refuse(ret, 401, "AuthFailure",
				      "AWS was not able to validate the provided access credentials");
	if (c->is_url && now > signed_at + c->live_s) return refuse(ret, 403, "AccessDenied", "Request has expired");
	if (signed_at < 0 || signed_at > now + WINDOW_S || (!c->is_url && signed_at < now - WINDOW_S))
		return is_s3 ? refuse(ret, 403, "RequestTimeTooSkewed",
				      "The difference between the request time and the current time is too large.")
			     : refuse(ret, 400, "RequestExpired", "Request has expired.");
	return true;
}

bool sigv4_verify(const struct world *world, const struct request *r, const char *service, long skew_s,
		  struct refusal *ret) {
	struct credential c;
	char hash[65] = "UNSIGNED-PAYLOAD", expected[65];
	bool is_s3 = strcmp(service, "s3") == 0;

	if (!parse_authorization(r, &c) || !c.at[0])
		return is_s3 ? refuse(ret, 403, "AccessDenied", "Access Denied")
			     : refuse(ret, 400, "MissingAuthenticationToken",
				      "Request is missing Authentication Token");
	if (!is_known(world, &c, is_s3, wall_ms() / 1000 + skew_s, ret)) return false;
	bool is_payload = c.is_url || payload_hash(r, world->trusts_payload, hash);
	if (!is_payload && is_s3)
		return refuse(ret, 400, "XAmzContentSHA256Mismatch",
			      "The provided 'x-amz-content-sha256' header does not match what was computed.");
	char *canonical = NULL;
	if (is_payload && strcmp(c.service, service) == 0 && strncmp(c.date, c.at, 8) == 0 && signs_enough(r, &c))
		canonical = sigv4_canonical(r, c.signed_headers, is_s3, hash);
	if (canonical) sign(&c, world->secret_key, c.at, canonical, expected);
	bool is_good = canonical && strcmp(expected, c.signature) == 0;
	free(canonical);
	return is_good || refuse(ret, 403, "SignatureDoesNotMatch",
				 "The request signature we calculated does not match the signature you provided.");
}
