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
