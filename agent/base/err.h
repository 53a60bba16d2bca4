#pragma once
/*
 * One error object, carried by value. A function that can fail returns 0 or a negative enum err_code and fills *err;
 * on failure its ret_* outputs are untouched. The first failure says what happened with its values; each caller adds
 * what it knows in front (err_wrap), so the text reads from outermost to innermost. Below engine/ nothing prints.
 */
#include <stdbool.h>

#include "base/cleanup.h"

enum err_code {
	ERR_NONE = 0,
	ERR_INVALID,	 /* the caller's or the user's input is wrong; trying again cannot help */
	ERR_NOT_FOUND,	 /* the thing asked for does not exist (HTTP 404, ENOENT, no such package) */
	ERR_DENIED,	 /* not permitted (EACCES, HTTP 401/403) */
	ERR_BUSY,	 /* a lock is held by somebody else */
	ERR_LIMIT,	 /* a documented maximum was passed */
	ERR_TIMEOUT,	 /* a deadline passed */
	ERR_IO,		 /* file or device error */
	ERR_NO_SPACE,	 /* ENOSPC, EDQUOT */
	ERR_NO_MEMORY,	 /* a child was killed for memory */
	ERR_NET,	 /* no usable answer: DNS, connect, TLS, reset */
	ERR_REMOTE,	 /* a service answered with an error */
	ERR_COMMAND,	 /* a command ended non-zero or by a signal */
	ERR_UNSUPPORTED, /* this machine or build cannot do it */
	ERR_STATE,	 /* our own files or invariants are not as they must be */
	ERR_CANCELLED,	 /* told to stop */
};

/** Longest message in bytes, the NUL included; longer ones are cut at the tail. */
#define ERR_MSG_MAX 1024

struct err {
	enum err_code code;
	bool is_retryable; /* a later identical attempt may succeed; only io/retry decides upon it */
	char msg[ERR_MSG_MAX];
};

/** Fills err (is_retryable = false) and returns -code. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) FORMAT(3, 4);

/** Like err_set with the code that fits errnum; the text ends in ": " and the system's own words for errnum. */
int err_set_errno(struct err *err, int errnum, const char *fmt, ...) FORMAT(3, 4);

/** Puts "text: " in front of the message and returns -err->code. */
int err_wrap(struct err *err, const char *fmt, ...) FORMAT(2, 3);

/** Makes *err the empty error. */
void err_clear(struct err *err);

/** A stable lower-case word for the code ("not-found"), for JSON. */
const char *err_code_name(enum err_code code);
