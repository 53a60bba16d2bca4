#include <errno.h>
#include <fcntl.h>

#include "base/err.h"
#include "base/fs.h"
#include "sys/disk.h"
#include "sys/disk_mounts.h"
#include "sys/machine.h"

#define BLKID_TIMEOUT_MS (60 * 1000)
#define BLKID_OUTPUT_MAX (64 * 1024)
/* blkid(8): nothing found; several signatures. */
#define BLKID_NOTHING 2
#define BLKID_AMBIVALENT 8
/* Partition tables, file systems, LVM and RAID have their marks within the first or the last MiB; what has been in use
 * without any of them has data there too, as a rule. */
#define EDGE_BYTES (1024 * 1024)
#define SWAPS_LINE_MAX 4096

/* The value behind "KEY=" on a line of its own, blkid's backslashes taken out, in the arena; or "". */
static const char *value_of(const char *text, const char *key, struct arena *arena) {
	size_t len = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) != 0 || line[len] != '=') continue;
		char *value = arena_dup(arena, line + len + 1, strcspn(line + len + 1, "\n")), *out = value;
		for (const char *c = value; *c; c++) {
			if (*c == '\\' && c[1]) c++;
			*out++ = *c;
		}
		*out = '\0';
		return value;
	}
	return "";
}

int disk_read_content(const struct machine *m, const char *path, struct disk_content *ret_content, struct err *err) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	/* -p: from the device, not from a cache. udev's format escapes what labels may hold. */
	const char *argv[] = {"blkid", "-p", "-o", "export", disk_host_path(m, path), NULL};
	struct machine_command cmd = {.argv = argv,
				      .timeout_ms = BLKID_TIMEOUT_MS,
				      .stdout_max = BLKID_OUTPUT_MAX,
				      .may_hang = true,
				      .is_quiet = true};
	int rc = machine_run(m, &cmd, &result, err);
	if (rc) return err_wrap(err, "what is on %s", path);
	if (result.has_timed_out || result.signal ||
	    (result.exit_code && result.exit_code != BLKID_NOTHING && result.exit_code != BLKID_AMBIVALENT))
		return err_set(err, ERR_IO, "blkid cannot tell what is on %s (exit status %d): %s", path,
			       result.exit_code, buf_str(&result.tail));
	const char *text = buf_str(&result.out);
	*ret_content = (struct disk_content){.type = value_of(text, "TYPE", m->arena),
					     .uuid = value_of(text, "UUID", m->arena),
					     .label = value_of(text, "LABEL", m->arena),
					     .table = value_of(text, "PTTYPE", m->arena),
					     .is_ambiguous = result.exit_code == BLKID_AMBIVALENT};
	return 0;
}

/* Like blkid, which says nothing (exit status 2) of a device that it cannot open either: so it has been opened before.
 */
static int find_signature(const struct machine *m, const struct disk *d, const char **ret_reason, struct err *err) {
	struct disk_content c = {.type = "", .uuid = "", .label = "", .table = ""};
	int rc = disk_read_content(m, d->path, &c, err);
	if (rc) return rc;
	if (c.is_ambiguous)
		*ret_reason = "it has marks of several file systems";
	else if (str_eq(c.type, "LVM2_member"))
		*ret_reason = "it belongs to LVM";
	else if (str_ends(c.type, "_raid_member"))
		*ret_reason = arena_printf(m->arena, "it belongs to a RAID (%s)", c.type);
	else if (c.type[0])
		*ret_reason = arena_printf(m->arena, "it holds %s%s%s", c.type, c.label[0] ? " with the label " : "",
					   c.label);
	else if (c.table[0])
		*ret_reason = arena_printf(m->arena, "it has a partition table (%s)", c.table);
	return 0;
}

static int is_zero(int fd, int64_t offset, int64_t size, bool *ret_is_zero, struct err *err) {
	static const unsigned char zeros[64 * 1024];
	unsigned char block[sizeof zeros];
	*ret_is_zero = true;
	for (int64_t at = 0; at < size && *ret_is_zero;) {
		size_t want = size - at < (int64_t)sizeof block ? (size_t)(size - at) : sizeof block;
		ssize_t n = pread(fd, block, want, offset + at);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot read it");
		if (n == 0) return err_set(err, ERR_IO, "it ends before its own size");
		*ret_is_zero = memcmp(block, zeros, (size_t)n) == 0;
		at += n;
	}
	return 0;
}

static int check_edges(int fd, const struct disk *d, const char **ret_reason, struct err *err) {
	bool first = false, last = false;
	int64_t edge = d->size_bytes < EDGE_BYTES ? d->size_bytes : EDGE_BYTES;
	int rc = is_zero(fd, 0, edge, &first, err);
	if (!rc) rc = is_zero(fd, d->size_bytes - edge, edge, &last, err);
	if (rc) return rc;
	if (!first)
		*ret_reason = "its first MiB is not empty";
	else if (!last)
		*ret_reason = "its last MiB is not empty";
	return 0;
}

/* True if /proc/swaps (proc_swaps(5)) lists a device of that number. */
static bool is_swap(dev_t dev) {
	FILE *f = fopen("/proc/swaps", "re");
	char line[SWAPS_LINE_MAX];
	bool is_found = false;
	while (f && !is_found && fgets(line, sizeof line, f)) {
		struct stat st;
		line[strcspn(line, " \t\n")] = '\0';
		is_found = line[0] == '/' && stat(line, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == dev;
	}
	if (f) (void)fclose(f); /* only read from */
	return is_found;
}

static int check_use(const struct machine *m, const struct disk *d, const char **ret_reason, struct err *err) {
	struct mounts mounts = {0};
	int rc = mounts_read(m->arena, &mounts, err);
	if (rc) return rc;
	const struct mount *mount = mounts_of(&mounts, d->dev);
	if (mount)
		*ret_reason = arena_printf(m->arena, "it is mounted at %s", mount->path);
	else if (is_swap(d->dev))
		*ret_reason = "it is used as swap";
	else if (d->holders.count)
		*ret_reason = arena_printf(m->arena, "%s uses it (LVM, RAID or encryption)", d->holders.items[0]);
	else if (d->partitions.count)
		*ret_reason = arena_printf(m->arena, "it has %zu partition%s", d->partitions.count,
					   d->partitions.count == 1 ? "" : "s");
	else if (d->is_read_only)
		*ret_reason = "it is read-only";
	return 0;
}

int disk_check_blank(const struct machine *m, const struct disk *d, const char **ret_reason, struct err *err) {
	AUTO_CLOSE int fd = -1;
	const char *reason = NULL;
	int rc = check_use(m, d, &reason, err);
	if (!rc && !reason) {
		/* O_EXCL: the kernel refuses what any file system, md or device mapper has claimed (open(2)). */
		rc = fs_open(m->root, d->path, O_RDONLY | O_EXCL, 0, &fd, err);
		if (rc && err->code == ERR_BUSY) {
			reason = "the kernel has it in use";
			rc = 0;
		}
	}
	if (!rc && !reason) rc = find_signature(m, d, &reason, err);
	if (!rc && !reason) rc = check_edges(fd, d, &reason, err);
	if (rc) return err_wrap(err, "is %s blank", d->path);
	*ret_reason = reason;
	return 0;
}
