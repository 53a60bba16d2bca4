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
};

static void hex(const unsigned char *data, size_t len, char *out) {
	for (size_t i = 0; i < len; i++) snprintf(out + 2 * i, 3, "%02x", data[i]);
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

static bool parse_authorization(const char *header, struct credential *c) {
	char scope[256], terminator[32];

	if (!text_starts(header, "AWS4-HMAC-SHA256 ")) return false;
	if (!take_part(header, "Credential=", scope, sizeof scope) ||
	    !take_part(header, "SignedHeaders=", c->signed_headers, sizeof c->signed_headers) ||
	    !take_part(header, "Signature=", c->signature, sizeof c->signature))
		return false;
	return sscanf(scope, "%63[^/]/%15[^/]/%63[^/]/%31[^/]/%31s", c->access_key, c->date, c->region, c->service,
		      terminator) == 5 &&
	       strcmp(terminator, "aws4_request") == 0;
}

/* Epoch seconds of "20130524T000000Z", or -1. */
static int64_t parse_amz_date(const char *text) {
	struct tm tm = {0};
	const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);

	return end && !*end ? (int64_t)timegm(&tm) : -1;
}

static int compare_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Decoded and encoded anew, sorted: the client's own encoding must not matter, only what it means. */
static void print_query(const char *query, FILE *out) {
	char *items[256];
	size_t count = 0;

	for (const char *p = query; *p && count < 256;) {
		size_t item = strcspn(p, "&"), name_len = strcspn(p, "=&");
		char *name = text_url_decode(p, name_len, false);
		char *value =
			name_len < item ? text_url_decode(p + name_len + 1, item - name_len - 1, false) : text_dup("");
		char *name_code = text_url_encode(name, false), *value_code = text_url_encode(value, false);
		if (item) items[count++] = text_print("%s=%s", name_code, value_code);
		free(name);
		free(value);
		free(name_code);
		free(value_code);
		p += item + (p[item] == '&');
	}
	qsort(items, count, sizeof *items, compare_text);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s%s", i ? "&" : "", items[i]);
		free(items[i]);
	}
}

/* A header's value with runs of blanks made one. */
static void print_value(const char *value, FILE *out) {
	for (const char *p = value; *p; p++)
		if (*p != ' ' || p[1] != ' ') fputc(*p, out);
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

/* NULL when a signed header is not there. */
static char *canonical_request(const struct request *r, const struct credential *c, const char *payload_hash) {
	char *text = NULL, *decoded = text_url_decode(r->path, strlen(r->path), false);
	size_t len = 0;
	FILE *f = must(open_memstream(&text, &len));
	char *path = text_url_encode(decoded, true);
	char *path_twice = text_url_encode(path, true);
	bool is_complete = true;

	fprintf(f, "%s\n%s\n", r->method, strcmp(c->service, "s3") == 0 ? path : path_twice);
	print_query(r->query, f);
	fputc('\n', f);
	for (const char *p = c->signed_headers; *p;) {
		size_t item = strcspn(p, ";");
		char *name = must(strndup(p, item));
		const char *value = http_get_header(r, name);
		fprintf(f, "%s:", name);
		if (value) print_value(value, f);
		fputc('\n', f);
		is_complete = is_complete && value;
		free(name);
		p += item + (p[item] == ';');
	}
	fprintf(f, "\n%s\n%s", c->signed_headers, payload_hash);
	fclose(f);
	free(path);
	free(path_twice);
	free(decoded);
	if (is_complete) return text;
	free(text);
	return NULL;
}

static void sign(const struct credential *c, const char *secret, const char *amz_date, const char *canonical,
		 char out[65]) {
	unsigned char key[32];
	char hash[65], *seed = text_print("AWS4%s", secret);

	sha256_hex(canonical, strlen(canonical), hash);
	char *to_sign = text_print("AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", amz_date, c->date, c->region,
				   c->service, hash);
	hmac((const unsigned char *)seed, strlen(seed), c->date, key);
	hmac(key, 32, c->region, key);
	hmac(key, 32, c->service, key);
	hmac(key, 32, "aws4_request", key);
	hmac(key, 32, to_sign, key);
	hex(key, 32, out);
	free(seed);
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
static bool payload_hash(const struct request *r, char out[65]) {
	const char *told = http_get_header(r, "x-amz-content-sha256");

	sha256_hex(r->body ? r->body : "", r->body_len, out);
	if (!told || strcmp(told, out) == 0) return true;
	if (strcmp(told, "UNSIGNED-PAYLOAD") != 0) return false;
	snprintf(out, 65, "%s", told);
	return true;
}

bool sigv4_verify(const struct world *world, const struct request *r, const char *service, long skew_s, int *ret_status,
		  const char **ret_code, const char **ret_message) {
	struct credential c;
	char hash[65], expected[65];
	const char *header = http_get_header(r, "authorization"), *date = http_get_header(r, "x-amz-date");
	const char *token = http_get_header(r, "x-amz-security-token");
	int64_t signed_at = date ? parse_amz_date(date) : -1, now = wall_ms() / 1000 + skew_s;
	bool is_s3 = strcmp(service, "s3") == 0;

	*ret_status = 403;
	*ret_code = "SignatureDoesNotMatch";
	*ret_message = "The request signature we calculated does not match the signature you provided.";
	if (!header || signed_at < 0 || !parse_authorization(header, &c)) {
		*ret_status = 400;
		*ret_code = is_s3 ? "AccessDenied" : "MissingAuthenticationToken";
		*ret_message = "Request is missing Authentication Token";
		return false;
	}
	if (strcmp(c.access_key, world->access_key) != 0 || strcmp(token ? token : "", world->session_token) != 0) {
		*ret_status = 401;
		*ret_code = is_s3 ? "InvalidAccessKeyId" : "AuthFailure";
		*ret_message = "AWS was not able to validate the provided access credentials";
		return false;
	}
	if (llabs(signed_at - now) > WINDOW_S) {
		*ret_status = is_s3 ? 403 : 400;
		*ret_code = is_s3 ? "RequestTimeTooSkewed" : "RequestExpired";
		*ret_message = "Request has expired.";
		return false;
	}
	if (strcmp(c.service, service) != 0 || strncmp(c.date, date, 8) != 0 || !signs_enough(r, &c) ||
	    !payload_hash(r, hash))
		return false;
	char *canonical = canonical_request(r, &c, hash);
	if (!canonical) return false;
	sign(&c, world->secret_key, date, canonical, expected);
	free(canonical);
	return strcmp(expected, c.signature) == 0;
}
