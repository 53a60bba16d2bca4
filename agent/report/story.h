#pragma once
/*
 * A run told afterwards: what it wrote of itself (events.jsonl, status.json) as plain structs for the terminal, the
 * page and --json. A run of 100,000 events is told as briefly as one of ten: everything is capped, and what was left
 * out is counted. Times are milliseconds since the run began, by a clock that is never set.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/event.h"

struct arena;
struct err;
struct fs_root;
struct js;

/** Kept of one step. */
#define STORY_STRETCHES_MAX 48
#define STORY_CHANGES_MAX 40
#define STORY_DIFF_BYTES_MAX 2048
/** Kept of the run. */
#define STORY_WARNINGS_MAX 20

enum story_doing { STORY_WAITING, STORY_FETCHING };

/** A time in which a step did something apart from its work. */
struct story_stretch {
	int64_t from_ms, to_ms;
	enum story_doing doing;
	const char *what; /* "the dpkg lock (unattended-upgr, pid 1719)", "downloading 12 of 31 packages" */
};

struct story_change {
	const char *what, *diff; /* diff NULL: none */
};

/** What the time of a step went into, apart from waits and fetching. */
enum story_kind { STORY_INSTALL, STORY_DOWNLOAD, STORY_S3, STORY_GPU, STORY_OTHER, STORY_KINDS };

struct story_step {
	const struct step_view *view;
	enum story_kind kind;
	bool has_run;
	int64_t from_ms, to_ms;
	int64_t waited_ms, fetched_ms;
	struct story_stretch *stretches; /* in order, never overlapping */
	size_t stretch_count, stretch_cap, stretches_left_out;
	struct story_change *changes;
	size_t change_count, change_cap, changes_left_out;
};

struct story {
	struct run_view view;	  /* as it is, or ended; of an older run only the steps that it had come to */
	struct story_step *steps; /* view.count of them */
	int64_t length_ms;	  /* from its begin to the last that is known of it */
	const char *warnings[STORY_WARNINGS_MAX];
	size_t warning_count, warnings_left_out;
	size_t events, damaged; /* lines read; those that were no event */
};

/**
 * Reads log_dir/events.jsonl line by line. status: status.json, of whichever run; it is heard where it is of this one.
 * Texts live in the arena. ERR_NOT_FOUND without such a run, ERR_STATE when the file tells of none.
 */
CHECK_RESULT int story_read(const struct fs_root *root, const char *log_dir, const struct js *status,
			    struct arena *arena, struct story *ret_story, struct err *err);

/** What a step did beside waiting and fetching. */
int64_t story_work_ms(const struct story_step *step);

/** "installs", "downloads", "S3", "GPU checks", "other work". */
const char *story_kind_name(enum story_kind kind);

/** Where the time went: of all steps together, so that steps side by side count each. */
struct story_sums {
	int64_t waited_ms, kinds_ms[STORY_KINDS]; /* fetching is in STORY_DOWNLOAD */
};
void story_sum(const struct story *story, struct story_sums *ret_sums);

/** Indices of the steps that ran, the longest first; into order, view.count long. Returns how many. */
size_t story_blame(const struct story *story, size_t *order);
