#pragma once
/*
 * What the files of the `volume` step share: its parameters, what was found (volume_find.c), and the making of a file
 * system on a disk that is provably blank (volume_make.c).
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "recipe/step.h"
#include "sys/disk.h"
#include "sys/disk_mounts.h"

#define VOLUME_FSTAB "/etc/fstab"
#define VOLUME_FSTAB_BACKUP "/etc/fstab.before-dsagent"

/** uuid_parse(3)'s text, with the NUL. */
#define VOLUME_UUID_SIZE 37

enum volume_fstype { VOLUME_FS_ANY, VOLUME_FS_EXT4, VOLUME_FS_XFS };
enum volume_kind { VOLUME_KIND_ANY, VOLUME_KIND_EBS, VOLUME_KIND_INSTANCE_STORE };

struct volume_params {
	const char *mount, *device, *id, *label, *options, *owner, *group;
	bool is_blank, may_format;
	int kind, fstype; /* enum volume_kind, enum volume_fstype */
	mode_t mode;
	int64_t wait_ms;
};

struct volume {
	const struct volume_params *p;
	struct step_ctx *ctx;
	const struct disk *disk;     /* NULL: not attached */
	const char *path;	     /* of the disk, or of its partition; NULL: not attached */
	struct disk_content content; /* of path */
	dev_t dev;		     /* of path */
	const char *mount_path;	     /* as the kernel has it: below --root, with the root in front */
	struct mounts mounts;
	const char *fstab; /* its text, "" if there is none */
	bool has_fstab_entry;
	struct fstab_entry entry;
	const char *making_uuid; /* of a file system that an interrupted run began to make; NULL: none */
	const char *making_disk; /* on this volume; NULL: on a disk without an id */
};

/** Reads fstab, mounts and disks and finds the volume; none is no error. ERR_STATE, ERR_INVALID with the remedy. */
CHECK_RESULT int volume_find(const struct volume_params *p, struct step_ctx *ctx, struct volume *ret_volume,
			     struct err *err);

/** "volume vol-0123", "device /dev/sdf", "file system labelled data", "blank disk". */
const char *volume_wanted_text(const struct volume_params *p, struct arena *arena);

/** "xfs", "ext4": what is to be made. */
const char *volume_new_type(const struct volume_params *p);

/** ERR_STATE unless a file system may be made on it: says why not, and what to do. */
CHECK_RESULT int volume_may_make(struct volume *v, struct err *err);

/** Makes it, after looking again. The volume's content is read anew. */
CHECK_RESULT int volume_make(struct volume *v, struct err *err);

/** Reads what an interrupted run noted: making_uuid, making_disk. */
void volume_read_making(struct volume *v);
/** Nothing is unfinished any more. */
CHECK_RESULT int volume_end_making(struct volume *v, struct err *err);
