#include "aws/s3_patience.h"

#define ANSWERS_MIN 16	 /* before there is an opinion */
#define MORE_MIN_MS 1000 /* than the mean */
/** Two requests in a hundred, and not more than 32 at once. */
#define ONE 100U
#define SHARE 2U
#define SPARE_FIRST (4 * ONE)
#define SPARE_MAX (32 * ONE)
#define DOUBLINGS_MAX 4U

void s3_patience_init(struct s3_patience *p) { *p = (struct s3_patience){.spare = SPARE_FIRST}; }

void s3_patience_answered(struct s3_patience *p, int64_t ms) {
	int64_t us = ms * 1000, off = us > p->mean_us ? us - p->mean_us : p->mean_us - us;

	if (p->answers == 0) {
		p->mean_us = us;
		p->deviation_us = us / 2;
	} else {
		p->deviation_us += (off - p->deviation_us) / 4;
		p->mean_us += (us - p->mean_us) / 8;
	}
	if (p->answers < ANSWERS_MIN) p->answers++;
	if (p->spare < SPARE_MAX) p->spare += SHARE;
}

int64_t s3_patience_ms(const struct s3_patience *p, unsigned hurried) {
	int64_t mean_ms = p->mean_us / 1000, more_ms = 4 * p->deviation_us / 1000;

	if (p->answers < ANSWERS_MIN || p->spare < ONE) return INT64_MAX;
	if (more_ms < mean_ms) more_ms = mean_ms;
	if (more_ms < MORE_MIN_MS) more_ms = MORE_MIN_MS;
	return (mean_ms + more_ms) << (hurried < DOUBLINGS_MAX ? hurried : DOUBLINGS_MAX);
}

void s3_patience_spend(struct s3_patience *p) { p->spare = p->spare > ONE ? p->spare - ONE : 0; }
