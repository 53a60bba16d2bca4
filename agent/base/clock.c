#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/parse.h"

int64_t clock_mono_ms(void) {
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail: the clock exists since Linux 2.6.39 */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_now_ms(void) {
	static int64_t pinned_s = -2; /* -2: DSAGENT_NOW not read yet, -1: not set */
	struct timespec ts = {0};

	if (pinned_s == -2) {
		const char *text = getenv("DSAGENT_NOW");
		struct err err;

		pinned_s = -1;
		if (text && parse_i64(text, 0, INT64_MAX / 1000, &pinned_s, &err) < 0) pinned_s = -1;
	}
	if (pinned_s >= 0) return pinned_s * 1000;
	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

char *clock_iso8601(int64_t epoch_ms, char text[CLOCK_ISO8601_SIZE]) {
	time_t seconds = (time_t)(epoch_ms / 1000 - (epoch_ms % 1000 < 0));
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || tm.tm_year + 1900 < 0 || tm.tm_year + 1900 > 9999 ||
	    !strftime(text, CLOCK_ISO8601_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)snprintf(text, CLOCK_ISO8601_SIZE, "?"); /* fits */
	return text;
}

void clock_sleep_ms(int64_t ms) {
	struct timespec ts;

	if (ms <= 0) return;
	ts.tv_sec = (time_t)(ms / 1000);
	ts.tv_nsec = (long)(ms % 1000) * 1000000;
	(void)nanosleep(&ts, NULL); /* early return by a signal is promised */
}

static uint64_t random_u64(void) {
	uint64_t value = 0;
	unsigned char *p = (unsigned char *)&value;
	size_t got = 0;

	while (got < sizeof value) {
		ssize_t n = getrandom(p + got, sizeof value - got, 0);

		if (n > 0)
			got += (size_t)n;
		else if (errno != EINTR)
			abort(); /* Linux without getrandom(2) is older than 3.17 */
	}
	return value;
}

uint64_t clock_random(uint64_t bound) {
	/* Values below the remainder of 2^64 / bound are drawn again, so that each result is equally likely. */
	uint64_t least = -bound % bound;
	uint64_t value;

	do value = random_u64();
	while (value < least);
	return value % bound;
}
