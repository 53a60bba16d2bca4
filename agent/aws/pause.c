#include "aws/pause.h"

#include "base/clock.h"
#include "base/err.h"

#define SLICE_MS 250 /* how late a cancel may be noticed */

int pause_ms(int64_t ms, bool (*is_cancelled)(void), const char *what, struct err *err) {
	for (;;) {
		int64_t slice = ms < SLICE_MS ? ms : SLICE_MS;

		if (is_cancelled && is_cancelled())
			return err_set(err, ERR_CANCELLED, "told to stop while waiting %s", what);
		if (ms <= 0) return 0;
		clock_sleep_ms(slice);
		ms -= slice;
	}
}
