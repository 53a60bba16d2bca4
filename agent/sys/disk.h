#pragma once
/*
 * Disks as sysfs, the NVMe controller and blkid(8) know them. An EBS volume's name at attachment (/dev/sdf) and its id
 * are in the controller's identify data (amazon-ec2-utils, ebsnvme-id); numbers such as nvme1n1 change from boot to
 * boot. A disk is blank only if everything that could show otherwise has been looked at: see disk_check_blank.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/str.h"

struct err;
struct machine;

/** More are not looked at: EC2 attaches at most 128 volumes. */
#define DISKS_MAX 256

enum disk_kind { DISK_OTHER, DISK_EBS, DISK_INSTANCE_STORE, DISK_LOOP };

struct disk {
	const char *name;	 /* "nvme1n1" */
	const char *path;	 /* "/dev/nvme1n1", below root */
	const char *volume_id;	 /* "vol-0123…" or "" */
	const char *device_name; /* as asked for at attachment, without /dev/: "sdf"; "" if not known */
	enum disk_kind kind;
	int64_t size_bytes;
	dev_t dev;
	bool is_read_only;
	struct strs partitions; /* "nvme1n1p1"; empty: none. Array in the arena */
	struct strs holders;	/* "dm-0": LVM, RAID or encryption uses it */
};

struct disks {
	struct disk *items;
	size_t count;
};

/** What blkid(8) finds on a disk or partition; "" for what is not there. In the arena. */
struct disk_content {
	const char *type; /* "ext4", "LVM2_member", "linux_raid_member" */
	const char *uuid, *label;
	const char *table; /* "gpt", "dos" */
	bool is_ambiguous; /* several signatures: nothing is believed */
};

/** Disks with a size and a device node, sorted by name, in the machine's arena. */
CHECK_RESULT int disk_list(const struct machine *m, struct disks *ret_disks, struct err *err);

/** "/dev/nvme1n1 (vol-0123, 100 GB)", in the arena. */
const char *disk_text(const struct disk *disk, struct arena *arena);

/** True if name ("/dev/sdf", "sdf", "xvdf") means it: by attachment name, by its own, or by a udev link. */
bool disk_has_name(const struct machine *m, const struct disk *disk, const char *name);

/** path: "/dev/nvme1n1" or a partition of it, below root. */
CHECK_RESULT int disk_read_content(const struct machine *m, const char *path, struct disk_content *ret_content,
				   struct err *err);

/**
 * *ret_reason is NULL if the disk is provably blank, else why not ("it holds an ext4 file system"): read-only,
 * partitions, holders, mounted, swap, in use, any signature that blkid knows, first or last MiB not zero.
 */
CHECK_RESULT int disk_check_blank(const struct machine *m, const struct disk *disk, const char **ret_reason,
				  struct err *err);

/** The number of a device node below root. */
CHECK_RESULT int disk_number(const struct machine *m, const char *path, dev_t *ret_dev, struct err *err);

/** A path as commands on the machine need it. */
const char *disk_host_path(const struct machine *m, const char *path);

/** The vendor's part of the controller's identify data; *ret_* in the arena, "" if it is no EBS volume. */
#define DISK_IDENTIFY_SIZE 4096
void disk_parse_identify(const unsigned char data[DISK_IDENTIFY_SIZE], struct arena *arena,
			 const char **ret_device_name, const char **ret_volume_id);
