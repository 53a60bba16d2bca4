#pragma once
/*
 * The terminal report inside: a writer that never blocks for long, and the two ways to show a run on it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "engine/event.h"
#include "report/screen.h"
#include "report/show.h"

/** Last lines of output that a failed step shows. */
#define TERM_TAIL_LINES 10
/** Longest of them. */
#define TERM_TAIL_LINE_BYTES 400

/** What is kept for one step between events. */
struct term_step {
	char *tail[TERM_TAIL_LINES]; /* ring, oldest at tail_next */
	size_t tail_next;
	int64_t said_at_ms; /* clock_mono_ms of its last progress or wait line; 0: none */
	bool is_announced;  /* its start was said */
	bool is_printed;    /* its end stands above the live part */
	bool was_waiting;
};

struct term {
	struct sink sink;
	int fd;
	bool is_live, is_json, is_verbose, is_journal, is_root;
	bool is_dead;	 /* the reader has gone away */
	bool is_stuck;	 /* the reader does not read: what it misses is left out */
	size_t left_out; /* lines since then */
	struct show_style style;
	struct term_step *steps; /* view->count of them, made at the first event */
	size_t count;
	unsigned frame; /* of the spinner */
	struct screen screen;
	struct buf out;
};

void term_plain_event(struct term *term, const struct event *event, const struct run_view *view);
void term_plain_tick(struct term *term, const struct run_view *view);

void term_live_event(struct term *term, const struct event *event, const struct run_view *view);
void term_live_tick(struct term *term, const struct run_view *view);

/** Adds the kept output of a step, oldest line first, each cut to the width, then forgets it. */
void term_add_tail(struct term *term, size_t step);

/** The live part alone, fewer lines than style->rows: pure. */
void term_live_lines(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
		     struct buf *out);
