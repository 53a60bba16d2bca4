#pragma once
/*
 * `dsagent doctor gpu`: the gate by hand, with everything it found.
 */
#include <stdbool.h>
#include <stdint.h>

#include "sys/gpu.h"

struct context;
struct err;
struct facts;
struct fs_root;

#define DOCTOR_GPU_TIMEOUT_MS (10LL * 60 * 1000)
/** A verdict fits a tag's value. */
#define DOCTOR_VERDICT_SIZE 257

struct doctor_gpu {
	int64_t timeout_ms, wait_ms;
	const char *torch;
	bool is_short; /* neither the CUDA probe nor torch */
};

/** The report's texts live in the context's arena. */
CHECK_RESULT int doctor_gpu_run(struct context *ctx, const struct doctor_gpu *how, const struct facts *facts,
				const struct fs_root *root, struct gpu_report *ret_report, struct err *err);

/** Prints it as a table, or JSON if the context says so; returns the exit code. */
int doctor_gpu_print(struct context *ctx, const struct gpu_report *r);
