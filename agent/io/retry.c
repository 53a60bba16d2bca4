#include "io/retry.h"

#include "base/err.h"

const struct retry_policy retry_once = {.attempts = 1};

/** The most that the wait after this attempt may be: base doubled each time, up to the cap. */
static int64_t ceiling_ms(const struct retry_policy *policy, unsigned attempt) {
	int64_t ceiling = policy->base_ms;

	for (unsigned i = 1; i < attempt && ceiling < policy->cap_ms; i++)
		ceiling = ceiling > policy->cap_ms / 2 ? policy->cap_ms : ceiling * 2;
	return ceiling < policy->cap_ms ? ceiling : policy->cap_ms;
}

int64_t retry_wait_ms(const struct retry_policy *policy, unsigned attempt, int64_t elapsed_ms, int64_t hint_ms,
		      uint64_t random, const struct err *err) {
	int64_t ceiling = ceiling_ms(policy, attempt), wait = 0;

	if (!err->is_retryable) return RETRY_STOP;
	if (policy->attempts > 0 && attempt >= policy->attempts) return RETRY_STOP;
	if (ceiling > 0) wait = (int64_t)(random % ((uint64_t)ceiling + 1));
	if (hint_ms > policy->cap_ms) hint_ms = policy->cap_ms;
	if (wait < hint_ms) wait = hint_ms;
	if (policy->budget_ms > 0 && elapsed_ms > policy->budget_ms - wait) return RETRY_STOP;
	return wait;
}
