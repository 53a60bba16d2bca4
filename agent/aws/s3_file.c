#include "aws/s3_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "aws/s3.h"
#include "base/err.h"
#include "base/str.h"

#define MARK ".dsagent."
#define MARK_LEN 6 /* characters of 5 bits: a collision is tried again */
#define MARK_MASK ((UINT64_C(1) << 5 * MARK_LEN) - 1)
#define TRIES_MAX 100

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static void add_mark(char *out, uint64_t mark) {
	for (size_t i = 0; i < MARK_LEN; i++, mark >>= 5) out[i] = digits[mark & 31];
	out[MARK_LEN] = '\0';
}

void s3_file_temp(const char *name, uint64_t mark, char temp[NAME_MAX + 1]) {
	/* Room for ".journal" behind it. */
	int room = NAME_MAX - 1 - (int)strlen(MARK) - MARK_LEN - (int)strlen(S3_JOURNAL_SUFFIX);
	int n = snprintf(temp, NAME_MAX + 1, ".%.*s" MARK, room, name);

	add_mark(temp + n, mark);
}

/** The mark of a temporary name, or NULL. */
static const char *find_mark(const char *name) {
	const char *mark = NULL;

	for (const char *p = strstr(name, MARK); p; p = strstr(p + 1, MARK)) mark = p;
	if (*name != '.' || !mark || mark == name) return NULL;
	mark += strlen(MARK);
	if (strspn(mark, digits) != MARK_LEN) return NULL;
	return mark[MARK_LEN] == '\0' || str_eq(mark + MARK_LEN, S3_JOURNAL_SUFFIX) ? mark : NULL;
}

bool s3_is_temporary(const char *name) { return find_mark(name) != NULL; }

bool s3_file_is_between(const char *name, uint64_t first, uint64_t end) {
	const char *mark = find_mark(name);
	uint64_t value = 0;

	for (size_t i = MARK_LEN; mark && i-- > 0;) value = value << 5 | (uint64_t)(strchr(digits, mark[i]) - digits);
	return mark && ((value - first) & MARK_MASK) < end - first;
}

int s3_file_create(struct s3_file *f, int dir_fd, const char *name, uint64_t *seed, struct err *err) {
	f->dir_fd = dir_fd;
	f->name = name;
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		s3_file_temp(name, (*seed)++, f->temp);
		f->fd = openat(dir_fd, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (f->fd >= 0) {
			f->is_open = true;
			return 0;
		}
		if (errno != EEXIST) break;
	}
	return err_set_errno(err, errno, "cannot make a temporary file for '%s'", name);
}

void s3_file_hold(const struct s3_file *f) {
	(void)flock(f->fd, LOCK_EX | LOCK_NB); /* a file system without locks has no neighbours to fear either */
}

bool s3_file_tidy(int dir_fd, const char *temp) {
	AUTO_CLOSE int fd = openat(dir_fd, temp, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
	(void)unlinkat(dir_fd, temp, 0); /* what cannot be removed is left to the user */
	return true;
}

int s3_file_write(int fd, const void *data, size_t len, int64_t offset, struct err *err) {
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot write %zu bytes at %lld", len, (long long)offset);
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

static int settle(const struct s3_file *f, const struct s3_file_how *how, struct err *err) {
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)(how->modified_at_ms / 1000),
		 .tv_nsec = (long)(how->modified_at_ms % 1000) * 1000000},
	};

	if ((how->uid != (uid_t)-1 || how->gid != (gid_t)-1) && fchown(f->fd, how->uid, how->gid) != 0)
		return err_set_errno(err, errno, "cannot give '%s' its owner", f->name);
	if (fchmod(f->fd, how->mode) != 0) return err_set_errno(err, errno, "cannot give '%s' its mode", f->name);
	if (futimens(f->fd, times) != 0) return err_set_errno(err, errno, "cannot give '%s' its time", f->name);
	return 0;
}

int s3_file_commit(struct s3_file *f, const struct s3_file_how *how, struct err *err) {
	int rc = settle(f, how, err);

	f->is_open = false;
	if (close(f->fd) != 0 && !rc) rc = err_set_errno(err, errno, "cannot write '%s'", f->name);
	if (!rc && renameat(f->dir_fd, f->temp, f->dir_fd, f->name) == 0) return 0;
	if (!rc && (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST))
		rc = err_set(err, ERR_STATE, "'%s' is a directory here: the object has the name of one", f->name);
	else if (!rc)
		rc = err_set_errno(err, errno, "cannot rename to '%s'", f->name);
	(void)unlinkat(f->dir_fd, f->temp, 0); /* what is left is recognised by its name */
	return rc;
}

void s3_file_drop(struct s3_file *f) {
	if (!f->is_open) return;
	(void)close(f->fd);		       /* not needed any more */
	(void)unlinkat(f->dir_fd, f->temp, 0); /* as in commit */
	f->is_open = false;
}
