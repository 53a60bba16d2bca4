#pragma once
/*
 * What is remembered between runs (state.json): per step its content hash, how it ended, on which instance and boot.
 * Written atomically before a step changes anything ("running") and after it ended; only "ok" with the same hash
 * counts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fs_root;
struct state;
struct plan_step;

/** Who and where: what frequencies compare against. */
struct state_machine {
	const char *instance_id, *boot_id;
};

/** Reads dir/state.json. A missing file is an empty state; a damaged one is kept aside as state.json.damaged,
 * *ret_was_damaged set, and the state empty. ERR_IO when it cannot be read. */
CHECK_RESULT int state_open(const struct fs_root *root, const char *dir, const struct state_machine *machine,
			    struct state **ret_state, bool *ret_was_damaged, struct err *err);
void state_free(struct state *state); /* NULL is fine */

/** True if the step's content is recorded as done within its frequency. */
bool state_is_done(const struct state *state, const char *recipe, const struct plan_step *step);

/** True if it was tried on this instance last and did not end well. */
bool state_has_failed(const struct state *state, const char *recipe, const struct plan_step *step);

/**
 * How often the machine was rebooted for the recipe of this hash since it was last ready; recording one more, durable
 * when it returns; and forgetting them (nothing is written when there are none).
 */
int64_t state_reboots(const struct state *state, const char *recipe_hash);
CHECK_RESULT int state_note_reboot(struct state *state, const char *recipe_hash, const char *cause, struct err *err);
CHECK_RESULT int state_forget_reboots(struct state *state, struct err *err);

enum state_mark { STATE_RUNNING, STATE_OK, STATE_FAILED };

/** Records and writes durably before it returns. Writes nothing when nothing would change. */
CHECK_RESULT int state_mark(struct state *state, const char *recipe, const struct plan_step *step, enum state_mark mark,
			    struct err *err);
