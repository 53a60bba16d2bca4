#pragma once
/*
 * A child of the GPU gate. What asks a sick GPU may never come back from the kernel: such a child is killed at its
 * deadline, waited for 2 s more and then left behind (exec_spec.may_hang), so that the gate never takes longer than the
 * sum of its limits.
 */
#include "base/buf.h"
#include "sys/machine.h"

struct gpu_report;

/** Most output kept of one child: `nvidia-smi --help-query-gpu` is some 60 KB. */
#define GPU_CHILD_OUTPUT_MAX (256 * 1024)
/** Longest piece of evidence. */
#define GPU_EVIDENCE_MAX 300

enum gpu_child_end {
	GPU_CHILD_ENDED,   /* by itself: exit_code or signal */
	GPU_CHILD_HUNG,	   /* not within its limit */
	GPU_CHILD_MISSING, /* there is no such program, or it cannot be run; text says why */
};

struct gpu_child {
	enum gpu_child_end end;
	int exit_code; /* -1: ended by signal */
	int signal;
	bool was_left_behind; /* HUNG, and not even SIGKILL ended it */
	int64_t limit_ms;     /* how long it had: its limit, or what the step had left */
	struct buf text;      /* lines of both streams as they came */
};

/** Runs cmd: quiet, its limit mandatory. ERR_CANCELLED, ERR_TIMEOUT (the step's own time is over). */
CHECK_RESULT int gpu_child_run(const struct machine *m, const struct machine_command *cmd, struct gpu_child *ret_child,
			       struct err *err);
void gpu_child_clear(struct gpu_child *child);
#define AUTO_GPU_CHILD AUTO(gpu_child_clear)

/** Adds the finding gpu-hung: `name` did not answer within its limit. */
void gpu_child_add_hung(struct gpu_report *r, const struct gpu_child *child, const char *name);

/** The last line of text with something in it, as evidence: control bytes blanked, cut at GPU_EVIDENCE_MAX; "" if none.
 */
const char *gpu_child_last_line(const struct gpu_child *child, struct arena *arena);

/** The first line that holds `part`, the same way; NULL if none does. */
const char *gpu_child_line_with(const struct gpu_child *child, const char *part, struct arena *arena);

/** n bytes of one line as evidence. */
const char *gpu_child_evidence(const char *line, size_t n, struct arena *arena);
