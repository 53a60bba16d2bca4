#include "engine/event.h"

const char *run_status_name(enum run_status status) {
	switch (status) {
	case RUN_RUNNING: return "running";
	case RUN_READY: return "ready";
	case RUN_READY_WITH_WARNINGS: return "ready-with-warnings";
	case RUN_FAILED: return "failed";
	case RUN_REBOOTING: return "rebooting";
	case RUN_INTERRUPTED: return "interrupted";
	}
	return "unknown";
}

const char *step_status_name(enum step_status status) {
	switch (status) {
	case STEP_PENDING: return "pending";
	case STEP_RUNNING: return "running";
	case STEP_OK: return "ok";
	case STEP_CHANGED: return "changed";
	case STEP_FAILED: return "failed";
	case STEP_WARNED: return "warned";
	case STEP_SKIPPED: return "skipped";
	}
	return "unknown";
}

const char *event_type_name(enum event_type type) {
	switch (type) {
	case EVENT_RUN_STARTED: return "run-started";
	case EVENT_STEP_STARTED: return "step-started";
	case EVENT_STEP_CHANGE: return "step-change";
	case EVENT_STEP_LINE: return "step-line";
	case EVENT_STEP_PROGRESS: return "step-progress";
	case EVENT_STEP_WAITING: return "step-waiting";
	case EVENT_STEP_RETRY: return "step-retry";
	case EVENT_STEP_ENDED: return "step-ended";
	case EVENT_WARNING: return "warning";
	case EVENT_RUN_READY: return "run-ready";
	case EVENT_RUN_ENDED: return "run-ended";
	}
	return "unknown";
}

/* Longest line before it is cut to the caller's size: two names, a text and numbers. */
#define LINE_MAX_BYTES 1024

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
	char doing[LINE_MAX_BYTES / 2] = "", others[32] = "";
	if (first->waiting_for[0])
		(void)snprintf(doing, sizeof doing, ": waiting %lld s for %s", (long long)(first->waiting_ms / 1000),
			       first->waiting_for);
	else if (first->text[0])
		(void)snprintf(doing, sizeof doing, ": %s", first->text);
	if (more) (void)snprintf(others, sizeof others, " (+%zu more)", more);
	(void)snprintf(text, size, " %s%s%s", first->name, doing, others);
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
