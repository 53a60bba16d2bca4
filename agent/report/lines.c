#include "report/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"

struct reader {
	char *data; /* LINES_BYTES_MAX and a NUL */
	size_t len;
	bool is_too_long; /* what comes until the next end of line belongs to one that was given up */
	lines_fn fn;
	void *arg;
};

static void give(struct reader *r, char *line, size_t len) {
	line[len] = '\0';
	if (r->is_too_long)
		r->fn(NULL, 0, r->arg);
	else if (len)
		r->fn(line, len, r->arg);
	r->is_too_long = false;
}

/* Gives the whole lines that are there, keeps the rest. */
static void give_lines(struct reader *r) {
	size_t at = 0;
	for (char *end; (end = memchr(r->data + at, '\n', r->len - at)); at = (size_t)(end - r->data) + 1)
		give(r, r->data + at, (size_t)(end - r->data) - at);
	memmove(r->data, r->data + at, r->len - at);
	r->len -= at;
	if (r->len == LINES_BYTES_MAX) {
		r->is_too_long = true;
		r->len = 0;
	}
}

static int open_file(const struct fs_root *root, const char *path, int *ret_fd, struct err *err) {
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc = fs_open(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);
	if (rc) return rc;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return err_set(err, ERR_STATE, "%s is no file", path);
	*ret_fd = cleanup_take_fd(&fd);
	return 0;
}

int lines_read(const struct fs_root *root, const char *path, lines_fn fn, void *arg, struct err *err) {
	AUTO_CLOSE int fd = -1;
	int rc = open_file(root, path, &fd, err);
	if (rc) return rc;
	AUTO_FREE char *data = mem_zalloc(LINES_BYTES_MAX + 1);
	struct reader r = {.data = data, .fn = fn, .arg = arg};
	for (;;) {
		ssize_t n = read(fd, r.data + r.len, LINES_BYTES_MAX - r.len);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot read %s", path);
		if (n == 0) break;
		r.len += (size_t)n;
		give_lines(&r);
	}
	if (r.len || r.is_too_long) give(&r, r.data, r.len);
	return 0;
}

int lines_tail(const struct fs_root *root, const char *path, size_t max, struct buf *out, struct err *err) {
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc = open_file(root, path, &fd, err);
	if (rc) return rc;
	if (fstat(fd, &st) != 0) return err_set_errno(err, errno, "%s", path);
	AUTO_FREE char *data = mem_zalloc(max + 1);
	off_t from = st.st_size > (off_t)max ? st.st_size - (off_t)max : 0;
	ssize_t n = pread(fd, data, max, from);
	if (n < 0) return err_set_errno(err, errno, "cannot read %s", path);
	data[n] = '\0';
	const char *start = data, *line = from ? memchr(data, '\n', (size_t)n) : NULL;
	if (line) start = line + 1; /* a line longer than all of it is shown from its middle */
	for (char *c = data; c < data + n; c++)
		if (*c == '\0') *c = ' ';
	buf_adds(out, start);
	return 0;
}
