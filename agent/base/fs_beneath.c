/* Names from outside below a directory: no symbolic link is followed, and nothing leads out of it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/fs.h"
#include "base/fs_internal.h"

/* One part after the other, each without following links: what openat2 does at once. */
static int walk(int dir_fd, const char *path) {
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);

	while (fd >= 0 && *path) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		int next = -1;

		if (n == 0 || n > NAME_MAX || (n <= 2 && strspn(path, ".") >= n)) {
			errno = n > NAME_MAX ? ENAMETOOLONG : EINVAL;
		} else {
			memcpy(name, path, n);
			name[n] = '\0';
			next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		int saved = errno;
		(void)close(fd); /* O_PATH: nothing to lose */
		errno = saved;
		fd = next;
		path += n + (path[n] == '/');
	}
	return fd;
}

int fs_open_dir_beneath(int dir_fd, const char *path) {
	int fd;

	if (!*path) return fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	fd = fs_openat2(dir_fd, path, O_PATH | O_DIRECTORY, 0, FS_RESOLVE_BENEATH | FS_RESOLVE_NO_SYMLINKS);
	if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
	return walk(dir_fd, path);
}

/* Makes one directory with its owner and mode, and opens it; one that is there is left as it is. */
static int make(int parent_fd, const char *name, const struct fs_write *how) {
	bool is_new = mkdirat(parent_fd, name, 0700) == 0;
	int fd;

	if (!is_new && errno != EEXIST) return -1;
	fd = openat(parent_fd, name, (is_new ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !is_new) return fd;
	if ((how->uid == (uid_t)-1 && how->gid == (gid_t)-1) || fchown(fd, how->uid, how->gid) == 0)
		if (fchmod(fd, how->mode) == 0) return fd;
	int saved = errno;
	(void)close(fd); /* opened to read */
	errno = saved;
	return -1;
}

int fs_make_dirs_beneath(int dir_fd, const char *path, const struct fs_write *how) {
	int fd = fs_open_dir_beneath(dir_fd, path);

	if (fd >= 0 || errno != ENOENT) return fd;
	fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	while (fd >= 0 && *path) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(path, "/");
		int next = -1;

		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
		} else {
			memcpy(name, path, n);
			name[n] = '\0';
			next = make(fd, name, how);
		}
		int saved = errno;
		(void)close(fd); /* only names are made below it */
		errno = saved;
		fd = next;
		path += n + (path[n] == '/');
	}
	return fd;
}
