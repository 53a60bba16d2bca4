#include "aws/s3walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/s3.h"
#include "aws/s3filter.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"

/* Most bytes of the names of one directory: some ten million of them. */
#define NAMES_MAX (512UL * 1024 * 1024)

/* What the directory says of a name, one byte before it. */
enum { TYPE_FILE = 'f', TYPE_FOLDER = 'd' };

/* One directory that is being walked. */
struct level {
	int fd;
	char *names;	   /* type, name, NUL; one after the other */
	uint32_t *offsets; /* of names, sorted */
	size_t count, at;
	size_t path_len; /* of its own path with its slash */
	dev_t dev;
	ino_t ino;
};

struct s3walk {
	struct s3walk_options options;
	VEC(struct level) levels;
	struct buf path;
	size_t problems;
};

static void problem(struct s3walk *w, const char *path, const struct err *err) {
	w->problems++;
	w->options.on_problem(path, err, w->options.arg);
}

/* Bytewise, a folder's name followed by '/'. */
static int compare(const void *a, const void *b, void *names) {
	const char *x = (const char *)names + *(const uint32_t *)a, *y = (const char *)names + *(const uint32_t *)b;
	bool x_is_folder = *x++ == TYPE_FOLDER, y_is_folder = *y++ == TYPE_FOLDER;
	while (*x && *x == *y) {
		x++;
		y++;
	}
	unsigned char p = (unsigned char)*x, q = (unsigned char)*y;
	if (!p && x_is_folder) p = '/';
	if (!q && y_is_folder) q = '/';
	return (int)p - (int)q;
}

static bool is_folder(const struct s3walk *w, int fd, const struct dirent *entry) {
	struct stat st;
	if (entry->d_type == DT_DIR) return true;
	bool is_unknown = entry->d_type == DT_UNKNOWN || (entry->d_type == DT_LNK && w->options.follows_links);
	int flags = w->options.follows_links ? 0 : AT_SYMLINK_NOFOLLOW;
	return is_unknown && fstatat(fd, entry->d_name, &st, flags) == 0 && S_ISDIR(st.st_mode);
}

static bool is_dots(const char *name) { return str_eq(name, ".") || str_eq(name, ".."); }

/* Reads all names. 0, or an errno. */
static int read_names(struct s3walk *w, struct level *level) {
	int fd = openat(level->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	AUTO_BUF struct buf names = BUF_INIT(NAMES_MAX);
	VEC(uint32_t) offsets = {0};
	struct dirent *entry = NULL;
	if (!dir) {
		int saved = errno;
		cleanup_close(&fd);
		return saved;
	}
	while (errno = 0, (entry = readdir(dir))) {
		if (is_dots(entry->d_name)) continue;
		if (s3_is_temporary(entry->d_name)) {
			if (w->options.on_temporary) w->options.on_temporary(level->fd, entry->d_name, w->options.arg);
			continue;
		}
		vec_push(&offsets, (uint32_t)names.len);
		buf_addc(&names, is_folder(w, level->fd, entry) ? TYPE_FOLDER : TYPE_FILE);
		buf_add(&names, entry->d_name, strlen(entry->d_name) + 1);
	}
	int rc = names.has_overflowed ? ENOMEM : errno;
	(void)closedir(dir); /* read only */
	if (rc) {
		vec_clear(&offsets);
		return rc;
	}
	level->names = buf_take(&names);
	level->offsets = offsets.items;
	level->count = offsets.count;
	if (level->count) qsort_r(level->offsets, level->count, sizeof *level->offsets, compare, level->names);
	return 0;
}

static void clear_level(struct level *level) {
	cleanup_close(&level->fd);
	free(level->names);
	free(level->offsets);
}

static bool is_circle(const struct s3walk *w, const struct stat *st) {
	for (size_t i = 0; i < w->levels.count; i++)
		if (w->levels.items[i].dev == st->st_dev && w->levels.items[i].ino == st->st_ino) return true;
	return false;
}

/* Takes fd over. */
static int push(struct s3walk *w, int fd, struct err *err) {
	struct level level = {.fd = fd, .path_len = w->path.len};
	struct stat st;
	int rc = 0;
	if (fstat(fd, &st) < 0) rc = err_set_errno(err, errno, "cannot look at the folder");
	level.dev = st.st_dev;
	level.ino = st.st_ino;
	if (!rc && w->options.follows_links && is_circle(w, &st))
		rc = err_set(err, ERR_INVALID, "a symbolic link leads back to a folder that it is in");
	if (!rc && w->levels.count == S3WALK_DEPTH_MAX)
		rc = err_set(err, ERR_LIMIT, "folders are nested more than %d deep", S3WALK_DEPTH_MAX);
	int errnum = rc ? 0 : read_names(w, &level);
	if (errnum) rc = err_set_errno(err, errnum, "cannot list the folder");
	if (rc)
		clear_level(&level);
	else
		vec_push(&w->levels, level);
	return rc;
}

int s3walk_open(const struct s3walk_options *options, struct s3walk **ret_walk, struct err *err) {
	struct s3walk *w = mem_zalloc(sizeof *w);
	w->options = *options;
	/* A path of more than S3WALK_DEPTH_MAX names is refused before. */
	w->path = BUF_INIT((size_t)S3WALK_DEPTH_MAX * (NAME_MAX + 2));
	int fd = fcntl(options->root_fd, F_DUPFD_CLOEXEC, 0);
	int rc = fd < 0 ? err_set_errno(err, errno, "cannot open the folder again") : push(w, fd, err);
	if (rc)
		s3walk_free(w);
	else
		*ret_walk = w;
	return rc;
}

void s3walk_free(struct s3walk *w) {
	if (!w) return;
	for (size_t i = 0; i < w->levels.count; i++) clear_level(&w->levels.items[i]);
	vec_clear(&w->levels);
	buf_clear(&w->path);
	free(w);
}

bool s3walk_is_complete(const struct s3walk *w) { return !w->problems; }

/* Enters a folder; false when it is passed over. */
static bool enter(struct s3walk *w, const struct level *level, const char *name) {
	struct err err = {0};
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (w->options.follows_links ? 0 : O_NOFOLLOW);
	if (w->options.filter && s3filter_prunes(w->options.filter, buf_str(&w->path))) return false;
	int fd = openat(level->fd, name, flags);
	if (fd < 0 && errno == ENOENT) return false; /* gone meanwhile */
	int rc = fd < 0 ? err_set_errno(&err, errno, "cannot open the folder") : push(w, fd, &err);
	if (rc) problem(w, buf_str(&w->path), &err);
	return !rc;
}

static enum s3walk_kind kind_of(mode_t mode) {
	if (S_ISREG(mode)) return S3WALK_FILE;
	return S_ISLNK(mode) ? S3WALK_LINK : S3WALK_SPECIAL;
}

/* False when it is passed over. */
static bool look(struct s3walk *w, const struct level *level, const char *name, struct s3walk_entry *entry) {
	struct stat st;
	struct err err = {0};
	int rc = fstatat(level->fd, name, &st, w->options.follows_links ? 0 : AT_SYMLINK_NOFOLLOW);
	if (rc < 0 && w->options.follows_links && (errno == ENOENT || errno == ELOOP))
		rc = fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW); /* a link that leads nowhere is told as one */
	if (rc < 0 && errno == ENOENT) return false;
	if (rc < 0) {
		(void)err_set_errno(&err, errno, "cannot look at it");
		problem(w, buf_str(&w->path), &err);
		return false;
	}
	if (S_ISDIR(st.st_mode)) return false; /* it was a file a moment ago: the next run sees what it is */
	*entry = (struct s3walk_entry){
		.path = buf_str(&w->path),
		.kind = kind_of(st.st_mode),
		.size = st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	return true;
}

bool s3walk_next(struct s3walk *w, struct s3walk_entry *ret_entry) {
	while (w->levels.count) {
		struct level *level = &w->levels.items[w->levels.count - 1];
		buf_cut(&w->path, level->path_len);
		if (level->at == level->count) {
			clear_level(level);
			w->levels.count--;
			continue;
		}
		const char *name = level->names + level->offsets[level->at++];
		bool is_dir = *name++ == TYPE_FOLDER;
		buf_adds(&w->path, name);
		if (is_dir) buf_addc(&w->path, '/');
		if (is_dir && enter(w, level, name)) {
			*ret_entry = (struct s3walk_entry){.path = buf_str(&w->path), .kind = S3WALK_FOLDER};
			return true;
		}
		if (!is_dir && look(w, level, name, ret_entry)) return true;
	}
	return false;
}
