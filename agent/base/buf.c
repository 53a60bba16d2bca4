#include "base/buf.h"

#include "base/err.h"
#include "base/mem.h"

#define BUF_CAP_FIRST 64
/* Blocks up to here are wiped when the buffer moves, since they may hold a secret; larger ones are left to realloc. */
#define BUF_WIPED_MAX (64 * 1024)

/* Makes room for n more bytes and the NUL; n has been checked against max. */
static void reserve(struct buf *b, size_t n) {
	size_t need = b->len + n + 1;
	size_t cap = b->cap ? b->cap * 2 : BUF_CAP_FIRST;
	char *moved;

	if (need <= b->cap) return;
	if (cap < need) cap = need;
	if (b->cap > BUF_WIPED_MAX) {
		b->data = mem_resize(b->data, cap, 1);
		b->cap = cap;
		return;
	}
	moved = mem_resize(NULL, cap, 1);
	if (b->data) {
		memcpy(moved, b->data, b->len + 1);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	b->data = moved;
	b->cap = cap;
}

static bool admits(struct buf *b, size_t n) {
	if (b->has_overflowed || n > b->max - b->len) {
		b->has_overflowed = true;
		return false;
	}
	return true;
}

void buf_reserve(struct buf *b, size_t n) {
	size_t room = b->max - b->len;

	if (!b->has_overflowed) reserve(b, n < room ? n : room);
}

void buf_add(struct buf *b, const void *p, size_t n) {
	if (!admits(b, n)) return;
	reserve(b, n);
	if (n) memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_addc(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_adds(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }

void buf_addf(struct buf *b, const char *fmt, ...) {
	va_list args;

	va_start(args, fmt);
	buf_vaddf(b, fmt, args);
	va_end(args);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list args) {
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, args);
	if (n < 0) b->has_overflowed = true;
	if (n >= 0 && admits(b, (size_t)n)) {
		reserve(b, (size_t)n);
		(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again); /* measured above */
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_reset(struct buf *b) {
	b->len = 0;
	b->has_overflowed = false;
	if (b->data) b->data[0] = '\0';
}

void buf_cut(struct buf *b, size_t len) {
	if (len >= b->len) return;
	b->len = len;
	b->data[len] = '\0';
}

const char *buf_str(const struct buf *b) { return b->data ? b->data : ""; }

int buf_check(const struct buf *b, const char *what, struct err *err) {
	if (!b->has_overflowed) return 0;
	return err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, b->max);
}

char *buf_take(struct buf *b) {
	char *taken = b->data ? b->data : mem_strdup("");

	*b = BUF_INIT(b->max);
	return taken;
}

void buf_clear(struct buf *b) {
	if (!b) return;
	free(b->data);
	*b = BUF_INIT(b->max);
}

void buf_wipe(struct buf *b) {
	if (!b) return;
	if (b->data) explicit_bzero(b->data, b->cap);
	buf_clear(b);
}
