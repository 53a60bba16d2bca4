#pragma once
/*
 * The driver shuts a GPU down when its last user goes, and needs 1 to 3 s to bring it up again (NVIDIA, "Driver
 * Persistence"). A process of its own keeps every GPU open while the programs of the gate run, so that it comes up
 * once; whether it opens is a check too. What hangs in the kernel there is killed and left behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sys/gpu.h"

struct gpu_hold {
	int fd; /* to the process; it ends when this is closed. -1: nothing is held */
	pid_t pid;
	size_t count, heard;   /* of the nodes; of those whose open has ended */
	int errors[GPU_MAX];   /* errno of each that was heard of, 0: it is open */
	const char *prefix;    /* of the nodes: "/dev/nvidia" */
	int64_t started_at_ms; /* clock_mono_ms */
};
#define GPU_HOLD_INIT                                                                                                  \
	{ .fd = -1 }

/** Starts to open prefix0, prefix1, ... and returns at once; prefix is borrowed. What cannot be started is not held. */
void gpu_hold_start(struct gpu_hold *h, const char *prefix, size_t count);

/** Waits until all opens have ended, at most limit_ms. */
void gpu_hold_await(struct gpu_hold *h, int64_t limit_ms);

/** Findings from what was heard; gpu-hung for a node that was not heard of. */
void gpu_hold_judge(const struct gpu_hold *h, struct gpu_report *r);

/** Lets the GPUs go. */
void gpu_hold_end(struct gpu_hold *h);
#define AUTO_GPU_HOLD AUTO(gpu_hold_end)
