#pragma once
/*
 * The GPU gate: can a data scientist who logs in train? Layer A reads files and starts no process, layer B asks
 * nvidia-smi by CSV, layer C initialises CUDA and runs torch. Every child has a deadline and is left behind, reported,
 * when it hangs in the kernel. Each check has a code that never changes its meaning; what is judged, and from which
 * source, stands beside it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct err;
struct exec_user;
struct machine;

enum gpu_severity { GPU_INFO, GPU_WARN, GPU_FAIL };

/** What mends it: nothing to do, a command, a reboot, other hardware (stop and start, or relaunch). */
enum gpu_remedy { GPU_REMEDY_NONE, GPU_REMEDY_FIX, GPU_REMEDY_REBOOT, GPU_REMEDY_REPLACE };

struct gpu_finding {
	const char *code; /* "drv-mismatch", "xid-79": static or in the arena */
	enum gpu_severity severity;
	enum gpu_remedy remedy;
	const char *text;     /* one sentence for a person, with what to do */
	const char *evidence; /* the line or value it rests on; may be NULL */
};

#define GPU_MAX 32
#define GPU_FINDINGS_MAX 64

/** One GPU as PCI, then nvidia-smi, know it. */
struct gpu_device {
	char address[16];   /* "0000:00:1e.0" */
	unsigned device_id; /* PCI */
	char name[64];
	int64_t memory_mib; /* total as nvidia-smi says; 0: not known */
};

struct gpu_report {
	struct arena *arena;
	struct gpu_device devices[GPU_MAX];
	size_t count;
	size_t expected; /* by the instance type; SIZE_MAX: type unknown */
	char instance_type[40];
	char driver[32]; /* "580.105.08" */
	char cuda[16];	 /* "13.0": what the driver supports */
	char torch[32];	 /* "2.9.0", "" when none or not asked */
	bool has_neuron;
	struct gpu_finding findings[GPU_FINDINGS_MAX];
	size_t finding_count;
	int64_t files_ms, smi_ms, cuda_ms, torch_ms; /* cost of the layers */
};

/** What the recipe wants of the gate. */
struct gpu_want {
	bool is_required;		   /* no GPU is a failure, whatever the type */
	int64_t gpus;			   /* exact number; 0: what the type has */
	const char *min_driver, *min_cuda; /* "580", "12.8"; NULL: any */
	int64_t min_memory_bytes;	   /* of each GPU */
	bool wants_probe;		   /* layer C: the CUDA probe */
	const char *torch;		   /* NULL: not asked; "auto", or path of a python */
	const struct exec_user *user;	   /* runs torch; NULL: as we are */
	int64_t wait_ms;		   /* for the driver to appear */
};

/** Adds a finding; text by format. Past GPU_FINDINGS_MAX they are counted as one "more". */
void gpu_add(struct gpu_report *r, const char *code, enum gpu_severity severity, enum gpu_remedy remedy,
	     const char *evidence, const char *fmt, ...) FORMAT(6, 7);

/** Layer A. Waits up to want->wait_ms for the module if a GPU is on the bus; else reads only. */
CHECK_RESULT int gpu_check_files(const struct machine *m, const struct gpu_want *want, struct gpu_report *r,
				 struct err *err);

/** Layer B, after A. Skipped by the caller when there is no GPU or a finding of A makes it pointless (gpu_is_hopeless).
 */
CHECK_RESULT int gpu_check_smi(const struct machine *m, const struct gpu_want *want, struct gpu_report *r,
			       struct err *err);

/** Layer C. */
CHECK_RESULT int gpu_check_cuda(const struct machine *m, const struct gpu_want *want, struct gpu_report *r,
				struct err *err);
CHECK_RESULT int gpu_check_torch(const struct machine *m, const struct gpu_want *want, struct gpu_report *r,
				 struct err *err);

/** All layers that make sense, in order. */
CHECK_RESULT int gpu_check(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err);

/** True when a finding so far means that starting a GPU program can only fail or hang. */
bool gpu_is_hopeless(const struct gpu_report *r);

/** The worst severity found; GPU_INFO when all is well. */
enum gpu_severity gpu_severity(const struct gpu_report *r);

/** The tag's value: "ok 1x T4 driver 580.105.08 cuda 13.0", "fail drv-mismatch reboot", "none". Returns text. */
char *gpu_verdict(const struct gpu_report *r, char *text, size_t size);

/* The tables (sys/gpu_tables.c): data with source and date, checked for form by a test. */

struct gpu_type {
	const char *instance_type;
	unsigned gpus;
	const char *name; /* "T4" */
	unsigned device_id;
	int64_t memory_mib; /* per GPU, as the EC2 API has it */
	int64_t nvme_gb;    /* local instance store, 0 none */
	unsigned efa_max;
	bool has_nvswitch;
};
extern const struct gpu_type gpu_types[];
extern const size_t gpu_types_count;
const struct gpu_type *gpu_type_find(const char *instance_type);

/** Short name of a PCI device id ("A10G"), or NULL. */
const char *gpu_device_name(unsigned device_id);

struct gpu_xid {
	unsigned xid;
	enum gpu_severity severity;
	enum gpu_remedy remedy;
	const char *text;
};
const struct gpu_xid *gpu_xid_find(unsigned xid);

/** The highest CUDA a driver version supports ("13.0" for "580.105.08"), or NULL when it is not in the table. */
const char *gpu_cuda_for_driver(const char *driver);
