#include "base/buf.h"
#include "fmt/secrets.h"
#include "fuzz.h"

/* Spans lie in the text, one after the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	AUTO_BUF struct buf text = BUF_INIT(len + 1), once = BUF_INIT(4 * len + 16);
	struct secret_span span;
	size_t from = 0;
	buf_add(&text, data, len);
	size_t whole = strlen(buf_str(&text)); /* a NUL ends it */
	while (secrets_next(buf_str(&text), from, &span)) {
		FUZZ_CLAIM(span.at >= from && span.len > 0 && span.at + span.len <= whole);
		from = span.at + span.len;
	}
	secrets_scrub(buf_str(&text), &once);
	FUZZ_CLAIM(!once.has_overflowed);
	return 0;
}
