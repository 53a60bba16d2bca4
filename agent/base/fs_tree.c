/* Directories, removal, modes and owners. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/fs_internal.h"
#include "base/mem.h"

/* Deepest tree that fs_remove descends: each level holds a descriptor, and 1024 are the usual limit. */
#define REMOVE_DEPTH_MAX 256

/* Makes one directory and gives it its owner and mode; *ret_fd is open on it. 0, or an errno. */
static int make_dir(int parent_fd, const char *name, mode_t mode, uid_t uid, gid_t gid, int *ret_fd) {
	bool is_new = mkdirat(parent_fd, name, 0700) == 0;
	int fd;

	if (!is_new && errno != EEXIST) return errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) return errno;
	/* Another process may have made it a moment ago: then it is an existing one and left as it is. */
	if (is_new && (((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0) || fchmod(fd, mode) < 0)) {
		int errnum = errno;

		(void)close(fd); /* opened to read */
		return errnum;
	}
	*ret_fd = fd;
	return 0;
}

/*
 * Opens the longest part of path (written to) that is there as a directory; *ret_rest is where the missing part starts.
 * Every part that lacks is cut off from the end, so links on the way are resolved below root by the kernel.
 */
static int open_existing(const struct fs_root *root, char *path, size_t *ret_rest) {
	size_t n = strlen(path);

	for (;;) {
		char cut;
		int fd;

		while (n > 1 && path[n - 1] == '/') n--;
		cut = path[n];
		path[n] = '\0';
		fd = fs_open_raw(root, path, O_PATH | O_DIRECTORY, 0);
		path[n] = cut;
		*ret_rest = n;
		if (fd >= 0 || errno != ENOENT || n == 1) return fd;
		while (n > 1 && path[n - 1] != '/') n--;
	}
}

int fs_mkdirs(const struct fs_root *root, const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err) {
	char *parts AUTO_FREE = mem_strdup(path);
	size_t rest;
	int fd AUTO_CLOSE = -1;
	char *save = NULL;

	fd = open_existing(root, parts, &rest);
	if (fd < 0) return fs_fail(root, "make directory", path, errno, err);
	for (char *name = strtok_r(parts + rest, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = -1, errnum;

		if (strcmp(name, ".") == 0) continue;
		if (strcmp(name, "..") == 0)
			return err_set(err, ERR_INVALID, "cannot make directory %s: '..' after a part that is absent",
				       path);
		errnum = make_dir(fd, name, mode, uid, gid, &next);
		if (errnum != 0) return fs_fail(root, "make directory", path, errnum, err);
		cleanup_close(&fd);
		fd = next;
	}
	return 0;
}

/* Opens a directory to empty it, refusing links and other mounts. */
static int open_to_empty(int parent_fd, const char *name, dev_t dev) {
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	int fd = fs_openat2(parent_fd, name, flags, 0, FS_RESOLVE_NO_XDEV | FS_RESOLVE_NO_SYMLINKS);
	struct stat st;

	if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
	/* Without openat2 a bind mount of the same file system cannot be told; another file system can. */
	fd = openat(parent_fd, name, flags | O_CLOEXEC);
	if (fd < 0) return -1;
	if (fstat(fd, &st) == 0 && st.st_dev == dev) return fd;
	(void)close(fd); /* opened to read */
	errno = EXDEV;
	return -1;
}

static int remove_entry(int parent_fd, const char *name, dev_t dev, int depth);

/* Empties the directory fd, which is closed in the end. 0, or an errno. */
static int empty_dir(int fd, dev_t dev, int depth) {
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int errnum = 0;

	if (!dir) {
		errnum = errno;
		(void)close(fd); /* opened to read */
		return errnum;
	}
	while (errnum == 0 && (errno = 0, (entry = readdir(dir)))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
		errnum = remove_entry(dirfd(dir), entry->d_name, dev, depth + 1);
	}
	if (errnum == 0) errnum = errno;
	(void)closedir(dir); /* opened to read */
	return errnum;
}

static int remove_entry(int parent_fd, const char *name, dev_t dev, int depth) {
	int fd, errnum;

	if (depth > REMOVE_DEPTH_MAX) return ENAMETOOLONG;
	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) return 0;
	if (errno != EISDIR && errno != EPERM) return errno;
	errnum = errno; /* EPERM also stands for an immutable file: then it is no directory */
	fd = open_to_empty(parent_fd, name, dev);
	if (fd < 0) return errno == ENOTDIR ? errnum : errno;
	errnum = empty_dir(fd, dev, depth);
	if (errnum != 0) return errnum;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? errno : 0;
}

int fs_remove(const struct fs_root *root, const char *path, bool is_recursive, struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);
	struct stat st;
	int errnum;

	if (rc < 0) return err->code == ERR_NOT_FOUND ? 0 : err_wrap(err, "cannot remove %s%s", fs_prefix(root), path);
	if (strcmp(spot.name, ".") == 0) return err_set(err, ERR_INVALID, "cannot remove the root directory");
	if (!is_recursive) {
		if (unlinkat(spot.dir_fd, spot.name, 0) == 0 || errno == ENOENT) return 0;
		return fs_fail(root, "remove", path, errno, err);
	}
	if (fstat(spot.dir_fd, &st) < 0) return fs_fail(root, "remove", path, errno, err);
	errnum = remove_entry(spot.dir_fd, spot.name, st.st_dev, 0);
	if (errnum == EXDEV)
		return err_set(err, ERR_BUSY,
			       "cannot remove %s%s: another file system is mounted in it; unmount it first",
			       fs_prefix(root), path);
	return errnum ? fs_fail(root, "remove", path, errnum, err) : 0;
}

int fs_chmod(const struct fs_root *root, const char *path, mode_t mode, struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);

	if (rc < 0) return err_wrap(err, "cannot set the mode of %s%s", fs_prefix(root), path);
	if (fchmodat(spot.dir_fd, spot.name, mode, AT_SYMLINK_NOFOLLOW) < 0)
		return fs_fail(root, "set the mode of", path, errno, err);
	return 0;
}

int fs_chown(const struct fs_root *root, const char *path, uid_t uid, gid_t gid, struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);

	if (rc < 0) return err_wrap(err, "cannot set the owner of %s%s", fs_prefix(root), path);
	if (fchownat(spot.dir_fd, spot.name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fs_fail(root, "set the owner of", path, errno, err);
	return 0;
}

int fs_free_bytes(const struct fs_root *root, const char *path, int64_t *ret_bytes, struct err *err) {
	char *parts AUTO_FREE = mem_strdup(path);
	size_t rest;
	int fd AUTO_CLOSE = fs_open_raw(root, path, O_PATH, 0);
	struct statvfs st;

	if (fd < 0) fd = open_existing(root, parts, &rest);
	if (fd < 0 || fstatvfs(fd, &st) < 0) return fs_fail(root, "measure the free space of", path, errno, err);
	*ret_bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
	return 0;
}
