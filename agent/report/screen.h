#pragma once
/*
 * A block of lines at the end of a terminal that is drawn again and again: only lines that differ are written, so that
 * a slow SSH line carries little and nothing flickers. Pure: it adds what is to be written to a buffer.
 *
 * Where the window has become narrower, the terminal has folded the lines that were too long (tmux, VTE and most do);
 * what was drawn is then taken away by the rows that it takes now, and drawn anew.
 */
#include <stddef.h>

#include "base/buf.h"

struct show_style;

struct screen {
	struct buf shown; /* the lines as they stand there */
	size_t width;	  /* of the style that they were drawn with */
};

#define SCREEN_MAX (256 * 1024)
#define SCREEN_INIT ((struct screen){.shown = BUF_INIT(SCREEN_MAX)})

/** Makes lines (each with its end, none wider than the style) what stands there. */
void screen_draw(struct screen *screen, const struct show_style *style, const char *lines, struct buf *out);

/** Takes the block away: what is added to out next stays, and the next screen_draw draws below it. */
void screen_erase(struct screen *screen, const struct show_style *style, struct buf *out);

void screen_clear(struct screen *screen);
