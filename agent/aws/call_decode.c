/*
 * Error answers. Sources: EC2 API Reference, "Error codes" (`/Response/Errors/Error`); S3 API Reference, "Error
 * Responses" (`/Error`); other query services send `/ErrorResponse/Error`. Whatever is not XML was not sent by AWS.
 */
#include "aws/call_private.h"

#include <ctype.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/xml.h"
#include "io/http.h"

#define MESSAGE_MAX 400 /* of a service's message; EC2's encoded authorization failures run to kilobytes */
#define RETRY_AFTER_MAX_S 3600

struct fields {
	char code[CALL_WORD_SIZE], region[CALL_WORD_SIZE];
	char message[MESSAGE_MAX];
};

/** The first of its kind, on one line, cut to size at a character's end: it is shown. */
static void copy(char *out, size_t size, const char *text) {
	if (*out) return;
	(void)snprintf(out, size, "%.*s", (int)(size - 1), text); /* cut on purpose */
	out[str_utf8_prefix(out, size)] = '\0';
	for (char *p = out; *p; p++)
		if (iscntrl((unsigned char)*p)) *p = ' ';
}

static int on_element(const char *path, const char *text, void *arg) {
	struct fields *f = arg;

	if (str_ends(path, "/Error/Code")) copy(f->code, sizeof f->code, text);
	if (str_ends(path, "/Error/Region")) copy(f->region, sizeof f->region, text);
	if (str_ends(path, "/Error/Message")) copy(f->message, sizeof f->message, text);
	return 0;
}

/** Cuts what helps nobody. */
static void tidy(char *message) {
	char *encoded = strstr(message, " Encoded authorization failure message");

	if (encoded) *encoded = '\0';
}

/** True when text begins with word, after white space. */
static bool begins(const char **text, const char *end, const char *word) {
	while (*text < end && isspace((unsigned char)**text)) (*text)++;
	return (size_t)(end - *text) >= strlen(word) && strncasecmp(*text, word, strlen(word)) == 0;
}

bool call_is_html(const char *body, size_t len) {
	const char *end = body + len;

	if (begins(&body, end, "<?xml")) { /* XHTML begins so, and so does an answer of AWS */
		const char *close = memchr(body, '>', (size_t)(end - body));

		body = close ? close + 1 : end;
	}
	return begins(&body, end, "<html") || begins(&body, end, "<!doctype html");
}

static bool is_among(const char *word, const char *const *words) {
	for (size_t i = 0; words[i]; i++)
		if (str_eq(word, words[i])) return true;
	return false;
}

static bool is_transient(int status, const char *code) {
	static const char *const codes[] = {
		"RequestLimitExceeded",
		"Throttling",
		"ThrottlingException",
		"ThrottledException",
		"RequestThrottled",
		"TooManyRequestsException",
		"BandwidthLimitExceeded",
		"SlowDown",
		"Unavailable",
		"ServiceUnavailable",
		"InternalError",
		"InternalFailure",
		"RequestTimeout",
		"PriorRequestNotComplete",
		NULL,
	};

	if (status == 501) return false; /* what a service cannot do it cannot do the next time */
	return status == 429 || status >= 500 || is_among(code, codes);
}

static enum err_code code_of(int status, const char *code) {
	static const char *const denied[] = {"AccessDenied",
					     "UnauthorizedOperation",
					     "AuthFailure",
					     "OptInRequired",
					     "InvalidAccessKeyId",
					     "SignatureDoesNotMatch",
					     "Blocked",
					     "ExpiredToken",
					     "InvalidToken",
					     "ExpiredTokenException",
					     "InvalidClientTokenId",
					     NULL};
	static const char *const absent[] = {"NoSuchKey", "NoSuchBucket", NULL};

	if (is_transient(status, code)) return ERR_REMOTE;
	if (is_among(code, denied)) return ERR_DENIED;
	if (is_among(code, absent) || str_ends(code, ".NotFound")) return ERR_NOT_FOUND;
	if (status == 401 || status == 403) return ERR_DENIED;
	if (status == 404) return ERR_NOT_FOUND;
	return status >= 400 && status < 500 ? ERR_INVALID : ERR_REMOTE;
}

static void say(const struct http_response *answer, const struct fields *f, struct err *err) {
	enum err_code code = code_of(answer->status, f->code);

	if (answer->status == 407)
		(void)err_set(err, ERR_DENIED, "HTTP 407: " HTTP_PROXY_ASKS);
	else if (*f->code)
		(void)err_set(err, code, "HTTP %d %s%s%s", answer->status, f->code, *f->message ? ": " : "",
			      f->message);
	else if (answer->body.len == 0)
		(void)err_set(err, code, "HTTP %d without an error message", answer->status);
	else if (call_is_html(answer->body.data, answer->body.len))
		(void)err_set(err, code,
			      "HTTP %d with a web page instead of an AWS answer: a proxy or portal stands in between",
			      answer->status);
	else
		(void)err_set(err, code,
			      "HTTP %d with an answer that AWS does not send (no XML error): is the endpoint right?",
			      answer->status);
	err->is_retryable = is_transient(answer->status, f->code);
}

static void read_headers(const struct http_response *answer, int64_t now, struct call_failure *f) {
	AUTO_FREE char *date = http_header(answer, "Date");
	AUTO_FREE char *retry_after = http_header(answer, "Retry-After");
	AUTO_FREE char *region = http_header(answer, "x-amz-bucket-region");
	struct err ignored;
	int64_t value;

	if (http_parse_date(date, &value)) f->skew_s = value - now;
	if (retry_after && parse_i64(retry_after, 0, RETRY_AFTER_MAX_S, &value, &ignored) == 0)
		f->retry_after_ms = value * 1000;
	if (region) copy(f->region, sizeof f->region, region);
}

void call_decode(const struct http_response *answer, int64_t now, struct call_failure *ret_failure, struct err *err) {
	static const char *const clock_codes[] = {"RequestTimeTooSkewed",
						  "RequestExpired",
						  "RequestInTheFuture",
						  "SignatureDoesNotMatch",
						  "AuthFailure",
						  "InvalidSignatureException",
						  NULL};
	static const char *const token_codes[] = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
						  "InvalidToken", "RequestExpired",	   NULL};
	struct fields f = {0};
	struct err ignored;

	if (xml_parse(buf_str(&answer->body), answer->body.len, on_element, &f, &ignored) != 0)
		err_clear(&ignored); /* cut, or no XML at all: what came before counts */
	tidy(f.message);
	*ret_failure = (struct call_failure){.status = answer->status};
	read_headers(answer, now, ret_failure);
	copy(ret_failure->region, sizeof ret_failure->region, f.region);
	copy(ret_failure->code, sizeof ret_failure->code, f.code);
	ret_failure->is_clock_off = is_among(f.code, clock_codes);
	ret_failure->is_token_old = is_among(f.code, token_codes);
	say(answer, &f, err);
}
