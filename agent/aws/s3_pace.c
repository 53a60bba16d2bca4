#include "aws/s3_pace.h"

#define JOBS_FIRST 16
#define JOBS_LEAST 2
#define WINDOW_MS 250
/** A 503 storm is one event: what was in flight when the jobs were halved does not halve them again. */
#define HALVE_AGAIN_MS 1000
/** After that it grows by one, and one more for so many, in each window. */
#define STEP 8
/** Two refusals among so many successes are too much. */
#define REFUSAL 16
/** What a request costs beside its bytes: a small object takes about as long as 64 KiB of a large one. */
#define REQUEST_WORK (64 * 1024)
/** Twice the requests in flight bring twice as much while latency is the limit; this little says that it is not. */
#define GAIN_PERCENT 25
/** Until the next trial after one that brought nothing; doubled each time. */
#define HOLD_MS 2000
#define HOLD_MAX_MS 60000

void s3_pace_init(struct s3_pace *pace, unsigned jobs, unsigned max, int64_t now_ms) {
	unsigned first = max < JOBS_FIRST ? max : JOBS_FIRST;

	*pace = (struct s3_pace){
		.jobs = first, .max = max, .window_at_ms = now_ms, .halved_at_ms = INT64_MIN / 2, .hold_ms = HOLD_MS};
	if (jobs == 0) return;
	pace->jobs = pace->max = jobs < max ? jobs : max;
}

void s3_pace_done(struct s3_pace *pace, int64_t bytes) {
	pace->work += bytes + REQUEST_WORK;
	if (pace->refused > 0) pace->refused--;
}

void s3_pace_full(struct s3_pace *pace) { pace->was_full = true; }

void s3_pace_slow(struct s3_pace *pace, int64_t now_ms) {
	if (now_ms - pace->halved_at_ms < HALVE_AGAIN_MS) return;
	pace->refused += REFUSAL;
	if (pace->refused <= REFUSAL) return;
	pace->refused = 0;
	pace->halved_at_ms = now_ms;
	pace->has_slowed = true;
	pace->before = 0;
	pace->jobs = pace->jobs / 2 > JOBS_LEAST ? pace->jobs / 2 : JOBS_LEAST;
	if (pace->jobs > pace->max) pace->jobs = pace->max;
}

static void try_more(struct s3_pace *pace, int64_t rate) {
	unsigned jobs = pace->has_slowed ? pace->jobs + 1 + pace->jobs / STEP : pace->jobs * 2;

	if (jobs > pace->max) jobs = pace->max;
	if (jobs == pace->jobs) return;
	pace->before = pace->has_slowed ? 0 : pace->jobs; /* so little more shows in no rate */
	pace->before_rate = rate;
	pace->jobs = jobs;
}

static void end_window(struct s3_pace *pace, int64_t rate, int64_t now_ms) {
	bool has_gained = rate * 100 >= pace->before_rate * (100 + GAIN_PERCENT);

	if (pace->before && !has_gained) {
		pace->jobs = pace->before;
		pace->hold_until_ms = now_ms + pace->hold_ms;
		pace->hold_ms = pace->hold_ms * 2 < HOLD_MAX_MS ? pace->hold_ms * 2 : HOLD_MAX_MS;
	} else if (now_ms >= pace->hold_until_ms) {
		try_more(pace, rate);
		return;
	}
	pace->before = 0;
}

void s3_pace_turn(struct s3_pace *pace, int64_t now_ms) {
	int64_t elapsed_ms = now_ms - pace->window_at_ms;

	if (elapsed_ms < WINDOW_MS) return;
	if (pace->was_full) end_window(pace, pace->work * 1000 / elapsed_ms, now_ms);
	pace->window_at_ms = now_ms;
	pace->work = 0;
	pace->was_full = false;
}
