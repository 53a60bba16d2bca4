#include "sys/gpu_kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"

/* The kernel's ring is 2^17 bytes (distributions) to 2^25 (log_buf_len's maximum); a writer may be faster than we. */
#define STREAM_MAX ((size_t)64 * 1024 * 1024)
#define STREAM_MS 1000
/* Newest part of a log file that is read. */
#define FILE_MAX ((off_t)8 * 1024 * 1024)
/* A record is at most PRINTKRB_RECORD_MAX plus its dictionary, escaped: a smaller buffer would get EINVAL. */
#define CHUNK 16384
/* Reads that gave no record, one after the other, before a log counts as broken. */
#define FAILURES_MAX 1000
/* /dev/kmsg: Documentation/admin-guide/devices.txt. */
#define KMSG_MAJOR 1
#define KMSG_MINOR 11

void gpu_kmsg_stream(struct gpu_kmsg *log, gpu_kmsg_read_fn read_fn, void *arg) {
	AUTO_FREE char *chunk = mem_zalloc(CHUNK);
	int64_t until_ms = clock_mono_ms() + STREAM_MS;
	size_t total = 0;
	for (unsigned failures = 0, turn = 0; failures < FAILURES_MAX; turn++) {
		if (total >= STREAM_MAX || (turn % 256 == 255 && clock_mono_ms() >= until_ms)) {
			log->is_cut = true;
			return;
		}
		ssize_t n = read_fn(arg, chunk, CHUNK);
		if (n == 0 || (n < 0 && errno == EAGAIN)) return;
		if (n > 0) {
			gpu_kmsg_record(log, chunk, (size_t)n);
			total += (size_t)n;
			failures = 0;
			continue;
		}
		failures++;
		if (errno == EPIPE)
			log->has_lost = true; /* the next read gives the oldest record that is left */
		else if (errno != EINTR && errno != EINVAL)
			return; /* EINVAL: a record too large; it is skipped */
	}
}

static ssize_t read_device(void *arg, void *data, size_t size) { return read(*(const int *)arg, data, size); }

/* Splits a file into records at newlines; of a line that is too long, the start is looked at. */
struct splitter {
	struct gpu_kmsg *log;
	size_t len;
	char line[GPU_KMSG_LINE_MAX];
};

static void split(struct splitter *s, const char *data, size_t n) {
	while (n) {
		const char *end = memchr(data, '\n', n);
		size_t piece = end ? (size_t)(end - data) : n;
		size_t room = sizeof s->line - s->len, kept = piece < room ? piece : room;
		memcpy(s->line + s->len, data, kept);
		s->len += kept;
		if (!end) return;
		gpu_kmsg_record(s->log, s->line, s->len);
		s->len = 0;
		data += piece + 1;
		n -= piece + 1;
	}
}

static void read_file(struct gpu_kmsg *log, int fd, off_t size) {
	AUTO_FREE struct splitter *s = mem_zalloc(sizeof *s);
	AUTO_FREE char *chunk = mem_zalloc(CHUNK);
	off_t at = size > FILE_MAX ? size - FILE_MAX : 0, end = at + FILE_MAX;
	int64_t until_ms = clock_mono_ms() + STREAM_MS;
	bool is_first = true;
	s->log = log;
	log->is_cut = at > 0;
	while (at < end && clock_mono_ms() < until_ms) {
		ssize_t n = pread(fd, chunk, CHUNK, at);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) break;
		const char *start = chunk;
		if (is_first && log->is_cut) { /* the middle of a line */
			const char *newline = memchr(chunk, '\n', (size_t)n);
			start = newline ? newline + 1 : chunk + n;
		}
		is_first = false;
		split(s, start, (size_t)(chunk + n - start));
		at += n;
	}
	if (s->len) gpu_kmsg_record(log, s->line, s->len);
}

/* False when path is no kernel log. */
static bool read_path(struct gpu_kmsg *log, const struct fs_root *root, const char *path) {
	AUTO_CLOSE int fd = -1;
	struct err err = {0};
	struct stat st;
	/* O_NONBLOCK: neither the end of the log nor a FIFO of that name is waited for. */
	if (fs_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &err)) {
		log->is_denied |= err.code == ERR_DENIED;
		return false;
	}
	if (fstat(fd, &st)) return false;
	if (S_ISREG(st.st_mode))
		read_file(log, fd, st.st_size);
	else if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(KMSG_MAJOR, KMSG_MINOR))
		gpu_kmsg_stream(log, read_device, &fd);
	else
		return false;
	return true;
}

void gpu_kmsg_read(struct gpu_kmsg *log, const struct fs_root *root) {
	log->has_log = read_path(log, root, "/dev/kmsg") || read_path(log, root, "/var/log/kmsg");
}
