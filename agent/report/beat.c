#include "report/beat.h"

#include "base/err.h"
#include "io/retry.h"

/* Jitter on the interval, as its part: those that began together drift apart. */
#define JITTER_PART 5

int64_t beat_wait_ms(const struct beat *beat, bool is_urgent, int64_t now_ms) {
	if (beat->failures == 0 && is_urgent) return 0;
	return beat->due_at_ms > now_ms ? beat->due_at_ms - now_ms : 0;
}

void beat_end(struct beat *beat, const struct beat_policy *policy, int64_t now_ms) {
	if (beat->final_since_ms) return;
	beat->final_since_ms = now_ms;
	if (!beat->failures) return;
	/* It was refused already: the last word takes its place among those that wait, but no longer than they do. */
	if (beat->due_at_ms > now_ms + policy->backoff_cap_ms) beat->due_at_ms = now_ms + policy->backoff_cap_ms;
}

static int64_t interval_of(const struct beat *beat, const struct beat_policy *policy) {
	return beat->interval_ms ? beat->interval_ms : policy->interval_ms;
}

void beat_sent(struct beat *beat, const struct beat_policy *policy, int64_t now_ms, uint64_t random) {
	int64_t interval = interval_of(beat, policy);
	if (!beat->failures) interval -= interval / 4;
	if (interval < policy->interval_ms) interval = policy->interval_ms;
	beat->interval_ms = interval;
	beat->failures = 0;
	beat->due_at_ms = now_ms + interval + (int64_t)(random % (uint64_t)(interval / JITTER_PART + 1));
}

static int64_t budget_of(const struct beat_policy *policy, const struct err *err) {
	bool is_refused = err->code == ERR_REMOTE && policy->refused_budget_ms;
	return is_refused ? policy->refused_budget_ms : policy->final_budget_ms;
}

bool beat_failed(struct beat *beat, const struct beat_policy *policy, int64_t now_ms, uint64_t random,
		 const struct err *err) {
	struct retry_policy retry = {.base_ms = policy->backoff_base_ms, .cap_ms = policy->backoff_cap_ms};
	if (!beat->failures++) beat->failing_since_ms = now_ms;
	int64_t interval = 2 * interval_of(beat, policy);
	beat->interval_ms = interval > policy->interval_cap_ms ? policy->interval_cap_ms : interval;
	int64_t wait_ms = retry_wait_ms(&retry, beat->failures, now_ms - beat->failing_since_ms, 0, random, err);
	if (wait_ms == RETRY_STOP) return false;
	if (beat->final_since_ms && now_ms + wait_ms > beat->final_since_ms + budget_of(policy, err)) return false;
	beat->due_at_ms = now_ms + wait_ms;
	return true;
}
