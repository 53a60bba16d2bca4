#pragma once
/*
 * How long a request may be quiet before it is worth more to send it again on another connection: pure, the caller
 * brings the time. Of S3's answers a few in a thousand take seconds where the others take a tenth of one; asked again,
 * they come at once. The limit follows what the service does (mean and deviation of the time to the first byte, as TCP
 * sets its own), and a share of all requests bounds what is sent twice: a service that is slow as a whole is left in
 * peace.
 *
 * Sources: S3 User Guide, "Performance design patterns" ("Timeouts and retries for latency-sensitive applications");
 * RFC 6298, section 2.
 */
#include <stdbool.h>
#include <stdint.h>

struct s3_patience {
	int64_t mean_us, deviation_us; /* of the time to the first byte, smoothed */
	unsigned answers;	       /* seen, until they are enough */
	unsigned spare;		       /* requests that may be sent again, in hundredths */
};

void s3_patience_init(struct s3_patience *p);

/** An answer began so long after its request was sent. */
void s3_patience_answered(struct s3_patience *p, int64_t ms);

/**
 * Milliseconds that a request which was hurried so many times before may be quiet; INT64_MAX while too little is known,
 * or none may be sent again.
 */
int64_t s3_patience_ms(const struct s3_patience *p, unsigned hurried);

/** One is sent again. */
void s3_patience_spend(struct s3_patience *p);
