#pragma once
/*
 * What looks like a secret in text from anywhere: passwords in URLs, signed and tokened queries, keys and tokens by
 * their names, AWS access keys, private keys. Registered secrets (base/log) are known; these are guessed, so that a
 * bundle that leaves the machine can be read by strangers. Guessing too much hides a word, too little shows a key.
 */
#include <stdbool.h>
#include <stddef.h>

struct buf;

struct secret_span {
	size_t at, len;
	bool is_sure; /* by its form, not by a name beside it: in a URL, or after "Bearer" */
};

/** The first span in text at or after from; false if there is none. */
bool secrets_next(const char *text, size_t from, struct secret_span *ret_span);

/** Adds text with every span replaced by "***". */
void secrets_scrub(const char *text, struct buf *out);
