#pragma once
/*
 * What happens in a run, as the reports see it: an event and, beside it, the whole state of the run as it is after that
 * event. Texts are free of secrets by then. Sinks are told in order, on the supervisor's thread, and must not block.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan;

enum run_status { RUN_RUNNING, RUN_READY, RUN_READY_WITH_WARNINGS, RUN_FAILED, RUN_REBOOTING, RUN_INTERRUPTED };

enum step_status {
	STEP_PENDING,
	STEP_RUNNING,
	STEP_OK,      /* was in place */
	STEP_CHANGED, /* is now */
	STEP_FAILED,
	STEP_WARNED,  /* failed, but optional */
	STEP_SKIPPED, /* `when`, --only, or a step it needs failed */
};

struct step_view {
	const char *id, *name, *type;
	bool is_background;
	const size_t *needs; /* indices of the steps that must have ended before it starts */
	size_t needs_count;
	size_t held_by; /* of one whose needs have ended: 1 + the running step that has what it must have; else 0 */
	enum step_status status;
	char text[256];			    /* what it is doing or why it ended so: "installing 14 of 61 wheels" */
	int64_t done, total;		    /* of its own unit; total 0: unknown */
	bool is_bytes;			    /* they are bytes, and flow at: */
	int64_t bytes_per_s;		    /* of late; 0: not known yet */
	int64_t stalled_ms;		    /* since the last of them came; 0: they flow */
	char waiting_for[160];		    /* "the dpkg lock (unattended-upgr, pid 1719)"; "" when it is not waiting */
	int64_t waiting_ms;		    /* of this wait so far */
	int64_t waited_ms;		    /* all waits of the step */
	int64_t started_at_ms, ended_at_ms; /* wall clock; 0: not yet */
	unsigned attempt;		    /* 1-based */
	size_t changes;			    /* how many things it found to do */
	char error[512];		    /* "" unless failed */
	char log_path[256];		    /* of its step log */
};

/** Times are those of the wall clock as it is now: when it is set, they are all set with it. */
struct run_view {
	const char *run_id; /* "20261120-130501-3f9a" */
	const char *recipe; /* "daily-driver@3f9a1c2e" */
	const char *version;
	enum run_status status;
	bool has_gone_ready; /* ready was said; background steps may still run */
	int64_t started_at_ms, updated_at_ms, ready_at_ms, ended_at_ms;
	struct step_view *steps;
	size_t count;
	size_t done, total; /* steps ended / to run, skipped by `when` left out */
	int percent;	    /* 0..100 over all steps, with the running steps' own progress */
	char error[600];    /* "step 7 'R' failed: …", of the first failure; "" while there is none */
	size_t warnings;
	char gpu[257];	      /* the gate's verdict; "" while there is none */
	const char *question; /* what the terminal is asked just now, or NULL */
};

enum event_type {
	EVENT_RUN_STARTED,
	EVENT_STEP_STARTED,
	EVENT_STEP_CHANGE,   /* the probe found something missing: text, diff */
	EVENT_STEP_LINE,     /* a line of output: text */
	EVENT_STEP_PROGRESS, /* text, done and total in the view */
	EVENT_STEP_WAITING,  /* waiting_for and waiting_ms in the view */
	EVENT_STEP_RETRY,    /* text: why, and in how many seconds */
	EVENT_STEP_ENDED,
	EVENT_WARNING,	 /* text; step may be SIZE_MAX */
	EVENT_RUN_READY, /* all but background steps have ended well */
	EVENT_RUN_ENDED,
};

struct event {
	enum event_type type;
	int64_t at_ms;		 /* wall clock */
	int64_t since_ms;	 /* since the run began, by a clock that is never set */
	size_t step;		 /* index, or SIZE_MAX for the run as a whole */
	const char *text, *diff; /* may be NULL */
};

/** A report. The concrete ones embed this as their first member. */
struct sink {
	void (*event)(struct sink *sink, const struct event *event, const struct run_view *view);
	/** Called about every tick_ms while running, for what moves by itself (live lines, rates). May be NULL. */
	void (*tick)(struct sink *sink, const struct run_view *view);
	int64_t tick_ms;
	/** Frees it, after the last event. */
	void (*close)(struct sink *sink);
};

/** "running", "ready-with-warnings", …: the words of tags and status.json. */
const char *run_status_name(enum run_status status);
/** "pending", "running", "ok", "changed", "failed", "warned", "skipped". */
const char *step_status_name(enum step_status status);
/** "step-ended", …: the words of events.jsonl. */
const char *event_type_name(enum event_type type);

/**
 * What a running step is doing, in the words of all reports: "waiting 143 s for the dpkg lock (…)", "installing 14 of
 * 61 wheels", "41 of 63 GB, 480 MB/s, 46 s left"; "" when it has not said. Returns text.
 */
#define STEP_DOING_SIZE 512
char *step_view_doing(const struct step_view *step, char text[STEP_DOING_SIZE]);

/** How much longer by the rate of late; -1: nobody can say. Of steps that count bytes only. */
int64_t step_view_left_ms(const struct step_view *step);

/**
 * One line that says where the run is, as the progress tag has it: "7/12 58% Python 3.11: installing 14 of 61 wheels".
 * Returns text, cut at a character boundary.
 */
char *run_view_progress(const struct run_view *view, char *text, size_t size);
