#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

#define BLOCK_DIR "/sys/block"
#define MOUNTS_MAX (1024 * 1024)
/* Block devices looked at; the largest type has 8 instance store disks and room for 128 volumes. */
#define DISKS_MAX 512
/* EC2 User Guide, "Identify NVMe volumes": padded with spaces. */
#define STORE_MODEL "Amazon EC2 NVMe Instance Storage"
/* The API counts in GB of 10^9 bytes, rounded. */
#define GB 1000000000

struct store {
	size_t disks, unused;
	int64_t bytes;
	struct strs names; /* of those that nothing uses */
};

/* A line of /proc/mounts or /proc/swaps that begins with the disk or one of its partitions. */
static bool is_named(const char *table, const char *disk) {
	const char *device = table;
	size_t n = strlen(disk);
	while ((device = strstr(device, "/dev/"))) {
		bool is_at_start = device == table || device[-1] == '\n';
		device += strlen("/dev/");
		if (!is_at_start || strncmp(device, disk, n) != 0) continue;
		const char *rest = device + n;
		if (*rest == 'p') rest += 1 + strspn(rest + 1, "0123456789");
		if (*rest == ' ' || *rest == '\t') return true;
	}
	return false;
}

/* LVM, RAID or a crypt device above it: the DLAMI makes a volume group of them. */
static bool has_holder(const struct gpu_scan *s, const char *disk) {
	AUTO_STRS struct strs holders = {0};
	struct err ignored;
	const char *path = arena_printf(s->r->arena, BLOCK_DIR "/%s/holders", disk);
	return !fs_list(s->m->root, path, s->r->arena, &holders, &ignored) && holders.count;
}

static void take_disk(const struct gpu_scan *s, const char *disk, const char *tables, struct store *store) {
	struct arena *arena = s->r->arena;
	char line[64];
	fs_read_line(s->m->root, arena_printf(arena, BLOCK_DIR "/%s/device/model", disk), line, sizeof line);
	if (!str_eq(line, STORE_MODEL)) return;
	fs_read_line(s->m->root, arena_printf(arena, BLOCK_DIR "/%s/size", disk), line, sizeof line);
	unsigned long long sectors = strtoull(line, NULL, 10); /* of 512 bytes: the kernel's own text */
	store->disks++;
	if (sectors < (unsigned long long)INT64_MAX / 512 / DISKS_MAX) store->bytes += (int64_t)(sectors * 512);
	if (is_named(tables, disk) || has_holder(s, disk)) return;
	store->unused++;
	strs_add(&store->names, disk);
}

static void judge_store(struct gpu_scan *s, const struct store *store) {
	struct arena *arena = s->r->arena;
	int64_t expected = s->type ? s->type->nvme_gb * GB : 0;
	const char *size = str_bytes((unsigned long long)store->bytes, arena);
	if (store->bytes < expected / 100 * 90)
		gpu_add(s->r, "ephemeral", GPU_WARN, GPU_REMEDY_REPLACE,
			arena_printf(arena, "%zu disks '" STORE_MODEL "'", store->disks),
			"%s should have %s of NVMe instance store, it has %s. Stop and start the instance, or relaunch "
			"it",
			s->r->instance_type, str_bytes((unsigned long long)expected, arena),
			store->disks ? size : "none");
	if (!store->unused) return;
	const char *names = strs_join(&store->names, ", ", arena);
	gpu_add(s->r, "ephemeral", GPU_INFO, GPU_REMEDY_NONE, names,
		"%s of NVMe instance store on %zu disk%s, %s not mounted: a fast place for data that may be lost when "
		"the "
		"instance stops. A `volume` step mounts it",
		size, store->disks, store->disks > 1 ? "s" : "", names);
}

static void check_store(struct gpu_scan *s) {
	AUTO_STRS struct strs disks = {0};
	AUTO_BUF struct buf mounts = BUF_INIT(MOUNTS_MAX), swaps = BUF_INIT(MOUNTS_MAX);
	struct store store = {0};
	struct err ignored;
	if (fs_list(s->m->root, BLOCK_DIR, s->r->arena, &disks, &ignored) || !disks.count) return;
	if (fs_read(s->m->root, "/proc/mounts", &mounts, &ignored)) buf_reset(&mounts); /* absent: nothing is mounted */
	if (fs_read(s->m->root, "/proc/swaps", &swaps, &ignored)) buf_reset(&swaps);
	const char *tables = arena_printf(s->r->arena, "%s\n%s", buf_str(&mounts), buf_str(&swaps));
	for (size_t i = 0; i < disks.count && i < DISKS_MAX; i++)
		if (str_starts(disks.items[i], "nvme")) take_disk(s, disks.items[i], tables, &store);
	judge_store(s, &store);
	strs_clear(&store.names);
}

static void check_efa(struct gpu_scan *s) {
	AUTO_STRS struct strs links = {0};
	struct err ignored;
	size_t bound = 0;
	bool has_module = fs_exists(s->m->root, "/sys/module/efa");
	if (!s->efas) return;
	if (!fs_list(s->m->root, "/sys/class/infiniband", s->r->arena, &links, &ignored)) bound = links.count;
	if (bound < s->efas)
		gpu_add(s->r, "efa", GPU_WARN, GPU_REMEDY_FIX, has_module ? "/sys/class/infiniband" : "/sys/module/efa",
			"%zu EFA device%s on the bus, %zu with a driver%s. Run `sudo modprobe efa`, or install the EFA "
			"software of AWS",
			s->efas, s->efas > 1 ? "s" : "", bound, has_module ? "" : ": the efa module is not loaded");
	else
		gpu_add(s->r, "efa", GPU_INFO, GPU_REMEDY_NONE, NULL, "%zu EFA interface%s with a driver", s->efas,
			s->efas > 1 ? "s" : "");
}

void gpu_files_host(struct gpu_scan *s) {
	check_store(s);
	check_efa(s);
}
