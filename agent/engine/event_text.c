#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "engine/event.h"

/* Longest line before it is cut to the caller's size: two names, a text and numbers. */
#define LINE_MAX_BYTES 1024

int64_t step_view_left_ms(const struct step_view *step) {
	if (!step->is_bytes || step->total <= 0 || step->bytes_per_s <= 0 || step->stalled_ms > 0) return -1;
	int64_t left = step->done < step->total ? step->total - step->done : 0;
	return (int64_t)((double)left * 1000 / (double)step->bytes_per_s);
}

/* "41 of 63 GB, 480 MB/s, 46 s left"; "41 GB" where the end is not known. */
static const char *bytes_text(const struct step_view *step, struct arena *arena) {
	const char *text =
		step->total > 0 ? str_bytes_of(step->done, step->total, arena) : str_bytes_short(step->done, arena);
	int64_t left_ms = step_view_left_ms(step);
	if (step->stalled_ms > 0)
		return arena_printf(arena, "%s, nothing for %s", text, str_seconds(step->stalled_ms, arena));
	if (step->bytes_per_s > 0)
		text = arena_printf(arena, "%s, %s/s", text, str_bytes_short(step->bytes_per_s, arena));
	if (left_ms > 0) text = arena_printf(arena, "%s, %s left", text, str_seconds(left_ms + 999, arena));
	return text;
}

/* What it counts; "" for a text that counts by itself. */
static const char *count_text(const struct step_view *step, struct arena *arena) {
	if (step->is_bytes && (step->done > 0 || step->total > 0)) return bytes_text(step, arena);
	if (step->total <= 0 || strpbrk(step->text, "0123456789")) return "";
	return arena_printf(arena, "%" PRId64 " of %" PRId64, step->done, step->total);
}

char *step_view_doing(const struct step_view *step, char text[STEP_DOING_SIZE]) {
	AUTO_ARENA struct arena arena = {0};
	const char *count = count_text(step, &arena);
	if (step->waiting_for[0])
		(void)snprintf(text, STEP_DOING_SIZE, "waiting %" PRId64 " s for %s", step->waiting_ms / 1000,
			       step->waiting_for);
	else
		(void)snprintf(text, STEP_DOING_SIZE, "%s%s%s", step->text, step->text[0] && count[0] ? ", " : "",
			       count);
	return text;
}

/* What the running steps are doing: " Python 3.11: installing 14 of 61 wheels (+1 more)". */
static void running_text(const struct run_view *view, char *text, size_t size) {
	const struct step_view *first = NULL;
	size_t more = 0;
	for (size_t i = 0; i < view->count; i++) {
		if (view->steps[i].status != STEP_RUNNING) continue;
		if (!first)
			first = &view->steps[i];
		else
			more++;
	}
	if (!first) {
		(void)snprintf(text, size, "%s%s", view->status == RUN_RUNNING ? "" : " ",
			       view->status == RUN_RUNNING ? "" : run_status_name(view->status));
		return;
	}
	char doing[STEP_DOING_SIZE], others[32] = "";
	(void)step_view_doing(first, doing);
	if (more) (void)snprintf(others, sizeof others, " (+%zu more)", more);
	(void)snprintf(text, size, " %s%s%s%s", first->name, doing[0] ? ": " : "", doing, others);
}

/* The longest prefix of text that is at most max bytes and ends between two characters. */
static size_t prefix_bytes(const char *text, size_t max) {
	size_t n = strlen(text);
	if (n <= max) return n;
	for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--) {
	}
	return n;
}

char *run_view_progress(const struct run_view *view, char *text, size_t size) {
	char doing[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
	running_text(view, doing, sizeof doing);
	(void)snprintf(line, sizeof line, "%zu/%zu %d%%%s", view->done, view->total, view->percent, doing);
	size_t n = prefix_bytes(line, size - 1);
	memcpy(text, line, n);
	text[n] = '\0';
	return text;
}
