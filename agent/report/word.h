#pragma once
/*
 * What is told of a run to the outside, as one plain value without pointers, so that it can be shared with the process
 * that tells it. Free of secrets and control characters.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/event.h"

/** A tag's 256 characters of at most four bytes, and the NUL. */
#define WORD_TEXT_SIZE (256 * 4 + 1)

struct word {
	char run_id[64];
	enum run_status status;
	bool is_ready; /* as `ready` in status.json */
	bool is_final; /* nothing comes after it */
	int64_t started_at_ms, updated_at_ms, ready_at_ms, ended_at_ms;
	size_t done, total, warnings;
	int percent;
	char recipe[WORD_TEXT_SIZE], version[64], progress[WORD_TEXT_SIZE], error[WORD_TEXT_SIZE], gpu[WORD_TEXT_SIZE],
		bundle[WORD_TEXT_SIZE];
};

void word_fill(const struct run_view *view, struct word *ret_word);

/** True if something other than the time differs. */
bool word_differs(const struct word *a, const struct word *b);

/**
 * Shared memory between run and reporter: only the newest word counts, so there is no queue that could be full. The run
 * writes the slot that is not current and then makes it so; a run that is killed in between leaves the older one whole.
 */
struct word_board {
	atomic_uint version; /* 0: nothing yet; words[version % 2] is current */
	struct word words[2];
};

void word_put(struct word_board *board, const struct word *word);

/** False while nothing was put. */
bool word_get(const struct word_board *board, struct word *ret_word);
