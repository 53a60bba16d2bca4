#pragma once
/*
 * Layer A's parts. Each reads files below the machine's root and adds findings; what one learns and another needs is in
 * struct gpu_scan. An unreadable file is like an absent one: the gate judges what it can see.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/gpu.h"
#include "sys/gpu_kmsg.h"
#include "sys/machine.h"

/** Size of a driver version as text, that of gpu_report.driver. */
#define GPU_VERSION_SIZE 32

struct gpu_scan {
	const struct machine *m;
	const struct gpu_want *want;
	struct gpu_report *r;
	const struct gpu_type *type; /* NULL: not in the table */
	struct gpu_kmsg *log;	     /* in the report's arena */
	size_t on_bus;		     /* GPUs, those past GPU_MAX counted too */
	size_t nvswitches, efas, neurons, amds;
	const char *foreign_driver;  /* owns a GPU instead of nvidia: "nouveau", "vfio-pci"; or NULL */
	const char *foreign_address; /* of that GPU */
	bool is_loaded;
	int64_t waited_ms; /* for the module and the fabric manager together */
	char kernel[72];
};

/* gpu_files_bus.c: checks 1 to 3. */

/** Instance type and PCI bus into the scan and the report; fails only when /sys cannot be listed. */
CHECK_RESULT int gpu_files_bus(struct gpu_scan *s, struct err *err);
/** The target of a link below the root, "" if path is none. */
void gpu_files_link(const struct fs_root *root, const char *path, char *target, size_t size);

/* gpu_files_module.c: checks 4 to 7. */

/** Waits up to want->wait_ms for the module unless nothing can load it; fills is_loaded. */
void gpu_files_await(struct gpu_scan *s);
/** Says who owns a GPU instead, or why the module is absent; 8 and 9 are causes then. */
void gpu_files_module(struct gpu_scan *s);
/** True at once or when is_there(s) within limit_ms and what is left of want->wait_ms; reports by machine_wait. */
bool gpu_files_wait(struct gpu_scan *s, bool (*is_there)(const struct gpu_scan *s), int64_t limit_ms, const char *what);
/** The words of the package manager at hand. */
bool gpu_files_has_apt(const struct gpu_scan *s);

/* gpu_files_driver.c: checks 10 and 11. */

/** The version in a text such as /proc/driver/nvidia/version: the first "580.105.08" or "595.80" after "Module". */
bool gpu_files_version(const char *text, char version[GPU_VERSION_SIZE]);
/** The loaded module's, into the report. */
void gpu_files_read_version(struct gpu_scan *s);
void gpu_files_driver(struct gpu_scan *s);

/* gpu_files_log.c: checks 8, 9, 12 and 13. */
void gpu_files_log(struct gpu_scan *s);
/** The newest event of that kind, preferring one that names a GPU; or NULL. */
const struct gpu_kmsg_event *gpu_files_event(const struct gpu_scan *s, enum gpu_kmsg_kind kind);
/** Adds drv-unsupported or drv-init if the log says so; false if it does not. */
bool gpu_files_add_init(struct gpu_scan *s);

/* gpu_files_fabric.c: checks 14 and 15. */
void gpu_files_fabric(struct gpu_scan *s);

/* gpu_files_env.c: check 16; gpu_files_host.c: checks 17 and 18. */
void gpu_files_env(struct gpu_scan *s);
void gpu_files_host(struct gpu_scan *s);

/* gpu_files_docker.c: checks 57 and 58, when Docker is installed. */
void gpu_files_docker(struct gpu_scan *s);
