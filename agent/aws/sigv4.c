/*
 * References: AWS General Reference, "Create a signed AWS API request"; Amazon S3 API Reference, "Authenticating
 * Requests: Using the Authorization Header". S3's path is encoded once and never normalised; query parameters are
 * sorted by encoded name, then value, not as "name=value" strings ("Param" comes before "Param-3").
 */
#include "aws/sigv4.h"

#include <ctype.h>

#include "aws/cred.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fmt/codec.h"
#include "fmt/digest.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DATE_LEN 8 /* "20130524" of "20130524T000000Z" */

const char *sigv4_amz_date(int64_t now, struct arena *arena) {
	char iso[CLOCK_ISO8601_SIZE], *date = arena_alloc(arena, CLOCK_ISO8601_SIZE), *out = date;

	clock_iso8601(now * 1000, iso);
	for (const char *p = iso; *p; p++)
		if (*p != '-' && *p != ':') *out++ = *p;
	return date;
}

/** Percent-encoded copy; a byte becomes three at most. */
static const char *encode(const char *s, bool keeps_slash, struct arena *arena) {
	AUTO_BUF struct buf b = BUF_INIT(3 * strlen(s));

	codec_percent(s, keeps_slash, &b);
	return arena_strdup(arena, buf_str(&b));
}

struct pair {
	const char *name, *value;
	size_t place; /* in the list as given: keeps the sort stable */
};

static int compare_parameters(const void *a, const void *b) {
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->value, y->value);
}

const char *sigv4_canonical_query(const char *const *query, struct arena *arena) {
	AUTO_STRS struct strs parts = {0};
	struct pair *pairs;
	size_t count = 0;

	while (query && query[2 * count]) count++;
	pairs = arena_alloc(arena, (count + 1) * sizeof *pairs);
	for (size_t i = 0; i < count; i++) {
		pairs[i].name = encode(query[2 * i], false, arena);
		pairs[i].value = encode(query[2 * i + 1], false, arena);
	}
	qsort(pairs, count, sizeof *pairs, compare_parameters);
	for (size_t i = 0; i < count; i++)
		strs_add(&parts, arena_printf(arena, "%s=%s", pairs[i].name, pairs[i].value));
	return strs_join(&parts, "&", arena);
}

/** Trims and collapses runs of white space to one space, in place. */
static char *collapse(char *s) {
	char *out, *start = str_trim(s);

	out = start;
	for (const char *p = start; *p; p++)
		if (!isspace((unsigned char)*p) || !isspace((unsigned char)p[1]))
			*out++ = isspace((unsigned char)*p) ? ' ' : *p;
	*out = '\0';
	return start;
}

static int compare_headers(const void *a, const void *b) {
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->place > y->place) - (x->place < y->place);
}

/** Header lines as lower-case names and collapsed values, sorted by name; one name several times stays several. */
static struct pair *sorted_headers(const struct strs *headers, struct arena *arena) {
	struct pair *pairs = arena_alloc(arena, (headers->count + 1) * sizeof *pairs);

	for (size_t i = 0; i < headers->count; i++) {
		char *name = arena_strdup(arena, headers->items[i]), *colon = strchr(name, ':');

		pairs[i].place = i;
		pairs[i].value = colon ? collapse(colon + 1) : "";
		if (colon) *colon = '\0';
		for (char *p = name; *p; p++) *p = (char)tolower((unsigned char)*p);
		pairs[i].name = str_trim(name);
	}
	qsort(pairs, headers->count, sizeof *pairs, compare_headers);
	return pairs;
}

const char *sigv4_signed_headers(const struct strs *headers, struct arena *arena) {
	const struct pair *pairs = sorted_headers(headers, arena);
	AUTO_STRS struct strs names = {0};

	for (size_t i = 0; i < headers->count; i++)
		if (i == 0 || !str_eq(pairs[i].name, pairs[i - 1].name)) strs_add(&names, pairs[i].name);
	return strs_join(&names, ";", arena);
}

/** "name:value\n" each; the values of one name are joined by commas. */
static const char *canonical_headers(const struct strs *headers, struct arena *arena) {
	const struct pair *pairs = sorted_headers(headers, arena);
	AUTO_STRS struct strs parts = {0};

	for (size_t i = 0; i < headers->count; i++) {
		bool is_same = i > 0 && str_eq(pairs[i].name, pairs[i - 1].name);

		if (is_same)
			strs_add(&parts, arena_printf(arena, ",%s", pairs[i].value));
		else
			strs_add(&parts, arena_printf(arena, "%s%s:%s", i ? "\n" : "", pairs[i].name, pairs[i].value));
	}
	if (headers->count) strs_add(&parts, "\n");
	return strs_join(&parts, "", arena);
}

const char *sigv4_canonical_request(const struct sigv4_request *req, struct arena *arena) {
	const char *path = *req->path ? encode(req->path, true, arena) : "/";

	if (req->encodes_path_twice) path = encode(path, true, arena);
	return arena_printf(arena, "%s\n%s\n%s\n%s\n%s\n%s", req->method, path,
			    sigv4_canonical_query(req->query, arena), canonical_headers(req->headers, arena),
			    sigv4_signed_headers(req->headers, arena), req->payload_hash);
}

const char *sigv4_scope(const struct sigv4_request *req, struct arena *arena) {
	return arena_printf(arena, "%.*s/%s/%s/aws4_request", DATE_LEN, sigv4_amz_date(req->now, arena), req->region,
			    req->service);
}

const char *sigv4_string_to_sign(const struct sigv4_request *req, const char *canonical_request, struct arena *arena) {
	char hash[SHA256_HEX_SIZE];

	return arena_printf(arena, ALGORITHM "\n%s\n%s\n%s", sigv4_amz_date(req->now, arena), sigv4_scope(req, arena),
			    digest_sha256_hex(canonical_request, strlen(canonical_request), hash));
}

void sigv4_signing_key(const struct sigv4_request *req, const char *secret_key, unsigned char ret_key[32]) {
	AUTO_ARENA struct arena arena = {0};
	char *start = mem_printf("AWS4%s", secret_key);
	unsigned char date_key[SHA256_SIZE], region_key[SHA256_SIZE], service_key[SHA256_SIZE];

	digest_hmac_sha256(start, strlen(start), sigv4_amz_date(req->now, &arena), DATE_LEN, date_key);
	digest_hmac_sha256(date_key, sizeof date_key, req->region, strlen(req->region), region_key);
	digest_hmac_sha256(region_key, sizeof region_key, req->service, strlen(req->service), service_key);
	digest_hmac_sha256(service_key, sizeof service_key, "aws4_request", strlen("aws4_request"), ret_key);
	explicit_bzero(start, strlen(start));
	explicit_bzero(date_key, sizeof date_key);
	explicit_bzero(region_key, sizeof region_key);
	explicit_bzero(service_key, sizeof service_key);
	free(start);
}

const char *sigv4_signature(const unsigned char key[32], const char *string_to_sign, struct arena *arena) {
	unsigned char mac[SHA256_SIZE];
	char *hex = arena_alloc(arena, SHA256_HEX_SIZE);

	digest_hmac_sha256(key, SHA256_SIZE, string_to_sign, strlen(string_to_sign), mac);
	return digest_hex(mac, sizeof mac, hex);
}

const char *sigv4_authorization(const struct sigv4_request *req, const struct cred *cred, struct arena *arena) {
	const char *canonical = sigv4_canonical_request(req, arena);
	const char *to_sign = sigv4_string_to_sign(req, canonical, arena);
	unsigned char key[SHA256_SIZE];
	const char *signature;

	sigv4_signing_key(req, cred->secret_key, key);
	signature = sigv4_signature(key, to_sign, arena);
	explicit_bzero(key, sizeof key);
	return arena_printf(arena, "Authorization: " ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
			    cred->access_key, sigv4_scope(req, arena), sigv4_signed_headers(req->headers, arena),
			    signature);
}
