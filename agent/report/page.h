#pragma once
/*
 * The page's parts. Each section has a room of its own and ends with a line that says what it has left out, so that no
 * run makes the page larger than TOLD_PAGE_MAX.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/event.h"

struct buf;
struct told;

/** page.css, compiled in. */
extern const char page_css[];

/** Text of whatever origin into element content and attribute values: cleaned of controls, then escaped. */
void page_text(const char *text, struct buf *out);

/** The same for several lines: ends of lines stay. */
void page_lines(const char *text, struct buf *out);

/** Adds item to section unless that would make it longer than room; false: it was left out. */
bool page_fit(struct buf *section, const struct buf *item, size_t room);

/** "and 17 more …": nothing for 0. */
void page_left_out(size_t count, const char *what, struct buf *out);

/** Class of a step's mark, and the mark: "✓". */
const char *page_mark(const struct told *told, size_t step, const char **ret_class);

void page_timeline(const struct told *told, struct buf *out);
/** Steps that failed: those whose status is status, STEP_FAILED with what to do next, or STEP_WARNED. */
void page_errors(const struct told *told, enum step_status status, struct buf *out);
void page_sums(const struct told *told, struct buf *out);
void page_changes(const struct told *told, struct buf *out);
void page_installed(const struct told *told, struct buf *out);
