#pragma once
/*
 * nvidia-smi by CSV, never by XML or its table (both change with every branch of the driver). The base query holds only
 * fields that every driver since R460 knows, because one unknown field fails the whole query; newer ones are asked for
 * in a second query, if `--help-query-gpu` lists them. Sources: nvidia-smi(1), NVML API Reference (nvmlReturn_t).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/gpu.h"

struct gpu_child;

enum gpu_smi_field {
	SMI_INDEX,
	SMI_ADDRESS,
	SMI_DEVICE_ID,
	SMI_NAME,
	SMI_UUID,
	SMI_DRIVER,
	SMI_MEMORY_TOTAL,
	SMI_MEMORY_USED,
	SMI_PERSISTENCE,
	SMI_PSTATE,
	SMI_TEMPERATURE,
	SMI_POWER_DRAW,
	SMI_POWER_LIMIT,
	SMI_UTILIZATION,
	SMI_COMPUTE_MODE,
	SMI_ECC_CURRENT,
	SMI_ECC_PENDING,
	SMI_ECC_VOLATILE,
	SMI_ECC_AGGREGATE,
	SMI_RETIRED_PENDING,
	SMI_MIG,
	SMI_PCIE_GEN,
	SMI_PCIE_GEN_MAX,
	SMI_PCIE_WIDTH,
	SMI_PCIE_WIDTH_MAX,
	SMI_THROTTLE,
	SMI_BASE_COUNT,
	SMI_COMPUTE_CAP = SMI_BASE_COUNT,
	SMI_REMAP_PENDING,
	SMI_REMAP_FAILURE,
	SMI_FABRIC_STATE,
	SMI_FABRIC_STATUS,
	SMI_RECOVERY,
	SMI_RESET_REQUIRED,
	SMI_SRAM_THRESHOLD,
	SMI_FIELD_COUNT
};

/** The fields as nvidia-smi names them. */
extern const char *const gpu_smi_names[SMI_FIELD_COUNT];

struct gpu_smi_row {
	const char *cells[SMI_FIELD_COUNT]; /* NULL: not asked for */
};

/** Most lines kept that are no rows: messages about single GPUs, warnings of the loader. */
#define GPU_SMI_MESSAGES_MAX 64

struct gpu_smi_answer {
	struct gpu_smi_row rows[GPU_MAX];
	size_t count;
	const char *messages[GPU_SMI_MESSAGES_MAX];
	size_t message_count;
};

/**
 * Reads the answer to a query of these columns, noheader and nounits. A line with another number of cells, or without
 * the form of a row in its first cell (index or address), is a message. Texts in the arena.
 */
void gpu_smi_parse(const char *text, size_t len, const enum gpu_smi_field *columns, size_t column_count,
		   struct arena *arena, struct gpu_smi_answer *ret_answer);

enum gpu_smi_cell { SMI_VALUE, SMI_ABSENT, SMI_FAULT };

/** NULL and "[N/A]" and its like are absent, "[Unknown Error]" and its like a fault. */
enum gpu_smi_cell gpu_smi_cell(const char *cell);

/** A whole decimal number (a fraction is cut off); false for anything else. */
bool gpu_smi_number(const char *cell, int64_t *ret_number);

/** "00000000:00:1E.0" as the kernel writes it, "0000:00:1e.0"; false if it is no PCI address. */
bool gpu_smi_address(const char *cell, char address[16]);

/** True if the text of `--help-query-gpu` lists the field, quoted. */
bool gpu_smi_knows(const char *help, const char *field);

/** The CUDA version in the text of `--version` ("CUDA Version", since R610 "CUDA UMD version"); false if none. */
bool gpu_smi_cuda_version(const char *text, char *version, size_t size);

/** The field that "Field "x" is not a valid field to query" names, or SMI_FIELD_COUNT. */
enum gpu_smi_field gpu_smi_refused(const char *text);

/** Compares dotted versions by their numbers: "580" is less than "580.65". */
int gpu_version_compare(const char *a, const char *b);

/** Findings from what nvidia-smi said beside its rows and how it ended; rows are what it gave nevertheless. */
void gpu_smi_judge_end(const struct gpu_child *child, const struct gpu_smi_answer *answer, struct gpu_report *r);

/** Findings from the rows. */
void gpu_smi_judge_rows(const struct gpu_smi_answer *answer, const struct gpu_want *want, struct gpu_report *r);

/** Adds min-driver and min-cuda if what is known is older than what is wanted. */
void gpu_smi_judge_versions(const struct gpu_want *want, struct gpu_report *r);

/** Finding of `nvlink -s` on a machine that lives by NVLink. */
void gpu_smi_judge_nvlink(const struct gpu_child *child, struct gpu_report *r);

/** True if there is a finding of that code already. */
bool gpu_has_finding(const struct gpu_report *r, const char *code);

/** What to do about hardware; the end of a sentence. */
#define GPU_SAY_REPLACE "stop and start the instance, or relaunch it (a reboot keeps the same hardware)"
#define GPU_SAY_REBOOT "reboot; if it returns, stop and start the instance, or relaunch it"
