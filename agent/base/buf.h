#pragma once
/*
 * A byte buffer with a mandatory maximum (the idea of curl's dynbuf). data is always NUL-terminated once anything was
 * added, len excludes that NUL. Passing the maximum sets has_overflowed, drops that addition and all later ones; the
 * one check at the end (buf_check) is enough, so adding needs no check of its own.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;

struct buf {
	char *data; /* NULL while empty */
	size_t len;
	size_t cap;
	size_t max; /* most bytes len may reach */
	bool has_overflowed;
};

/** An empty buffer of at most max bytes, as an initialiser. */
#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

/** Room for n more bytes (within max) now, so that adding them does not move what is there. */
void buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) FORMAT(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list args) FORMAT(2, 0);

/** Forgets the content (and an overflow), keeps the memory. */
void buf_reset(struct buf *b);

/** Keeps the first len bytes; len above b->len is ignored. */
void buf_cut(struct buf *b, size_t len);

/** The content as a C string, "" while empty; valid until the next call on b. */
const char *buf_str(const struct buf *b);

/** ERR_LIMIT with "what is larger than N bytes" if the maximum was passed, else 0. */
CHECK_RESULT int buf_check(const struct buf *b, const char *what, struct err *err);

/** Gives the content away (never NULL) and leaves b empty. */
char *buf_take(struct buf *b);

/** Frees; NULL is fine. */
void buf_clear(struct buf *b);

/** Frees after overwriting: for secrets. */
void buf_wipe(struct buf *b);

#define AUTO_BUF AUTO(buf_clear)
