/*
 * An error answer of a service, or of whoever stands in between: status line and headers up to an empty line, then the
 * body. Whatever it says becomes one line that may be shown, words that fit, and waits within limits.
 */
#include <ctype.h>
#include <string.h>

#include "aws/call_private.h"
#include "base/err.h"
#include "base/parse.h"
#include "fuzz.h"
#include "io/http.h"

#define NOW 1369353600
#define HOUR_MS 3600000

/** The status of "HTTP/1.1 403 …", 500 where there is none that is an error's. */
static int status_of(const char *text, size_t len) {
	char digits[4] = "";
	struct err ignored;
	int64_t status;

	if (len < 12) return 500;
	memcpy(digits, text + 9, 3);
	return parse_i64(digits, 300, 599, &status, &ignored) == 0 ? (int)status : 500;
}

static void check_word(const char word[CALL_WORD_SIZE]) {
	FUZZ_CLAIM(memchr(word, '\0', CALL_WORD_SIZE));
	for (const char *p = word; *p; p++) FUZZ_CLAIM(!iscntrl((unsigned char)*p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	const char *text = (const char *)data, *end = len ? memmem(text, len, "\n\n", 2) : NULL;
	size_t head = end ? (size_t)(end + 1 - text) : len, body = end ? head + 1 : len;
	AUTO_HTTP_RESPONSE struct http_response answer = {
		.status = status_of(text, len), .headers = BUF_INIT(16384), .body = BUF_INIT(16384)};
	struct call_failure failure;
	struct err err = {0};

	buf_add(&answer.headers, text, head);
	buf_add(&answer.body, text + body, len - body);
	call_decode(&answer, NOW, &failure, &err);
	FUZZ_CLAIM(err.code != ERR_NONE && err.msg[0]);
	for (const char *p = err.msg; *p; p++) FUZZ_CLAIM(!iscntrl((unsigned char)*p));
	FUZZ_CLAIM(failure.status == answer.status);
	FUZZ_CLAIM(failure.retry_after_ms >= 0 && failure.retry_after_ms <= HOUR_MS);
	check_word(failure.code);
	check_word(failure.region);
	return 0;
}
