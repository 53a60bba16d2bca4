#pragma once
/*
 * All that `report` tells, and its three forms: lines for a terminal, JSON, one page of HTML.
 */
#include <stdbool.h>

#include "report/boot_times.h"
#include "report/story.h"

struct buf;
struct fs_root;
struct js;
struct show_style;

struct told {
	struct story story;
	struct boot_times boot;
	bool has_boot;		    /* the run was in this boot, and soon enough to belong to one picture */
	const struct js *manifest;  /* manifest.json, or NULL */
	const char *machine;	    /* "i-0a1b2c3d g5.xlarge in us-east-1a", or the host's name */
	const struct fs_root *root; /* for the ends of logs */
	bool is_system;		    /* for what to type next: sudo */
};

/** "ready 4 min 12 s after launch", "ready in 2 min 41 s", "failed after 38.2 s". */
void told_headline(const struct told *told, struct buf *out);

/** Wall-clock begin of the picture, and its length: from launch (or boot, or the run's begin) to the run's end. */
int64_t told_zero_ms(const struct told *told);
int64_t told_length_ms(const struct told *told);

/** Where a time of the run lies in the picture. */
int64_t told_at_ms(const struct told *told, int64_t since_ms);

/** "waited 43.0 s for the dpkg lock (…), fetched for 12.0 s"; "" for a step that did neither. */
void told_apart(const struct story_step *step, struct buf *out);

void told_print(const struct told *told, const struct show_style *style, struct buf *out);

struct js *told_js(const struct told *told);

/** Whatever the run: what does not fit is counted, not shown. */
#define TOLD_PAGE_MAX (200 * 1000)
void told_page(const struct told *told, struct buf *out);
