#pragma once
/*
 * How many requests may be in flight: pure, the caller brings the time. Begins small; now and then tries twice as many
 * and keeps them only if they bring more; halves when the service refuses more than about one request in 16, then grows
 * by steps (AIMD). So a link, a service or a CPU that is full is not loaded further, and a single refusal, which S3
 * gives while it is well, costs nothing but its own retry.
 *
 * Source: S3 User Guide, "Performance guidelines" (503 Slow Down; parallel requests).
 */
#include <stdbool.h>
#include <stdint.h>

struct s3_pace {
	unsigned jobs, max;   /* of jobs asked for max is their number: they may be halved, and grow back */
	bool has_slowed;      /* was throttled once: grows by steps */
	bool was_full;	      /* a request had to wait for another's end in this window */
	int64_t window_at_ms; /* when it began */
	int64_t work;	      /* done in it: bytes, and a request counts as many as it costs */
	unsigned before;      /* jobs before the trial of more that is under way; 0: none is */
	int64_t before_rate;  /* work per second then */
	int64_t hold_until_ms, hold_ms;
	int64_t halved_at_ms;
	unsigned refused; /* raised by each refusal, lowered by each success */
};

/** jobs 0: adaptive up to max. */
void s3_pace_init(struct s3_pace *pace, unsigned jobs, unsigned max, int64_t now_ms);

void s3_pace_done(struct s3_pace *pace, int64_t bytes);	 /* a request ended well */
void s3_pace_full(struct s3_pace *pace);		 /* a request had to wait because all jobs were in use */
void s3_pace_slow(struct s3_pace *pace, int64_t now_ms); /* the service refused one, and asked to slow down */

/** Now and then: ends a window when its time is over. */
void s3_pace_turn(struct s3_pace *pace, int64_t now_ms);
