#pragma once
/*
 * When to try again: pure arithmetic, no clock, no sleep. Exponential backoff with full jitter (AWS Architecture Blog,
 * "Exponential Backoff And Jitter") within a budget of time and attempts.
 */
#include <stdint.h>

struct err;

struct retry_policy {
	int64_t base_ms;   /* the first wait is at most this */
	int64_t cap_ms;	   /* no wait is longer */
	int64_t budget_ms; /* no wait ends later than this after the first attempt; 0: no limit of time */
	unsigned attempts; /* most attempts, the first included; 0: no limit of number */
};

/** One attempt. */
extern const struct retry_policy retry_once;

#define RETRY_STOP (-1)

/**
 * After attempt number `attempt` (1-based) failed with *err, elapsed_ms after the first began: the milliseconds to wait
 * before the next one, or RETRY_STOP (not retryable, or out of attempts or time). random is any 64-bit random number. A
 * server's own wish (Retry-After) goes in as hint_ms, 0 if none; it is a lower bound, itself bounded by cap_ms.
 */
int64_t retry_wait_ms(const struct retry_policy *policy, unsigned attempt, int64_t elapsed_ms, int64_t hint_ms,
		      uint64_t random, const struct err *err);
