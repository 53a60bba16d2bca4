#include "report/screen.h"

#include <string.h>

#include "report/show.h"

static size_t line_length(const char *s) { return strcspn(s, "\n"); }

static const char *next_line(const char *s) {
	s += line_length(s);
	return *s ? s + 1 : s;
}

/* Columns of a line that we have made: colours take none. */
static size_t columns_of(const char *line, size_t len) {
	AUTO_BUF struct buf raw = BUF_INIT(SCREEN_MAX), clean = BUF_INIT(SCREEN_MAX);
	buf_add(&raw, line, len);
	show_clean(buf_str(&raw), &clean);
	return show_columns(buf_str(&clean));
}

/* Rows that the block takes in a window of that many columns: all of them, the last is never written to. */
static size_t rows_in(const struct screen *screen, size_t columns) {
	size_t rows = 0;
	for (const char *s = buf_str(&screen->shown); *s; s = next_line(s)) {
		size_t wide = columns < screen->width + 1 ? columns_of(s, line_length(s)) : 1;
		rows += columns && wide > columns ? (wide + columns - 1) / columns : 1;
	}
	return rows;
}

/* ECMA-48: CPL to the block's first row. */
static void go_up(const struct screen *screen, const struct show_style *style, struct buf *out) {
	size_t rows = rows_in(screen, style->width + 1);
	if (rows) buf_addf(out, "\033[%zuF", rows);
}

void screen_erase(struct screen *screen, const struct show_style *style, struct buf *out) {
	if (!screen->shown.len) return;
	go_up(screen, style, out);
	buf_adds(out, "\033[J");
	buf_reset(&screen->shown);
}

void screen_draw(struct screen *screen, const struct show_style *style, const char *lines, struct buf *out) {
	if (screen->width != style->width) screen_erase(screen, style, out);
	if (screen->shown.len && strcmp(buf_str(&screen->shown), lines) == 0) return;
	go_up(screen, style, out);
	const char *old = buf_str(&screen->shown);
	for (const char *s = lines; *s; s = next_line(s)) {
		size_t n = line_length(s);
		bool is_same = *old && line_length(old) == n && memcmp(old, s, n) == 0;
		if (!is_same) {
			buf_add(out, s, n);
			if (*old) buf_adds(out, "\033[K");
		}
		buf_addc(out, '\n');
		old = next_line(old);
	}
	buf_adds(out, "\033[J"); /* the rest of a longer block, and a ^C that the terminal has echoed */
	buf_reset(&screen->shown);
	buf_adds(&screen->shown, lines);
	screen->width = style->width;
}

void screen_clear(struct screen *screen) { buf_clear(&screen->shown); }
