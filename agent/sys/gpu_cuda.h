#pragma once
/*
 * CUDA's errors as the driver numbers them (CUDA Driver API, CUresult) and as PyTorch words them (c10/cuda): what each
 * means on EC2 and what mends it.
 */
#include "sys/gpu.h"

struct gpu_child;

struct gpu_cuda_error {
	int number;	  /* 0: known by its text alone */
	const char *part; /* of PyTorch's message; NULL: known by its number alone */
	enum gpu_remedy remedy;
	const char *text;
};

/** NULL when it is not in the table. */
const struct gpu_cuda_error *gpu_cuda_error_by_number(int number);

/** The first error whose words are in text, or "Error 802" and its like; NULL when none is. */
const struct gpu_cuda_error *gpu_cuda_error_by_text(const char *text);

/** Findings and r->cuda from the output of the CUDA probe. */
void gpu_cuda_judge(const struct gpu_child *child, struct gpu_report *r);

/** Findings and r->torch from the output of the torch probe; python is what ran it, is_auto: nobody asked for it. */
void gpu_torch_judge(const struct gpu_child *child, const char *python, bool is_auto, struct gpu_report *r);
