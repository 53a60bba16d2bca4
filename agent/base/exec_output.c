/* A child's output: lines for the caller, the last of them for messages. */
#include "base/exec_internal.h"

#include "base/log.h"

/* Where to cut a full line buffer so that no secret and no UTF-8 character is split, unless the text is not UTF-8. */
static size_t cut_at(const char *data, size_t len) {
	size_t whole = log_cut(data, len); /* 0: a secret longer than a line */
	size_t start = len;
	unsigned char lead;
	size_t want;

	if (whole > 0 && whole < len) return whole;
	while (start > 0 && len - start < 3 && ((unsigned char)data[start - 1] & 0xC0) == 0x80) start--;
	if (start == 0) return len;
	lead = (unsigned char)data[--start];
	want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	return len - start < want ? start : len;
}

void exec_tail_trim(struct buf *tail) {
	size_t start;
	const char *newline;

	if (tail->len <= EXEC_TAIL_MAX) return;
	start = tail->len - EXEC_TAIL_MAX;
	newline = memchr(tail->data + start - 1, '\n', EXEC_TAIL_MAX);
	if (newline) start = (size_t)(newline - tail->data) + 1;
	while (start < tail->len && ((unsigned char)tail->data[start] & 0xC0) == 0x80) start++;
	memmove(tail->data, tail->data + start, tail->len - start + 1);
	tail->len -= start;
}

static void emit(struct exec_lines *lines, size_t len, const struct exec_spec *spec, struct buf *tail) {
	char line[EXEC_LINE_MAX + 1];

	memcpy(line, lines->data, len);
	line[len] = '\0';
	if (spec->on_line) spec->on_line(lines->stream, line, spec->arg);
	buf_add(tail, line, len);
	buf_addc(tail, '\n');
	if (tail->len > 2 * EXEC_TAIL_MAX) exec_tail_trim(tail);
	memmove(lines->data, lines->data + len, lines->len - len);
	lines->len -= len;
}

void exec_lines_add(struct exec_lines *lines, const char *data, size_t n, const struct exec_spec *spec,
		    struct buf *tail) {
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			if (lines->len > 0 && lines->data[lines->len - 1] == '\r') lines->len--;
			emit(lines, lines->len, spec, tail);
			continue;
		}
		if (lines->len == EXEC_LINE_MAX) emit(lines, cut_at(lines->data, lines->len), spec, tail);
		lines->data[lines->len++] = data[i] ? data[i] : '?'; /* a NUL would end the caller's string */
	}
}

void exec_lines_end(struct exec_lines *lines, const struct exec_spec *spec, struct buf *tail) {
	if (lines->len > 0) emit(lines, lines->len, spec, tail);
}
