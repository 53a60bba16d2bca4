#pragma once
/*
 * The one time seam. The wall clock can be pinned for tests and golden output by DSAGENT_NOW (epoch seconds), read
 * once.
 */
#include <stdint.h>

/** Milliseconds of CLOCK_BOOTTIME: for deadlines and durations (goes on while the machine is suspended). */
int64_t clock_mono_ms(void);

/** Wall clock, milliseconds since the epoch, UTC. */
int64_t clock_now_ms(void);

/** Size of clock_iso8601's text, the NUL included. */
#define CLOCK_ISO8601_SIZE 32

/** "2026-11-20T13:00:00Z" for epoch milliseconds; returns text. */
char *clock_iso8601(int64_t epoch_ms, char text[CLOCK_ISO8601_SIZE]);

/** Sleeps; returns early only by a signal. */
void clock_sleep_ms(int64_t ms);

/** A uniform random number in [0, bound), from getrandom(2); bound > 0. For jitter and run ids. */
uint64_t clock_random(uint64_t bound);
