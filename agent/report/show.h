#pragma once
/*
 * The words of the reports: a run as lines of text, pure, for the terminal, the console and `status`. Text that comes
 * from commands is cleaned of control characters here, so that no output can play with the reader's terminal.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/event.h"

struct buf;

/** What is assumed of a terminal that does not say. */
#define SHOW_WIDTH_FALLBACK 79
#define SHOW_ROWS_FALLBACK 24

struct show_style {
	size_t width; /* columns; no line is wider. 0: any */
	bool is_utf8, has_color;
	bool is_terminal; /* lines may be drawn over */
	size_t rows;	  /* of the screen */
};

/**
 * What suits fd now: on a terminal its size, and colour unless NO_COLOR (no-color.org) is set; elsewhere any width. A
 * terminal of type "dumb" is none. UTF-8 by LC_ALL, LC_CTYPE, LANG (locale(7)).
 */
struct show_style show_style_of(int fd);

/** Adds text without escape sequences and control characters; tabs and line ends become spaces. */
void show_clean(const char *text, struct buf *out);

/** The longest prefix in bytes that takes at most columns on a terminal (East Asian wide characters take two). */
size_t show_fit(const char *text, size_t columns);
size_t show_columns(const char *text);

/** "38.2 s", "1 min 03 s". Returns text. */
#define SHOW_DURATION_SIZE 32
char *show_duration(int64_t ms, char text[SHOW_DURATION_SIZE]);
/** The same in whole seconds, for what is drawn again and again: "38 s". */
char *show_seconds(int64_t ms, char text[SHOW_DURATION_SIZE]);

/**
 * One line, without its end, of a running step: spinner, lead (rails of a tree, or ""), name, bar, what it does, time,
 * ETA. Where the width does not hold it all, the words are cut first, then the bar goes, then the name is cut.
 */
void show_running(const struct step_view *step, const char *lead, const struct show_style *style, int64_t now_ms,
		  unsigned frame, struct buf *out);

/** The line of all: "7/12 58%  3 min 02 s". */
void show_overall(const struct run_view *view, const struct show_style *style, int64_t now_ms, struct buf *out);

/** One line of a step in any state, as it stays on the screen: mark, lead, name, time, how it ended; pending: what it
 * waits for. */
void show_step(const struct step_view *step, const char *lead, const char *pending, const struct show_style *style,
	       int64_t now_ms, struct buf *out);

/** How a step ended or what it does, alone: "changed in 38.2 s: installed 61 wheels". */
void show_outcome(const struct step_view *step, struct buf *out);

/** How the run ended and what to do next: one or several lines with their ends. "" while it runs. */
void show_summary(const struct run_view *view, bool is_root, struct buf *out);

/** "[3/12] Python 3.11: " */
void show_label(const struct run_view *view, size_t step, struct buf *out);

/** True if fd is the systemd journal ($JOURNAL_STREAM, systemd.exec(5)). */
bool show_fd_is_journal(int fd);
