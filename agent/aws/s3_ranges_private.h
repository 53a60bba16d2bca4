#pragma once
/* What s3_range.c (one range, from its request to the disk) and s3_ranges.c (all of an object) share. */
#include "aws/s3_get_private.h"
#include "aws/s3_journal.h"
#include "aws/s3_writer.h"

/** Ranges of one object in flight: enough for the link of any one object, few enough for neighbouring writes. */
#define S3_RANGE_SLOTS 16

struct s3_range {
	struct s3_request request;
	struct s3_ranges *ranges;
	size_t index;
	int64_t received; /* within the range */
	uint64_t crc;
	struct s3_piece *piece;
	unsigned writing; /* pieces */
	bool is_busy;	  /* has a range */
	bool is_received; /* all of it */
};

enum s3_next_step { S3_STEP_NONE, S3_STEP_WHOLE, S3_STEP_RESTART };

struct s3_ranges {
	struct s3_getting *g;
	struct s3_op op; /* of the requests: not known to struct s3 */
	struct s3_request head;
	struct s3_window window;
	struct s3_journal journal;
	bool has_journal;
	struct s3_range slots[S3_RANGE_SLOTS];
	int64_t counted;	/* in done_bytes */
	struct err err;		/* the first failure; then nothing new is begun */
	enum s3_next_step step; /* what to do instead of failing */
	struct s3_ranges *next; /* among those to be looked at */
	bool is_listed;
};

/** Readies a slot for the ranges of r. */
void s3_range_set_up(struct s3_ranges *r, struct s3_range *slot);
/** Asks for the next range that nobody has; nothing when there is none. */
void s3_range_begin(struct s3_ranges *r, struct s3_range *slot);

/** The loop looks at r when no callback is at work. */
void s3_ranges_look_later(struct s3_ranges *r);
void s3_ranges_fail(struct s3_ranges *r, enum s3_next_step step, const struct err *err);
