#pragma once
/*
 * A run as a tree: each step below the one that it waits for, those that wait for the same one side by side. A chain
 * stands flat, so that a recipe without `needs` is a plain list.
 *
 *   ✓ Build tools  22.8 s  install git, make
 *   ⠧ ├─ Python 3.11  ━━━━────────────  26%  loading seaborn  28 s, 1 min 18 s left
 *   · │  JupyterLab  after Python 3.11
 *   ⠧ └─ R  setting up r-base-core (53 of 55)  26 s
 *   ⠧ Data (background)  41 of 63 GB, 480 MB/s, 46 s left  26 s
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/event.h"

struct buf;
struct show_style;

/** One line of a step, whatever its state: mark, lead (what stands before the name), name, what of it. */
void show_line(const struct run_view *view, size_t step, const char *lead, const struct show_style *style,
	       int64_t now_ms, unsigned frame, struct buf *out);

/** What a step that has not begun waits for: "after Build tools and R", "waits for R (both use packages)". */
void show_pending(const struct run_view *view, size_t step, struct buf *out);

/** True if the tree, a headline and the line of all fit into the style's rows. */
bool show_tree_fits(const struct run_view *view, const struct show_style *style);

/** All steps as a tree, one line each. */
void show_tree(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
	       struct buf *out);

/** What has not ended yet, in as many lines as there is room: those that run, then those to come. */
void show_unfinished(const struct run_view *view, const struct show_style *style, int64_t now_ms, unsigned frame,
		     struct buf *out);
