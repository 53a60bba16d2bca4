#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs_internal.h"
#include "base/mem.h"
#include "base/str.h"

/* Longest first line that fs_read_line looks at: /proc/cmdline and the like. */
#define FIRST_LINE_MAX (64 * 1024)
/* Most names in a listed directory: guards against a directory that fills memory. */
#define LIST_MAX 1000000
/* openat2 gives EAGAIN when a rename or mount races with ".." in a RESOLVE_IN_ROOT walk: openat2(2). */
#define OPENAT2_TRIES 32

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int fs_openat2(int dir_fd, const char *path, int flags, unsigned mode, uint64_t resolve) {
	struct {
		uint64_t flags, mode, resolve;
	} how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = resolve};
	long fd = -1;

	if (flags & O_CREAT) how.mode = mode & 07777; /* the kernel refuses a mode without O_CREAT */
	for (int i = 0; i < OPENAT2_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
	}
	return (int)fd;
}

const char *fs_prefix(const struct fs_root *root) { return root->path ? root->path : ""; }

bool fs_root_is_host(const struct fs_root *root) { return !fs_prefix(root)[0]; }

int fs_open_raw(const struct fs_root *root, const char *path, int flags, unsigned mode) {
	if (path[0] != '/') {
		errno = EINVAL;
		return -1;
	}
	/* On the host nothing can be left, and magic links such as /dev/stdin must work, which RESOLVE_IN_ROOT refuses.
	 */
	if (fs_root_is_host(root)) return open(path, flags | O_CLOEXEC, mode);
	return fs_openat2(root->fd, path, flags, mode, FS_RESOLVE_IN_ROOT);
}

int fs_fail(const struct fs_root *root, const char *verb, const char *path, int errnum, struct err *err) {
	if (path[0] != '/') return err_set(err, ERR_INVALID, "cannot %s '%s': the path is not absolute", verb, path);
	if (errnum == ENOSYS && !fs_root_is_host(root))
		return err_set(err, ERR_UNSUPPORTED,
			       "cannot %s %s%s: another root needs openat2(2), Linux 5.6 or newer", verb,
			       fs_prefix(root), path);
	return err_set_errno(err, errnum, "cannot %s %s%s", verb, fs_prefix(root), path);
}

int fs_root_open(const char *dir, struct fs_root *ret_root, struct err *err) {
	char *real AUTO_FREE = realpath(dir ? dir : "/", NULL);
	struct fs_root root = {.fd = -1};
	const char *path = real;
	int sh AUTO_CLOSE = -1;

	if (!real) return err_set_errno(err, errno, "cannot use %s as root", dir);
	if (str_starts(path, "//")) path++; /* POSIX lets two slashes stand at the beginning, and musl does */
	root.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root.fd < 0) return err_set_errno(err, errno, "cannot use %s as root", path);
	root.path = mem_strdup(strcmp(path, "/") == 0 ? "" : path);
	sh = fs_open_raw(&root, "/bin/sh", O_PATH, 0);
	if (sh < 0 && (errno == ENOSYS || (errno == EPERM && !fs_root_is_host(&root)))) {
		int rc = fs_fail(&root, "open", "/bin/sh", ENOSYS, err);

		fs_root_clear(&root);
		return rc;
	}
	root.is_system = sh >= 0;
	*ret_root = root;
	return 0;
}

void fs_root_clear(struct fs_root *root) {
	if (!root) return;
	if (root->path && root->fd >= 0) (void)close(root->fd); /* O_PATH: nothing to lose */
	free(root->path);
	*root = (struct fs_root){.fd = -1};
}

int fs_open(const struct fs_root *root, const char *path, int flags, mode_t mode, int *ret_fd, struct err *err) {
	int fd = fs_open_raw(root, path, flags, mode);

	if (fd < 0) return fs_fail(root, "open", path, errno, err);
	*ret_fd = fd;
	return 0;
}

int fs_spot_open(const struct fs_root *root, const char *path, struct fs_spot *ret_spot, struct err *err) {
	char *dir AUTO_FREE = mem_strdup(path);
	size_t n = strlen(dir);
	const char *name = ".";

	if (dir[0] != '/') return fs_fail(root, "use", path, EINVAL, err);
	while (n > 1 && dir[n - 1] == '/') dir[--n] = '\0';
	if (n > 1) {
		char *slash = strrchr(dir, '/');

		name = path + (slash + 1 - dir);
		slash[slash == dir] = '\0';
		n -= (size_t)(name - path);
		if (n > NAME_MAX) return fs_fail(root, "use", path, ENAMETOOLONG, err);
		if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
			return err_set(err, ERR_INVALID, "cannot use %s: its last part must be a name", path);
	}
	ret_spot->dir_fd = fs_open_raw(root, dir, O_PATH | O_DIRECTORY, 0);
	if (ret_spot->dir_fd < 0) return fs_fail(root, "open", dir, errno, err);
	memcpy(ret_spot->name, name, n);
	ret_spot->name[n] = '\0';
	return 0;
}

void fs_spot_close(struct fs_spot *spot) { cleanup_close(&spot->dir_fd); }

int fs_read(const struct fs_root *root, const char *path, struct buf *b, struct err *err) {
	/* Without O_NONBLOCK a FIFO would be waited for before fstat can refuse it. */
	int fd AUTO_CLOSE = fs_open_raw(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char chunk[16 * 1024];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) return fs_fail(root, "read", path, errno, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "cannot read %s%s: it is not a regular file", fs_prefix(root), path);
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return fs_fail(root, "read", path, errno, err);
		if (n == 0) break;
		buf_add(b, chunk, (size_t)n);
		if (b->has_overflowed) break;
	}
	explicit_bzero(chunk, sizeof chunk); /* credentials are read here too */
	if (buf_check(b, path, err) < 0) return err_wrap(err, "cannot read %s%s", fs_prefix(root), path);
	return 0;
}

void fs_read_line(const struct fs_root *root, const char *path, char *line, size_t size) {
	struct buf b AUTO_BUF = BUF_INIT(FIRST_LINE_MAX);
	struct err err;
	char *start;

	line[0] = '\0';
	if (fs_read(root, path, &b, &err) < 0 || b.len == 0) return; /* absent is "", as promised */
	b.data[strcspn(b.data, "\n")] = '\0';
	start = str_trim(b.data);
	(void)snprintf(line, size, "%s", start); /* cut to the caller's size */
}

bool fs_exists(const struct fs_root *root, const char *path) {
	int fd AUTO_CLOSE = fs_open_raw(root, path, O_PATH, 0);

	return fd >= 0;
}

int fs_lstat(const struct fs_root *root, const char *path, struct stat *ret_st, struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);
	struct stat st;

	if (rc < 0) return rc;
	if (fstatat(spot.dir_fd, spot.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fs_fail(root, "look at", path, errno, err);
	*ret_st = st;
	return 0;
}

static int compare_names(const void *a, const void *b) {
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int fs_list(const struct fs_root *root, const char *path, struct arena *arena, struct strs *ret_names,
	    struct err *err) {
	int fd = fs_open_raw(root, path, O_RDONLY | O_DIRECTORY, 0);
	struct strs names = {0};
	struct dirent *entry;
	int rc = 0;
	DIR *dir;

	if (fd < 0 && errno == ENOENT) {
		*ret_names = names;
		return 0;
	}
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) return fs_fail(root, "list", path, errno, err);
	while (errno = 0, (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		strs_add(&names, arena_strdup(arena, entry->d_name));
		if (names.count > LIST_MAX) {
			rc = err_set(err, ERR_LIMIT, "cannot list %s%s: it holds more than %d names", fs_prefix(root),
				     path, LIST_MAX);
			break;
		}
	}
	if (!entry && errno != 0) rc = fs_fail(root, "list", path, errno, err);
	(void)closedir(dir); /* read only */
	if (rc < 0) {
		strs_clear(&names);
		return rc;
	}
	if (names.count) qsort(names.items, names.count, sizeof *names.items, compare_names);
	*ret_names = names;
	return 0;
}

const char *fs_host_path(const struct fs_root *root, const char *path, struct arena *arena) {
	return arena_printf(arena, "%s%s", fs_prefix(root), path);
}
