#pragma once
/*
 * How fast bytes flow, from counts that come when they come: the plain mean at first, then weighted towards the last
 * quarter of a minute, so that a figure neither jumps with every piece nor praises what a link did an hour ago. Pure;
 * times are clock_mono_ms.
 */
#include <stdint.h>

struct meter {
	int64_t began_at_ms, at_ms, moved_at_ms; /* first count, last one taken in, last one that had grown */
	int64_t bytes;
	double per_ms;
};

/** Takes a count in; also the old one again, as time goes by. One that has shrunk begins anew: another file. */
void meter_add(struct meter *m, int64_t now_ms, int64_t bytes);

/** Bytes a second, 0 while too little was seen to say. */
int64_t meter_rate(const struct meter *m);

/** How long nothing has come; 0 for the pauses that every transfer has. */
int64_t meter_stalled_ms(const struct meter *m);
