#include "engine/meter.h"

/* Counts that lie closer together are taken in as one. */
#define STEP_MS 200
/* How far back the rate looks. */
#define WINDOW_MS 15000
/* A rate from less than this jumps about. */
#define SEEN_MIN_MS 3000
/* A pause shorter than this is none. */
#define STALLED_MIN_MS 5000

void meter_add(struct meter *m, int64_t now_ms, int64_t bytes) {
	if (!m->at_ms || bytes < m->bytes || now_ms < m->at_ms) {
		*m = (struct meter){.began_at_ms = now_ms, .at_ms = now_ms, .moved_at_ms = now_ms, .bytes = bytes};
		return;
	}
	int64_t passed_ms = now_ms - m->at_ms, seen_ms = now_ms - m->began_at_ms;
	if (passed_ms < STEP_MS) return;
	double weight = (double)passed_ms / (double)(seen_ms < WINDOW_MS ? seen_ms : WINDOW_MS);
	if (weight > 1) weight = 1; /* nobody asked for longer than the window */
	m->per_ms += weight * ((double)(bytes - m->bytes) / (double)passed_ms - m->per_ms);
	if (bytes > m->bytes) m->moved_at_ms = now_ms;
	m->at_ms = now_ms;
	m->bytes = bytes;
}

int64_t meter_rate(const struct meter *m) {
	return m->at_ms - m->began_at_ms < SEEN_MIN_MS ? 0 : (int64_t)(m->per_ms * 1000);
}

int64_t meter_stalled_ms(const struct meter *m) {
	int64_t still_ms = m->at_ms - m->moved_at_ms;
	return still_ms < STALLED_MIN_MS ? 0 : still_ms;
}
