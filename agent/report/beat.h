#pragma once
/*
 * When a report is sent: pure arithmetic on given times, so that a thousand agents over twenty minutes can be simulated
 * in a second (tests/fleet). A change of state goes at once, other changes at most once in an interval, with jitter.
 * A limit that is shared (EC2's tags: 100 calls and 10 a second for a whole account and region) must leave room for the
 * states of others: each refusal doubles the interval for mere progress, each success takes a quarter off again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;

struct beat_policy {
	int64_t interval_ms;			 /* between changes that are not urgent, while all goes well */
	int64_t interval_cap_ms;		 /* and when calls are refused */
	int64_t backoff_base_ms, backoff_cap_ms; /* between failed attempts, with full jitter */
	int64_t final_budget_ms;		 /* how long the last state is tried again */
	int64_t refused_budget_ms;		 /* and when it is answered, but refused for now: 0: the same */
};

/** All-zero is the beginning. Times are those of one monotonic clock. */
struct beat {
	int64_t due_at_ms;
	int64_t interval_ms;			  /* 0: the policy's */
	int64_t failing_since_ms, final_since_ms; /* 0: not yet */
	unsigned failures;			  /* in a row */
};

/** How long to wait before the next attempt; 0: now. */
int64_t beat_wait_ms(const struct beat *beat, bool is_urgent, int64_t now_ms);

/** What follows is the last state; from the first such call on it has its budget. */
void beat_end(struct beat *beat, const struct beat_policy *policy, int64_t now_ms);

/** It arrived. random is any 64-bit random number, here and below. */
void beat_sent(struct beat *beat, const struct beat_policy *policy, int64_t now_ms, uint64_t random);

/** It failed with err. False: there is no further attempt. */
bool beat_failed(struct beat *beat, const struct beat_policy *policy, int64_t now_ms, uint64_t random,
		 const struct err *err);

/**
 * For EC2's CreateTags, as tests/fleet has tried it: a thousand instances that end in the same second are all heard
 * through 10 calls a second; where nobody answers at all, five minutes are enough.
 */
#define BEAT_POLICY_TAGS                                                                                               \
	{                                                                                                              \
		.interval_ms = 15000, .interval_cap_ms = 600000, .backoff_base_ms = 1000, .backoff_cap_ms = 12000,     \
		.final_budget_ms = 300000, .refused_budget_ms = 1200000                                                \
	}
