#pragma once
/*
 * How `sync` and `cp` say what they do: on a terminal one line that is drawn over and what failed; elsewhere a line for
 * each file as the AWS CLI has it; with --json one object a line. A summary at the end.
 */
#include <stdbool.h>
#include <stdint.h>

#include "aws/s3sync.h"
#include "report/show.h"

struct err;

struct s3_show {
	bool is_json, is_dry, is_quiet; /* quiet: stdout is the data */
	struct show_style style;	/* of stderr: the live line */
	bool is_listing;		/* a line for each file */
	bool is_out_tty, is_err_tty;	/* control characters are shown there, not sent */
	enum s3way way;
	const char *url,
		*local; /* "s3://b/p/" and "./data" as they were given; the former ends in '/' or is the bucket */
	int64_t began_ms, told_ms, told_bytes, bytes_per_s;
	bool is_drawn;
};

void s3_show_begin(struct s3_show *show);

/** The shapes of struct s3sync_options' callbacks; arg is the show. */
void s3_show_event(const struct s3sync_event *event, struct s3_show *show);
void s3_show_progress(const struct s3sync_counts *counts, struct s3_show *show);

/** Ends the live line and sums up. stop: why it ended early, NULL when it did not. */
void s3_show_end(struct s3_show *show, const struct s3sync_counts *counts, const struct err *stop);
