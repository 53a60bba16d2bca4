/*
 * Sources: libarchive's archive_read(3), archive_entry(3); "Zip Slip" (Snyk, 2018) for what archives from outside try.
 * Writing is ours: archive_write_disk works on names and the working directory.
 */
#include "io/arc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define READ_BLOCK (128 * 1024)
/** Components of one name: deeper trees cannot be removed again by ordinary tools. */
#define DEPTH_MAX 200

/* One unpacking. */
struct unpack {
	struct arc_extract *x;
	struct archive *reader;
	struct arena arena; /* of the entry at hand */
	const char *name;   /* as the archive has it, for messages */
	const char *path;   /* as it is written */
	int64_t archive_bytes;
};

static void close_reader(struct archive **reader) {
	if (*reader) (void)archive_read_free(*reader); /* nothing was promised for a reader */
}

static int fail_read(const struct unpack *u, struct err *err) {
	const char *text = archive_error_string(u->reader);
	int code = archive_errno(u->reader);

	if (code == ENOMEM || code == ENOSPC) return err_set_errno(err, code, "unpacking");
	if (u->name) return err_set(err, ERR_INVALID, "entry '%s': %s", u->name, text ? text : "damaged");
	return err_set(err, ERR_INVALID, "no tar or zip archive that can be read: %s", text ? text : "damaged");
}

static int fail_write(const struct unpack *u, int errnum, struct err *err) {
	if (errnum == ELOOP || errnum == EXDEV)
		return err_set(err, ERR_DENIED, "entry '%s' would be written through a link", u->name);
	return err_set_errno(err, errnum, "entry '%s'", u->name);
}

static int refuse(const struct unpack *u, const char *why, struct err *err) {
	return err_set(err, ERR_DENIED, "entry '%s' %s: nothing of the archive is taken", u->name, why);
}

static int open_reader(struct archive **ret_reader, int fd, struct err *err) {
	struct archive *reader AUTO(close_reader) = archive_read_new();

	if (!reader) return err_set(err, ERR_UNSUPPORTED, "libarchive cannot start");
	/* Anything but ARCHIVE_OK means that a program would be started to decompress: never. A zip is read from its
	 * directory at the end, so that one that is cut is none. */
	if (archive_read_support_filter_gzip(reader) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(reader) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(reader) != ARCHIVE_OK ||
	    archive_read_support_format_tar(reader) != ARCHIVE_OK ||
	    archive_read_support_format_zip_seekable(reader) != ARCHIVE_OK)
		return err_set(err, ERR_UNSUPPORTED, "this libarchive lacks gzip, xz or zstd");
	if (lseek(fd, 0, SEEK_SET) < 0) return err_set_errno(err, errno, "archive");
	if (archive_read_open_fd(reader, fd, READ_BLOCK) != ARCHIVE_OK) {
		const char *text = archive_error_string(reader);

		return err_set(err, ERR_INVALID, "no tar or zip archive that can be read: %s", text ? text : "damaged");
	}
	*ret_reader = reader;
	reader = NULL;
	return 0;
}

/* The name without "./" and doubled or trailing slashes, strip components fewer; "" when nothing is left. */
static int clean_name(const struct unpack *u, const char *name, struct arena *arena, const char **ret_path,
		      struct err *err) {
	AUTO_STRS struct strs parts = {0};
	AUTO_STRS struct strs kept = {0};

	if (*name == '/') return refuse(u, "has an absolute name", err);
	str_split(name, "/", arena, &parts);
	for (size_t i = 0; i < parts.count; i++) {
		if (str_eq(parts.items[i], ".")) continue;
		if (str_eq(parts.items[i], "..")) return refuse(u, "has '..' in its name", err);
		if (strlen(parts.items[i]) > NAME_MAX) return refuse(u, "has a part longer than 255 bytes", err);
		strs_add(&kept, parts.items[i]);
	}
	if (kept.count > DEPTH_MAX) return refuse(u, "is too deep", err);
	size_t drop = u->x->strip < kept.count ? u->x->strip : kept.count;
	struct strs left = {.items = kept.items + drop, .count = kept.count - drop};
	*ret_path = left.count ? strs_join(&left, "/", arena) : "";
	return 0;
}

static int open_beneath(const struct unpack *u, const char *path, int flags, unsigned mode) {
	struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW,
			       .mode = mode,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, u->x->dir_fd, *path ? path : ".", &how, sizeof how);
}

/* Owner, then mode: chown clears bits. */
static int dress(const struct unpack *u, int fd, mode_t mode, struct err *err) {
	if ((u->x->uid != (uid_t)-1 || u->x->gid != (gid_t)-1) && fchown(fd, u->x->uid, u->x->gid) < 0)
		return fail_write(u, errno, err);
	return fchmod(fd, mode) < 0 ? fail_write(u, errno, err) : 0;
}

/* Makes a directory below parent_fd unless it is there; *ret_fd is open on it. */
static int step_into(const struct unpack *u, int parent_fd, const char *name, mode_t mode, int *ret_fd,
		     struct err *err) {
	bool is_new = mkdirat(parent_fd, name, 0700) == 0;

	if (!is_new && errno != EEXIST) return fail_write(u, errno, err);
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR) return refuse(u, "would be written through a link or a file", err);
	if (fd < 0) return fail_write(u, errno, err);
	if (is_new && dress(u, fd, mode, err) < 0) {
		(void)close(fd); /* opened to read */
		return -(int)err->code;
	}
	*ret_fd = fd;
	return 0;
}

/* Opens the directory that the path's last component goes into, making what is missing; *ret_name: that component. */
static int open_parent(const struct unpack *u, const char *path, int *ret_fd, const char **ret_name, struct err *err) {
	AUTO_CLOSE int fd = open_beneath(u, "", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0) return fail_write(u, errno, err);
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		char part[NAME_MAX + 1];
		int next = -1;

		(void)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path); /* fits: clean_name saw to it */
		if (step_into(u, fd, part, 0755, &next, err) < 0) return -(int)err->code;
		cleanup_close(&fd);
		fd = next;
	}
	*ret_name = path;
	*ret_fd = cleanup_take_fd(&fd);
	return 0;
}

static int check_total(const struct unpack *u, int64_t more, struct err *err) {
	const struct arc_limits *limits = &u->x->limits;
	int64_t total = u->x->bytes + more;

	if (more < 0 || total > limits->bytes_max)
		return err_set(err, ERR_LIMIT, "it unpacks to more than %lld bytes", (long long)limits->bytes_max);
	if (total > ARC_RATIO_FREE_BYTES && total / limits->ratio_max > u->archive_bytes)
		return err_set(err, ERR_LIMIT,
			       "it grows to more than %lld times its size when unpacked, which no honest archive does",
			       (long long)limits->ratio_max);
	return 0;
}

static int write_block(const struct unpack *u, int fd, const char *data, size_t len, int64_t offset, struct err *err) {
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, offset);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return fail_write(u, errno, err);
		data += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

/* Data in blocks with their places: what lies between them is a hole, and counts. */
static int write_data(const struct unpack *u, int fd, int64_t declared, struct err *err) {
	int64_t end = 0;

	for (;;) {
		const void *data;
		size_t len;
		la_int64_t offset;
		int rc = archive_read_data_block(u->reader, &data, &len, &offset);

		if (rc == ARCHIVE_EOF) break;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return fail_read(u, err);
		if (offset < end || (int64_t)len > INT64_MAX - offset)
			return refuse(u, "has its data out of order", err);
		if (check_total(u, offset + (int64_t)len, err) < 0) return -(int)err->code;
		if (write_block(u, fd, data, len, offset, err) < 0) return -(int)err->code;
		end = offset + (int64_t)len;
	}
	if (declared > end) {
		if (check_total(u, declared, err) < 0) return -(int)err->code;
		if (ftruncate(fd, declared) < 0) return fail_write(u, errno, err);
		end = declared;
	}
	u->x->bytes += end;
	return 0;
}

/* An entry may come twice in a tar: the later one counts, but never a file in a directory's place. */
static int make_room(const struct unpack *u, int dir_fd, const char *name, struct err *err) {
	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return 0;
	if (errno == EISDIR) return refuse(u, "is a file where the archive has a directory", err);
	return fail_write(u, errno, err);
}

static int write_file(const struct unpack *u, int dir_fd, const char *name, struct archive_entry *entry,
		      struct err *err) {
	mode_t mode = archive_entry_perm(entry) & 0755;
	int64_t declared = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
	AUTO_CLOSE int fd = -1;

	if (make_room(u, dir_fd, name, err) < 0) return -(int)err->code;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) return fail_write(u, errno, err);
	if (write_data(u, fd, declared, err) < 0 || dress(u, fd, mode | 0600, err) < 0) return -(int)err->code;
	if (archive_entry_mtime_is_set(entry)) {
		const struct timespec at = {.tv_sec = archive_entry_mtime(entry)};
		const struct timespec times[] = {at, at};

		(void)futimens(fd, times); /* a date that the file system cannot hold matters to nobody */
	}
	int taken = cleanup_take_fd(&fd);
	return close(taken) < 0 ? fail_write(u, errno, err) : 0;
}

/*
 * A target is inside when it is relative and climbs no more than the entry is deep, all ".." first: what follows then
 * goes down, and the links on that way are inside by the same rule.
 */
static int check_link(const struct unpack *u, const char *target, struct err *err) {
	AUTO_STRS struct strs parts = {0};
	AUTO_ARENA struct arena arena = {0};
	size_t depth = 0, climbs = 0;
	bool goes_down = false;

	if (!target || !*target) return refuse(u, "is a link to nothing", err);
	if (*target == '/') return refuse(u, "is a link to an absolute name", err);
	if (strlen(target) >= PATH_MAX) return refuse(u, "is a link whose target is too long", err);
	for (const char *c = u->path; *c; c++) depth += *c == '/';
	str_split(target, "/", &arena, &parts);
	for (size_t i = 0; i < parts.count; i++) {
		if (str_eq(parts.items[i], ".")) continue;
		if (!str_eq(parts.items[i], "..")) {
			goes_down = true;
		} else if (goes_down || ++climbs > depth) {
			return refuse(u, "is a link that leads out of the archive", err);
		}
	}
	return 0;
}

static int write_symlink(const struct unpack *u, int dir_fd, const char *name, struct archive_entry *entry,
			 struct err *err) {
	const char *target = archive_entry_symlink_utf8(entry);

	if (!target) target = archive_entry_symlink(entry);
	if (check_link(u, target, err) < 0 || make_room(u, dir_fd, name, err) < 0) return -(int)err->code;
	if (symlinkat(target, dir_fd, name) < 0) return fail_write(u, errno, err);
	if (u->x->uid == (uid_t)-1 && u->x->gid == (gid_t)-1) return 0;
	return fchownat(dir_fd, name, u->x->uid, u->x->gid, AT_SYMLINK_NOFOLLOW) < 0 ? fail_write(u, errno, err) : 0;
}

/* A hard link to a file that the archive brought earlier. */
static int write_hardlink(struct unpack *u, int dir_fd, const char *name, const char *target, struct err *err) {
	const char *path = "", *target_name = "";
	struct stat st;

	if (clean_name(u, target, &u->arena, &path, err) < 0) return -(int)err->code;
	if (!*path || str_eq(path, u->path)) return refuse(u, "is a link to nothing", err);
	AUTO_CLOSE int target_fd = -1;
	if (open_parent(u, path, &target_fd, &target_name, err) < 0) return -(int)err->code;
	if (fstatat(target_fd, target_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return refuse(u, "is a link to what is no file of the archive", err);
	if (make_room(u, dir_fd, name, err) < 0) return -(int)err->code;
	return linkat(target_fd, target_name, dir_fd, name, 0) < 0 ? fail_write(u, errno, err) : 0;
}

static int write_directory(const struct unpack *u, int parent_fd, const char *name, struct archive_entry *entry,
			   struct err *err) {
	AUTO_CLOSE int fd = -1;
	mode_t mode = (archive_entry_perm(entry) & 0755) | 0700;

	if (step_into(u, parent_fd, name, mode, &fd, err) < 0) return -(int)err->code;
	return dress(u, fd, mode, err);
}

static int write_entry(struct unpack *u, struct archive_entry *entry, struct err *err) {
	const char *hardlink = archive_entry_hardlink_utf8(entry), *name = "";
	mode_t type = archive_entry_filetype(entry);
	AUTO_CLOSE int dir_fd = -1;

	if (!hardlink) hardlink = archive_entry_hardlink(entry);
	if (archive_entry_is_encrypted(entry)) return refuse(u, "is encrypted", err);
	if (!hardlink && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return refuse(u, "is a device, pipe or socket", err);
	if (open_parent(u, u->path, &dir_fd, &name, err) < 0) return -(int)err->code;
	if (hardlink) return write_hardlink(u, dir_fd, name, hardlink, err);
	if (type == AE_IFLNK) return write_symlink(u, dir_fd, name, entry, err);
	return type == AE_IFDIR ? write_directory(u, dir_fd, name, entry, err)
				: write_file(u, dir_fd, name, entry, err);
}

static int take_entry(struct unpack *u, struct archive_entry *entry, struct err *err) {
	struct arc_extract *x = u->x;
	const char *name = archive_entry_pathname_utf8(entry);

	if (!name) name = archive_entry_pathname(entry);
	u->name = name ? name : "(without a name)";
	if (!name || !*name) return refuse(u, "has no name", err);
	u->path = "";
	if (clean_name(u, name, &u->arena, &u->path, err) < 0) return -(int)err->code;
	if (!*u->path) return 0;
	if (++x->entries > x->limits.entries_max)
		return err_set(err, ERR_LIMIT, "it has more than %lld entries", (long long)x->limits.entries_max);
	if (x->on_entry && x->on_entry(u->path, x->bytes, x->arg, err) < 0) return -(int)err->code;
	return write_entry(u, entry, err);
}

static int extract(struct arc_extract *x, struct err *err) {
	AUTO(close_reader) struct archive *reader = NULL;
	struct unpack u = {.x = x};
	struct stat st;
	int rc;

	x->entries = x->bytes = 0;
	if (fstat(x->archive_fd, &st) < 0) return err_set_errno(err, errno, "archive");
	if (open_reader(&reader, x->archive_fd, err) < 0) return -(int)err->code;
	u.reader = reader;
	u.archive_bytes = st.st_size > 0 ? st.st_size : 1;
	do {
		struct archive_entry *entry;

		u.name = NULL;
		rc = archive_read_next_header(reader, &entry);
		if (rc == ARCHIVE_EOF) break;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			rc = fail_read(&u, err);
		else
			rc = take_entry(&u, entry, err);
		arena_clear(&u.arena);
	} while (rc == 0);
	if (rc < 0) return rc;
	if (x->entries == 0)
		return err_set(err, ERR_INVALID,
			       x->strip ? "it has no entry with more than %u components (strip)" : "it has no entries",
			       x->strip);
	return 0;
}

/* libarchive gives names of zip and pax only where the locale can say them: C.UTF-8 for this thread meanwhile. */
int arc_extract(struct arc_extract *x, struct err *err) {
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	int rc = extract(x, err);

	if (!utf8) return rc;
	(void)uselocale(before);
	freelocale(utf8);
	return rc;
}
