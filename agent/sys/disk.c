/*
 * References: amazon-ec2-utils, ebsnvme-id (vendor data of EBS volumes); NVM Express Base Specification, "Identify
 * Controller data structure"; EC2 User Guide, "Device names on Linux instances".
 */
#include "sys/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "sys/machine.h"

#define SYS_BLOCK "/sys/block"
#define SECTOR 512
/* Identify: opcode 06h, the controller's own structure by CNS 01h. */
#define NVME_IDENTIFY 0x06
#define NVME_CNS_CONTROLLER 1
#define AMAZON_VENDOR 0x1d0f
#define MODEL_OFFSET 24
#define MODEL_SIZE 40
#define SERIAL_OFFSET 4
#define SERIAL_SIZE 20
#define DEVICE_NAME_OFFSET 3072
#define DEVICE_NAME_SIZE 32

static const char ebs_model[] = "Amazon Elastic Block Store";
static const char store_model[] = "Amazon EC2 NVMe Instance Storage";

/* Fixed-width field, padded with blanks or NULs. */
static const char *padded(const unsigned char *field, size_t size, struct arena *arena) {
	return str_trim(arena_dup(arena, field, size));
}

static const char *without_dev(const char *name) { return str_starts(name, "/dev/") ? name + strlen("/dev/") : name; }

/* "vol0123…", as serial numbers have it, is vol-0123…. */
static const char *volume_id(const char *serial, struct arena *arena) {
	if (!str_starts(serial, "vol")) return "";
	return serial[3] == '-' ? serial : arena_printf(arena, "vol-%s", serial + 3);
}

void disk_parse_identify(const unsigned char data[DISK_IDENTIFY_SIZE], struct arena *arena,
			 const char **ret_device_name, const char **ret_volume_id) {
	*ret_device_name = *ret_volume_id = "";
	if ((data[0] | data[1] << 8) != AMAZON_VENDOR ||
	    !str_eq(padded(data + MODEL_OFFSET, MODEL_SIZE, arena), ebs_model))
		return;
	*ret_device_name = without_dev(padded(data + DEVICE_NAME_OFFSET, DEVICE_NAME_SIZE, arena));
	*ret_volume_id = volume_id(padded(data + SERIAL_OFFSET, SERIAL_SIZE, arena), arena);
}

static void identify(const struct machine *m, struct disk *d) {
	AUTO_CLOSE int fd = -1;
	struct err ignored = {0}; /* not for us to ask: sysfs and udev's links have to do */
	const char *name, *id;
	unsigned char *data = arena_alloc(m->arena, DISK_IDENTIFY_SIZE);
	if (!str_starts(d->name, "nvme") || fs_open(m->root, d->path, O_RDONLY | O_NONBLOCK, 0, &fd, &ignored)) return;
	struct nvme_admin_cmd cmd = {.opcode = NVME_IDENTIFY,
				     .addr = (uintptr_t)data,
				     .data_len = DISK_IDENTIFY_SIZE,
				     .cdw10 = NVME_CNS_CONTROLLER};
	if (ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd) != 0) return;
	disk_parse_identify(data, m->arena, &name, &id);
	d->device_name = name;
	if (id[0]) d->volume_id = id;
}

static void read_attribute(const struct machine *m, const char *disk, const char *name, char *text, size_t size) {
	fs_read_line(m->root, arena_printf(m->arena, SYS_BLOCK "/%s/%s", disk, name), text, size);
}

int disk_number(const struct machine *m, const char *path, dev_t *ret_dev, struct err *err) {
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc = fs_open(m->root, path, O_PATH, 0, &fd, err);
	if (rc) return rc;
	if (fstat(fd, &st) < 0) return err_set_errno(err, errno, "cannot look at %s", path);
	if (!S_ISBLK(st.st_mode)) return err_set(err, ERR_INVALID, "%s is no block device", path);
	*ret_dev = st.st_rdev;
	return 0;
}

static void read_kind(const struct machine *m, struct disk *d) {
	char model[80], serial[80];
	read_attribute(m, d->name, "device/model", model, sizeof model);
	read_attribute(m, d->name, "device/serial", serial, sizeof serial);
	if (str_starts(d->name, "loop")) d->kind = DISK_LOOP;
	if (str_eq(model, ebs_model)) d->kind = DISK_EBS;
	if (str_eq(model, store_model)) d->kind = DISK_INSTANCE_STORE;
	if (d->kind == DISK_EBS) d->volume_id = volume_id(arena_strdup(m->arena, serial), m->arena);
}

/* Copies the list into the arena. */
static struct strs kept(const struct strs *list, struct arena *arena) {
	struct strs copy = {.items = arena_alloc(arena, (list->count + 1) * sizeof *list->items), .count = list->count};
	if (list->count) memcpy(copy.items, list->items, list->count * sizeof *list->items);
	return copy;
}

static int read_parts(const struct machine *m, struct disk *d, struct err *err) {
	AUTO_STRS struct strs names = {0}, parts = {0}, holders = {0};
	const char *dir = arena_printf(m->arena, SYS_BLOCK "/%s", d->name);
	int rc = fs_list(m->root, dir, m->arena, &names, err);
	for (size_t i = 0; !rc && i < names.count; i++)
		if (fs_exists(m->root, arena_printf(m->arena, "%s/%s/partition", dir, names.items[i])))
			strs_add(&parts, names.items[i]);
	if (!rc) rc = fs_list(m->root, arena_printf(m->arena, "%s/holders", dir), m->arena, &holders, err);
	d->partitions = kept(&parts, m->arena);
	d->holders = kept(&holders, m->arena);
	return rc;
}

/* False: nothing to look at (no medium, no node, memory, a disk made of others). */
static bool is_disk(const struct machine *m, struct disk *d) {
	static const char *const others[] = {"ram", "zram", "dm-", "md", "sr", "fd", "nbd", NULL};
	char text[32];
	int64_t sectors = 0;
	struct err ignored = {0};
	for (size_t i = 0; others[i]; i++)
		if (str_starts(d->name, others[i])) return false;
	read_attribute(m, d->name, "size", text, sizeof text);
	if (parse_i64(text, 1, INT64_MAX / SECTOR, &sectors, &ignored)) return false;
	d->size_bytes = sectors * SECTOR;
	read_attribute(m, d->name, "ro", text, sizeof text);
	d->is_read_only = str_eq(text, "1");
	return !disk_number(m, d->path, &d->dev, &ignored);
}

int disk_list(const struct machine *m, struct disks *ret_disks, struct err *err) {
	AUTO_STRS struct strs names = {0};
	int rc = fs_list(m->root, SYS_BLOCK, m->arena, &names, err);
	struct disks disks = {.items = arena_alloc(m->arena, (names.count + 1) * sizeof *disks.items)};
	for (size_t i = 0; !rc && i < names.count && disks.count < DISKS_MAX; i++) {
		struct disk *d = &disks.items[disks.count];
		*d = (struct disk){.name = names.items[i], .volume_id = "", .device_name = ""};
		d->path = arena_printf(m->arena, "/dev/%s", d->name);
		if (!is_disk(m, d)) continue;
		read_kind(m, d);
		identify(m, d);
		rc = read_parts(m, d, err);
		disks.count++;
	}
	if (rc) return err_wrap(err, "which disks there are");
	*ret_disks = disks;
	return 0;
}

const char *disk_text(const struct disk *d, struct arena *arena) {
	const char *size = str_bytes((unsigned long long)d->size_bytes, arena);
	const char *id = d->volume_id[0] ? d->volume_id : d->kind == DISK_INSTANCE_STORE ? "instance store" : NULL;
	return id ? arena_printf(arena, "%s (%s, %s)", d->path, id, size)
		  : arena_printf(arena, "%s (%s)", d->path, size);
}

/* Without "sd" or "xvd": Xen calls /dev/sdf xvdf. */
static const char *letter_part(const char *name) {
	if (str_starts(name, "xvd")) return name + 3;
	return str_starts(name, "sd") ? name + 2 : NULL;
}

static bool is_same_name(const char *a, const char *b) {
	return a[0] && (str_eq(a, b) || (letter_part(a) && str_eq(letter_part(a), letter_part(b))));
}

bool disk_has_name(const struct machine *m, const struct disk *d, const char *name) {
	dev_t dev = 0;
	struct err ignored = {0};
	const char *bare = without_dev(name);
	if (is_same_name(d->device_name, bare) || str_eq(d->name, bare)) return true;
	/* Where the controller has spoken, its word is final: a link may be of an earlier boot. */
	if (d->device_name[0]) return false;
	if (!disk_number(m, arena_printf(m->arena, "/dev/%s", bare), &dev, &ignored)) return dev == d->dev;
	return is_same_name(d->name, bare);
}

const char *disk_host_path(const struct machine *m, const char *path) {
	return m->root->is_system || fs_root_is_host(m->root) ? path : fs_host_path(m->root, path, m->arena);
}
