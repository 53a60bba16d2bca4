/* Replacing files whole, and locks. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/fs_internal.h"
#include "base/parse.h"
#include "base/str.h"

/* A dot in front: run-parts, apt and systemd pass over such names in their drop-in directories. */
#define TEMP_NAME_SIZE 32
/* Names drawn before giving up: a collision of 64 random bits does not happen twice. */
#define TEMP_TRIES 8
#define FD_DIR "/proc/self/fd"

static void temp_name(char name[TEMP_NAME_SIZE]) {
	(void)snprintf(name, TEMP_NAME_SIZE, ".dsagent-%016" PRIx64, clock_random(UINT64_MAX)); /* fits */
}

/* Another name while what was tried with the last one found it taken; tries begins at 0. */
static bool next_name(int *tries, int rc, char name[TEMP_NAME_SIZE]) {
	if (*tries == TEMP_TRIES || (*tries > 0 && (rc >= 0 || errno != EEXIST))) return false;
	++*tries;
	temp_name(name);
	return true;
}

static int write_all(int fd, const char *data, size_t len) {
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int open_named(int dir_fd, char name[TEMP_NAME_SIZE]) {
	int fd = -1;

	for (int tries = 0; next_name(&tries, fd, name);)
		fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd;
}

/*
 * Without a name where the file system can (not NFS) and /proc can give it one: then whoever is killed in the middle
 * leaves nothing. name is "" meanwhile.
 */
static int open_temp(int dir_fd, char name[TEMP_NAME_SIZE]) {
	int fd = access(FD_DIR, X_OK) == 0 ? openat(dir_fd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600) : -1;

	*name = '\0';
	return fd < 0 ? open_named(dir_fd, name) : fd;
}

/* Gives an open_temp file its temporary name, which rename can then put over another file. */
static int link_temp(int fd, int dir_fd, char name[TEMP_NAME_SIZE]) {
	char of_fd[sizeof FD_DIR + 16];
	int rc = -1;

	(void)snprintf(of_fd, sizeof of_fd, FD_DIR "/%d", fd); /* fits */
	for (int tries = 0; next_name(&tries, rc, name);) rc = linkat(AT_FDCWD, of_fd, dir_fd, name, AT_SYMLINK_FOLLOW);
	if (rc < 0) *name = '\0';
	return rc;
}

/* Makes a rename in the directory last; file systems that cannot sync a directory say EINVAL and need none. */
static int sync_dir(int dir_fd) {
	int fd AUTO_CLOSE = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) return errno == EACCES ? 0 : -1; /* a directory we may write but not list */
	return fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
}

/* Owner before mode: chown clears set-user-id bits. */
static int fill(int fd, const void *data, size_t len, const struct fs_write *how) {
	if (write_all(fd, data, len) < 0) return -1;
	if ((how->uid != (uid_t)-1 || how->gid != (gid_t)-1) && fchown(fd, how->uid, how->gid) < 0) return -1;
	if (fchmod(fd, how->mode) < 0) return -1;
	return how->is_unsynced ? 0 : fsync(fd);
}

int fs_write(const struct fs_root *root, const char *path, const void *data, size_t len, const struct fs_write *how,
	     struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);
	char temp[TEMP_NAME_SIZE];

	if (rc < 0) return err_wrap(err, "cannot write %s%s", fs_prefix(root), path);
	int fd = open_temp(spot.dir_fd, temp);
	if (fd < 0) return fs_fail(root, "write", path, errno, err);
	rc = fill(fd, data, len, how);
	if (rc == 0 && !*temp) rc = link_temp(fd, spot.dir_fd, temp);
	if (rc < 0) rc = errno;
	if (close(fd) < 0 && rc == 0) rc = errno; /* NFS reports a full disk here */
	if (rc == 0 && renameat(spot.dir_fd, temp, spot.dir_fd, spot.name) < 0) rc = errno;
	if (rc != 0) {
		if (*temp) (void)unlinkat(spot.dir_fd, temp, 0); /* the first failure is the one to tell */
		return fs_fail(root, "write", path, rc, err);
	}
	if (!how->is_unsynced && sync_dir(spot.dir_fd) < 0) return fs_fail(root, "sync", path, errno, err);
	return 0;
}

int fs_symlink(const struct fs_root *root, const char *path, const char *target, struct err *err) {
	struct fs_spot spot AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, path, &spot, err);
	char temp[TEMP_NAME_SIZE];

	if (rc < 0) return err_wrap(err, "cannot link %s%s", fs_prefix(root), path);
	rc = -1;
	for (int tries = 0; next_name(&tries, rc, temp);) rc = symlinkat(target, spot.dir_fd, temp);
	if (rc < 0) return fs_fail(root, "link", path, errno, err);
	if (renameat(spot.dir_fd, temp, spot.dir_fd, spot.name) < 0) {
		int errnum = errno;

		(void)unlinkat(spot.dir_fd, temp, 0); /* the first failure is the one to tell */
		return fs_fail(root, "link", path, errnum, err);
	}
	if (sync_dir(spot.dir_fd) < 0) return fs_fail(root, "sync", path, errno, err);
	return 0;
}

int fs_rename(const struct fs_root *root, const char *from, const char *to, struct err *err) {
	struct fs_spot source AUTO_FS_SPOT = {.dir_fd = -1}, target AUTO_FS_SPOT = {.dir_fd = -1};
	int rc = fs_spot_open(root, from, &source, err);

	if (rc == 0) rc = fs_spot_open(root, to, &target, err);
	if (rc < 0) return err_wrap(err, "cannot rename %s%s to %s", fs_prefix(root), from, to);
	if (renameat(source.dir_fd, source.name, target.dir_fd, target.name) < 0 || sync_dir(target.dir_fd) < 0)
		return fs_fail(root, "rename to", to, errno, err);
	return 0;
}

/* The pid in a lock file, 0 if it cannot be read: the holder may be between flock and write. */
static pid_t read_holder(int fd) {
	char text[32];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	struct err err;
	int64_t pid;

	text[n > 0 ? n : 0] = '\0';
	return parse_i64(str_trim(text), 1, INT32_MAX, &pid, &err) < 0 ? 0 : (pid_t)pid;
}

int fs_lock(const struct fs_root *root, const char *path, int *ret_fd, pid_t *ret_holder, struct err *err) {
	int fd AUTO_CLOSE = fs_open_raw(root, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NOCTTY, 0644);
	char text[32];
	pid_t holder;
	int n;

	if (fd < 0) return fs_fail(root, "lock", path, errno, err);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EINTR) continue;
		if (errno != EWOULDBLOCK) return fs_fail(root, "lock", path, errno, err);
		holder = read_holder(fd);
		if (ret_holder) *ret_holder = holder;
		if (holder == 0)
			return err_set(err, ERR_BUSY, "%s%s is locked by another process", fs_prefix(root), path);
		return err_set(err, ERR_BUSY, "%s%s is locked by process %d", fs_prefix(root), path, (int)holder);
	}
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) return fs_fail(root, "lock", path, errno, err);
	*ret_fd = cleanup_take_fd(&fd);
	return 0;
}
