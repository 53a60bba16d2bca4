/*
 * Signature Version 4 over whatever a request may be made of: what is signed has exactly the lines that it must have,
 * sorted, encoded and trimmed, and says the same as the request; the same request has one signature.
 *
 * The input is fields that each end in a NUL: access key, secret key, region, epoch seconds, method, payload hash,
 * path, then "h" and a header line, or "q" and a parameter's name and in the next field its value. What the callers
 * hold to words (all before the path) is made one here; the rest is arbitrary.
 */
#include <ctype.h>

#include "aws/cred.h"
#include "aws/s3_page.h"
#include "aws/sigv4.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "fuzz.h"

#define INPUT_MAX 6144 /* nine times as much (a path that is encoded twice) is below the signer's own limit */
#define YEAR_10000 253402300800

struct input {
	struct arena arena;
	struct sigv4_request req;
	struct cred cred;
	struct strs headers, query; /* query: name, value, …, NULL */
};

static char *next_field(const char **at, const char *end, struct arena *arena) {
	size_t len = strnlen(*at, (size_t)(end - *at));
	char *field = arena_dup(arena, *at, len);

	*at += len + (*at + len < end);
	return field;
}

/** Visible ASCII, as is checked of keys, regions and methods where they come in. */
static char *next_word(const char **at, const char *end, struct arena *arena) {
	char *word = next_field(at, end, arena);

	for (char *p = word; *p; p++)
		if (!isgraph((unsigned char)*p)) *p = '-';
	return word;
}

static void read_input(const uint8_t *data, size_t len, struct input *in) {
	const char *at = (const char *)data, *end = at + (len < INPUT_MAX ? len : INPUT_MAX);
	struct arena *a = &in->arena;
	struct err ignored;

	in->cred.access_key = next_word(&at, end, a);
	in->cred.secret_key = next_word(&at, end, a);
	in->req.region = next_word(&at, end, a);
	if (parse_i64(next_word(&at, end, a), 0, YEAR_10000 - 1, &in->req.now, &ignored) != 0) in->req.now = 0;
	in->req.method = next_word(&at, end, a);
	in->req.payload_hash = next_word(&at, end, a);
	in->req.path = next_field(&at, end, a);
	while (at < end) {
		const char *field = next_field(&at, end, a);

		if (*field == 'h') strs_add(&in->headers, field + 1);
		if (*field != 'q') continue;
		strs_add(&in->query, field + 1);
		strs_add(&in->query, next_field(&at, end, a));
	}
	in->req.encodes_path_twice = len % 2;
	in->req.service = len % 2 ? "ec2" : "s3";
	in->req.query = strs_argv(&in->query);
	in->req.headers = &in->headers;
}

static bool is_unreserved(char c) { return (isascii(c) && isalnum((unsigned char)c)) || (c && strchr("-._~", c)); }

/** Unreserved bytes, others of keeps, and escapes in upper case of what is none of them. */
static bool is_encoded(const char *s, const char *keeps) {
	for (; *s; s++) {
		unsigned byte;

		if (is_unreserved(*s) || strchr(keeps, *s)) continue;
		if (*s != '%' || !s[1] || !s[2] || !strchr("0123456789ABCDEF", s[1]) ||
		    !strchr("0123456789ABCDEF", s[2]) || sscanf(s, "%%%2X", &byte) != 1)
			return false;
		if (is_unreserved((char)byte) || strchr(keeps, (int)byte)) return false;
		s += 2;
	}
	return true;
}

/** "a=1&b=2" back to name, value, …; each pair has exactly one "=". */
static void decode_query(const char *text, struct arena *arena, struct strs *ret_query) {
	char *save = NULL, *copy = arena_strdup(arena, text);

	for (char *pair = strtok_r(copy, "&", &save); pair; pair = strtok_r(NULL, "&", &save)) {
		char *equals = strchr(pair, '=');

		FUZZ_CLAIM(equals && !strchr(equals + 1, '='));
		*equals = '\0';
		FUZZ_CLAIM(is_encoded(pair, "") && is_encoded(equals + 1, ""));
		if (ret_query->count > 0) {
			int order = strcmp(ret_query->items[ret_query->count - 2], pair);

			FUZZ_CLAIM(order < 0 ||
				   (order == 0 && strcmp(ret_query->items[ret_query->count - 1], equals + 1) <= 0));
		}
		strs_add(ret_query, pair);
		strs_add(ret_query, equals + 1);
	}
	/* Sorted as it is written: decoded only now. */
	for (size_t i = 0; i < ret_query->count; i++) {
		char *raw = arena_strdup(arena, ret_query->items[i]);

		FUZZ_CLAIM(s3_url_decode(raw, false));
		ret_query->items[i] = raw;
	}
}

/** The canonical query holds every pair and nothing else, and its order is not the caller's. */
static void check_query(struct input *in) {
	struct arena *a = &in->arena;
	const char *canonical = sigv4_canonical_query(in->req.query, a);
	AUTO_STRS struct strs decoded = {0}, reversed = {0};

	decode_query(canonical, a, &decoded);
	FUZZ_CLAIM(decoded.count == in->query.count);
	FUZZ_CLAIM(str_eq(sigv4_canonical_query(strs_argv(&decoded), a), canonical));
	for (size_t i = in->query.count; i > 0; i -= 2) {
		strs_add(&reversed, in->query.items[i - 2]);
		strs_add(&reversed, in->query.items[i - 1]);
	}
	FUZZ_CLAIM(str_eq(sigv4_canonical_query(strs_argv(&reversed), a), canonical));
	for (size_t i = 0; i < in->query.count; i += 2) {
		bool is_there = false;

		for (size_t k = 0; k < decoded.count && !is_there; k += 2)
			is_there = str_eq(decoded.items[k], in->query.items[i]) &&
				   str_eq(decoded.items[k + 1], in->query.items[i + 1]);
		FUZZ_CLAIM(is_there);
	}
}

static void check_path(const struct input *in, const char *line, struct arena *arena) {
	char *raw = arena_strdup(arena, line);

	FUZZ_CLAIM(is_encoded(line, "/"));
	FUZZ_CLAIM(s3_url_decode(raw, false) && (!in->req.encodes_path_twice || s3_url_decode(raw, false)));
	FUZZ_CLAIM(str_eq(raw, *in->req.path ? in->req.path : "/"));
}

/** "name:value": lower case, trimmed, single spaces. Returns the name. */
static const char *check_header(const char *line, struct arena *arena) {
	const char *colon = strchr(line, ':');
	char *name;

	FUZZ_CLAIM(colon);
	name = arena_dup(arena, line, (size_t)(colon - line));
	for (const char *p = line; *p; p++) {
		FUZZ_CLAIM(!isspace((unsigned char)*p) || (*p == ' ' && p[1] != ' ' && p[1]));
		FUZZ_CLAIM(p >= colon || !isupper((unsigned char)*p));
	}
	FUZZ_CLAIM(colon[1] != ' ' && line[0] != ' ');
	return name;
}

/** Splits at every newline, empty lines kept. */
static void split_lines(char *text, struct strs *ret_lines) {
	for (char *line; (line = strsep(&text, "\n"));) strs_add(ret_lines, line);
}

/** Method, path, query, each header's name once, an empty line, the names, the hash: no line more, none less. */
static void check_canonical(struct input *in, const char *canonical) {
	struct arena *a = &in->arena;
	AUTO_STRS struct strs lines = {0}, names = {0};
	const char *signed_headers = sigv4_signed_headers(&in->headers, a);
	size_t at = 3;

	split_lines(arena_strdup(a, canonical), &lines);
	FUZZ_CLAIM(lines.count >= 6 && lines.count <= 6 + in->headers.count);
	FUZZ_CLAIM(str_eq(lines.items[0], in->req.method));
	check_path(in, lines.items[1], a);
	FUZZ_CLAIM(str_eq(lines.items[2], sigv4_canonical_query(in->req.query, a)));
	for (; at < lines.count - 3; at++) {
		const char *name = check_header(lines.items[at], a);

		FUZZ_CLAIM(names.count == 0 || strcmp(names.items[names.count - 1], name) < 0);
		strs_add(&names, name);
	}
	FUZZ_CLAIM(!*lines.items[at] && str_eq(lines.items[at + 1], signed_headers));
	FUZZ_CLAIM(str_eq(strs_join(&names, ";", a), signed_headers));
	FUZZ_CLAIM(str_eq(lines.items[at + 2], in->req.payload_hash));
}

static bool is_signature(const char *hex) { return strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64; }

/** All ways to sign come to one signature; the line holds no control character. */
static void check_signature(struct input *in, const char *canonical) {
	struct arena *a = &in->arena;
	struct sigv4_signer *signer = sigv4_signer_new();
	const char *line = sigv4_authorization(&in->req, &in->cred, a), *signature;
	unsigned char key[32];

	sigv4_signing_key(&in->req, in->cred.secret_key, key);
	signature = sigv4_signature(key, sigv4_string_to_sign(&in->req, canonical, a), a);
	FUZZ_CLAIM(is_signature(signature));
	FUZZ_CLAIM(str_eq(line, arena_printf(a,
					     "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
					     "Signature=%s",
					     in->cred.access_key, sigv4_scope(&in->req, a),
					     sigv4_signed_headers(&in->headers, a), signature)));
	for (int i = 0; i < 2; i++) FUZZ_CLAIM(str_eq(sigv4_sign(signer, &in->req, &in->cred, a), line));
	sigv4_signer_free(signer);
	for (const char *p = line; *p; p++) FUZZ_CLAIM(*p != '\n' && *p != '\r');
	in->req.now += 1;
	FUZZ_CLAIM(in->req.now == YEAR_10000 || !str_eq(sigv4_authorization(&in->req, &in->cred, a), line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct input in = {0};
	const char *canonical;

	read_input(data, len, &in);
	canonical = sigv4_canonical_request(&in.req, &in.arena);
	check_query(&in);
	check_canonical(&in, canonical);
	check_signature(&in, canonical);
	strs_clear(&in.headers);
	strs_clear(&in.query);
	arena_clear(&in.arena);
	return 0;
}
