#pragma once
/*
 * What machine this is, from files alone: os-release(5), DMI, PCI, DLAMI markers. Decisions branch on ID and
 * VERSION_ID, never on PRETTY_NAME (AL2023 User Guide, "Identifying Amazon Linux").
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fs_root;

enum os_support { OS_SUPPORTED, OS_PREVIEW, OS_UNSUPPORTED, OS_UNKNOWN };

struct osinfo {
	char id[32], version[32], codename[32], pretty_name[128]; /* "ubuntu", "24.04", "noble"; "amzn", "2023", "" */
	char package_manager[8];				  /* "apt", "dnf", or "" for neither */
	enum os_support support;
	char arch[16]; /* "x86_64", "aarch64" */
	char kernel[72], hostname[72], boot_id[40];
	char login_user[40]; /* "ec2-user", "ubuntu", "admin": the image's, if it exists; else "" */
	int cpus;
	int64_t memory_bytes;
	bool is_ec2;	       /* by DMI or hypervisor uuid: metadata is worth asking for */
	bool is_dlami;	       /* /opt/aws/dlami, dlami-nvme.service or /opt/pytorch/bin/python */
	char dlami_flavor[16]; /* "pytorch", "neuron", "base"; "" off a DLAMI */
	int gpu_count;	       /* NVIDIA GPUs by PCI vendor 0x10de and class 0x0300/0x0302 */
	char gpu_model[32];    /* by PCI device id: "T4", "A10G", …; "10de:xxxx" when not in the table */
	bool has_neuron;       /* PCI vendor 0x1d0f accelerator */
	bool has_systemd;      /* /run/systemd/system exists */
};

CHECK_RESULT int osinfo_read(const struct fs_root *root, struct osinfo *ret_info, struct err *err);

/** "supported", "preview", "unsupported", "unknown". */
const char *osinfo_support_name(enum os_support support);
