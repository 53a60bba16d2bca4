#include "aws/s3tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "aws/s3walk.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

/* Directories kept open that nobody uses. */
#define IDLE_MAX 64

struct s3tree {
	int root_fd;
	struct s3tree_how how;
	VEC(struct s3dir *) dirs;
	uint64_t clock;
};

struct s3tree *s3tree_new(int root_fd, const struct s3tree_how *how) {
	struct s3tree *t = mem_zalloc(sizeof *t);
	t->root_fd = root_fd;
	t->how = *how;
	return t;
}

static void drop(struct s3tree *t, size_t i) {
	struct s3dir *dir = t->dirs.items[i];
	(void)close(dir->fd); /* only names were made below it */
	free(dir->path);
	free(dir);
	t->dirs.items[i] = t->dirs.items[--t->dirs.count];
}

void s3tree_free(struct s3tree *t) {
	if (!t) return;
	while (t->dirs.count) drop(t, 0);
	vec_clear(&t->dirs);
	free(t);
}

static struct s3dir *find(const struct s3tree *t, const char *path, size_t n) {
	for (size_t i = t->dirs.count; i-- > 0;)
		if (strncmp(t->dirs.items[i]->path, path, n) == 0 && !t->dirs.items[i]->path[n])
			return t->dirs.items[i];
	return NULL;
}

/* Room for one more: the one that was used longest ago goes. */
static void make_room(struct s3tree *t) {
	size_t oldest = SIZE_MAX;
	if (t->dirs.count < IDLE_MAX) return;
	for (size_t i = 0; i < t->dirs.count; i++)
		if (!t->dirs.items[i]->users &&
		    (oldest == SIZE_MAX || t->dirs.items[i]->used_at < t->dirs.items[oldest]->used_at))
			oldest = i;
	if (oldest != SIZE_MAX) drop(t, oldest);
}

static int fail(const char *path, int errnum, struct err *err) {
	if (errnum == ELOOP)
		return err_set(err, ERR_DENIED,
			       "'%s' is, or is behind, a symbolic link: nothing is written through one", path);
	if (errnum == ENOTDIR || errnum == EEXIST)
		return err_set(err, ERR_STATE, "a file or link is in the place of the folder '%s'", path);
	return err_set_errno(err, errnum, "cannot open the folder '%s'", path);
}

static int open_dir(const struct s3tree *t, const char *path, bool makes) {
	const struct fs_write how = {.mode = t->how.mode, .uid = t->how.uid, .gid = t->how.gid};
	if (t->how.follows_links) return openat(t->root_fd, *path ? path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return makes ? fs_make_dirs_beneath(t->root_fd, path, &how) : fs_open_dir_beneath(t->root_fd, path);
}

/* path of n bytes, no slash at its end. */
static int get(struct s3tree *t, const char *path, size_t n, bool makes, struct s3dir **ret_dir, struct err *err) {
	struct s3dir *dir = find(t, path, n);
	if (!dir) {
		char *own AUTO_FREE = mem_dup(path, n);
		make_room(t);
		int fd = open_dir(t, own, makes);
		if (fd < 0) return fail(own, errno, err);
		dir = mem_zalloc(sizeof *dir);
		dir->fd = fd;
		dir->path = own;
		own = NULL;
		vec_push(&t->dirs, dir);
	}
	dir->users++;
	dir->used_at = ++t->clock;
	*ret_dir = dir;
	return 0;
}

int s3tree_dir(struct s3tree *t, const char *path, bool makes, struct s3dir **ret_dir, const char **ret_name,
	       struct err *err) {
	const char *slash = strrchr(path, '/');
	int rc = get(t, path, slash ? (size_t)(slash - path) : 0, makes, ret_dir, err);
	if (!rc) *ret_name = slash ? slash + 1 : path;
	return rc;
}

void s3tree_release(struct s3dir *dir) {
	if (dir) dir->users--;
}

static size_t folder_len(const char *path) {
	size_t n = strlen(path);
	return n && path[n - 1] == '/' ? n - 1 : n;
}

int s3tree_make(struct s3tree *t, const char *folder, struct err *err) {
	struct s3dir *dir = NULL;
	int rc = get(t, folder, folder_len(folder), true, &dir, err);
	s3tree_release(dir);
	return rc;
}

/* Only directories are removed: unlinkat refuses what is not empty. 0, or an errno. */
static int remove_dirs(int parent_fd, const char *name, unsigned depth) {
	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0) return 0;
	if ((errno != ENOTEMPTY && errno != EEXIST) || depth == S3WALK_DEPTH_MAX) return errno;
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int rc = 0;
	if (!dir) {
		rc = errno;
		cleanup_close(&fd);
		return rc;
	}
	for (struct dirent *entry; !rc && (entry = readdir(dir));)
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			rc = remove_dirs(dirfd(dir), entry->d_name, depth + 1);
	(void)closedir(dir); /* read only */
	if (!rc && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0) rc = errno;
	return rc;
}

/* Directories that are open under a name that goes must not be found by it again. */
static void forget_below(struct s3tree *t, const char *path, size_t n) {
	for (size_t i = t->dirs.count; i-- > 0;) {
		const struct s3dir *dir = t->dirs.items[i];
		bool is_below = strncmp(dir->path, path, n) == 0 && (!dir->path[n] || dir->path[n] == '/');
		if (is_below && !dir->users) drop(t, i);
	}
}

int s3tree_remove_empty(struct s3tree *t, const char *path, struct err *err) {
	struct s3dir *dir = NULL;
	const char *name = NULL;
	forget_below(t, path, strlen(path));
	int rc = s3tree_dir(t, path, false, &dir, &name, err);
	if (rc || !dir) return rc;
	int errnum = remove_dirs(dir->fd, name, 0);
	s3tree_release(dir);
	if (errnum == ENOTDIR)
		return err_set(err, ERR_STATE, "the folder in its place holds files that are not to be deleted");
	return errnum ? err_set_errno(err, errnum, "cannot remove the folder in its place") : 0;
}

int s3tree_remove_file(struct s3tree *t, const char *path, struct err *err) {
	struct s3dir *dir = NULL;
	const char *name = NULL;
	int rc = s3tree_dir(t, path, false, &dir, &name, err);
	if (rc == -ERR_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (rc || !dir) return rc;
	if (unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT) rc = err_set_errno(err, errno, "cannot delete it");
	s3tree_release(dir);
	return rc;
}
