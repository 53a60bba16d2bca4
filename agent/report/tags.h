#pragma once
/*
 * The parts of the tag report: what the tags are to say (pure), the message to the sender's process, that process.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/event.h"
#include "report/report.h"

enum tag_name {
	TAG_STATUS,
	TAG_PROGRESS,
	TAG_ERROR,
	TAG_RECIPE,
	TAG_UPDATED_AT,
	TAG_READY_AT,
	TAG_VERSION,
	TAG_GPU, /* only once there is a verdict */
	TAG_COUNT,
};

/** "dsagent:status", … */
extern const char *const tag_keys[TAG_COUNT];

/** EC2_TAG_VALUE_MAX characters of at most four bytes, and the NUL. */
#define TAG_VALUE_SIZE (256 * 4 + 1)

/** All that the tags are to say at one moment. */
struct tag_set {
	char run_id[64];
	bool is_final;
	char values[TAG_COUNT][TAG_VALUE_SIZE];
};

void tag_set_fill(const struct run_view *view, struct tag_set *ret_set);

/** True if something other than the time differs. */
bool tag_set_differs(const struct tag_set *a, const struct tag_set *b);

/**
 * Shared memory between run and sender: only the newest state counts, so there is no queue that could be full. The run
 * writes the slot that is not current and then makes it so; a run that is killed in between leaves the older one whole.
 */
struct tag_board {
	atomic_uint version; /* 0: nothing yet; sets[version % 2] is current */
	struct tag_set sets[2];
};

void tag_board_put(struct tag_board *board, const struct tag_set *set);

/** False while nothing was put. */
bool tag_board_get(const struct tag_board *board, struct tag_set *ret_set);

/** Longest warning that comes back from the sender. */
#define TAG_WARNING_MAX 2048

/**
 * The sender's process: woken by messages on the SOCK_SEQPACKET fd, sends what the board says, writes at most one
 * warning back; returns when the final state is sent or given up.
 */
void tags_send_all(int fd, const struct tag_board *board, const struct report_tags_conf *conf);
