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
#define REQUEST_MAX (64 * 1024) /* canonical: a path of 1,024 bytes, encoded, headers with a token of 4 KiB */
#define REQUEST_USUAL 1024
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
		pairs[i].name = collapse(name); /* a line break in a name must not make a line of its own */
	}
	qsort(pairs, headers->count, sizeof *pairs, compare_headers);
	return pairs;
}

static void add_names(const struct pair *pairs, size_t count, struct buf *out) {
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && str_eq(pairs[i].name, pairs[i - 1].name)) continue;
		if (i > 0) buf_addc(out, ';');
		buf_adds(out, pairs[i].name);
	}
}

/** "name:value\n" each; the values of one name are joined by commas. */
static void add_headers(const struct pair *pairs, size_t count, struct buf *out) {
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && str_eq(pairs[i].name, pairs[i - 1].name)) {
			buf_addc(out, ',');
		} else {
			if (i > 0) buf_addc(out, '\n');
			buf_adds(out, pairs[i].name);
			buf_addc(out, ':');
		}
		buf_adds(out, pairs[i].value);
	}
	if (count) buf_addc(out, '\n');
}

static void add_path(const struct sigv4_request *req, struct buf *out) {
	AUTO_BUF struct buf once = BUF_INIT(REQUEST_MAX);

	if (!*req->path) {
		buf_addc(out, '/');
	} else if (req->encodes_path_twice) {
		codec_percent(req->path, true, &once);
		codec_percent(buf_str(&once), true, out);
	} else {
		codec_percent(req->path, true, out);
	}
}

static void add_canonical_request(const struct sigv4_request *req, const struct pair *pairs, struct arena *arena,
				  struct buf *out) {
	buf_adds(out, req->method);
	buf_addc(out, '\n');
	add_path(req, out);
	buf_addc(out, '\n');
	buf_adds(out, sigv4_canonical_query(req->query, arena));
	buf_addc(out, '\n');
	add_headers(pairs, req->headers->count, out);
	buf_addc(out, '\n');
	add_names(pairs, req->headers->count, out);
	buf_addc(out, '\n');
	buf_adds(out, req->payload_hash);
}

const char *sigv4_signed_headers(const struct strs *headers, struct arena *arena) {
	AUTO_BUF struct buf out = BUF_INIT(REQUEST_MAX);

	add_names(sorted_headers(headers, arena), headers->count, &out);
	return arena_strdup(arena, buf_str(&out));
}

const char *sigv4_canonical_request(const struct sigv4_request *req, struct arena *arena) {
	AUTO_BUF struct buf out = BUF_INIT(REQUEST_MAX);

	add_canonical_request(req, sorted_headers(req->headers, arena), arena, &out);
	return arena_strdup(arena, buf_str(&out));
}

static const char *scope_on(const char *date, const struct sigv4_request *req, struct arena *arena) {
	return arena_printf(arena, "%.*s/%s/%s/aws4_request", DATE_LEN, date, req->region, req->service);
}

const char *sigv4_scope(const struct sigv4_request *req, struct arena *arena) {
	return scope_on(sigv4_amz_date(req->now, arena), req, arena);
}

/** date: sigv4_amz_date. */
static const char *string_to_sign(const char *date, const char *scope, const char *canonical, size_t len,
				  struct arena *arena) {
	char hash[SHA256_HEX_SIZE];

	return arena_printf(arena, ALGORITHM "\n%s\n%s\n%s", date, scope, digest_sha256_hex(canonical, len, hash));
}

const char *sigv4_string_to_sign(const struct sigv4_request *req, const char *canonical_request, struct arena *arena) {
	return string_to_sign(sigv4_amz_date(req->now, arena), sigv4_scope(req, arena), canonical_request,
			      strlen(canonical_request), arena);
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

struct sigv4_signer {
	char date[DATE_LEN + 1], *secret, *region, *service; /* that hmac is of */
	struct digest_hmac *hmac;			     /* NULL: none yet */
};

struct sigv4_signer *sigv4_signer_new(void) {
	return mem_zalloc(sizeof(struct sigv4_signer));
}

static void forget_key(struct sigv4_signer *signer) {
	if (signer->secret) explicit_bzero(signer->secret, strlen(signer->secret));
	free(signer->secret);
	free(signer->region);
	free(signer->service);
	digest_hmac_free(signer->hmac);
	*signer = (struct sigv4_signer){0};
}

void sigv4_signer_free(struct sigv4_signer *signer) {
	if (!signer) return;
	forget_key(signer);
	free(signer);
}

static void have_key(struct sigv4_signer *signer, const char *date, const struct sigv4_request *req,
		     const char *secret) {
	unsigned char key[SHA256_SIZE];

	if (signer->hmac && strncmp(signer->date, date, DATE_LEN) == 0 && str_eq(signer->secret, secret) &&
	    str_eq(signer->region, req->region) && str_eq(signer->service, req->service))
		return;
	forget_key(signer);
	memcpy(signer->date, date, DATE_LEN);
	signer->secret = mem_strdup(secret);
	signer->region = mem_strdup(req->region);
	signer->service = mem_strdup(req->service);
	sigv4_signing_key(req, secret, key);
	signer->hmac = digest_hmac_new(key, sizeof key);
	explicit_bzero(key, sizeof key);
}

const char *sigv4_sign(struct sigv4_signer *signer, const struct sigv4_request *req, const struct cred *cred,
		       struct arena *arena) {
	AUTO_BUF struct buf canonical = BUF_INIT(REQUEST_MAX), line = BUF_INIT(REQUEST_MAX);
	const struct pair *pairs = sorted_headers(req->headers, arena);
	const char *date = sigv4_amz_date(req->now, arena), *scope = scope_on(date, req, arena), *to_sign;
	unsigned char mac[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];

	buf_reserve(&canonical, REQUEST_USUAL);
	add_canonical_request(req, pairs, arena, &canonical);
	to_sign = string_to_sign(date, scope, buf_str(&canonical), canonical.len, arena);
	have_key(signer, date, req, cred->secret_key);
	digest_hmac_mac(signer->hmac, to_sign, strlen(to_sign), mac);
	buf_reserve(&line, REQUEST_USUAL);
	buf_addf(&line, "Authorization: " ALGORITHM " Credential=%s/%s, SignedHeaders=", cred->access_key, scope);
	add_names(pairs, req->headers->count, &line);
	buf_adds(&line, ", Signature=");
	buf_adds(&line, digest_hex(mac, sizeof mac, hex));
	return arena_dup(arena, line.data, line.len);
}

const char *sigv4_authorization(const struct sigv4_request *req, const struct cred *cred, struct arena *arena) {
	struct sigv4_signer signer = {0};
	const char *line = sigv4_sign(&signer, req, cred, arena);

	forget_key(&signer);
	return line;
}
