#include "aws/s3_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "aws/s3.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/digest.h"

#define HEADER_SIZE 1024
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 64

/** One for each range, behind the header. */
struct record {
	uint64_t crc;
	uint64_t is_done;
};

static void digest_of(const struct s3_journal_of *of, int64_t size, unsigned char digest[SHA256_SIZE]) {
	AUTO_BUF struct buf text = BUF_INIT(S3_KEY_MAX + S3_ETAG_MAX + 64);

	buf_addf(&text, "%s\n%lld\n%s", of->etag, (long long)size, of->key);
	digest_sha256(text.data, text.len, digest);
}

static void read_boot_id(char text[BOOT_ID_SIZE]) {
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, BOOT_ID_SIZE - 1) : -1;

	if (fd >= 0) (void)close(fd); /* only read */
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

/** What the journal must begin with to be that of this transfer; all HEADER_SIZE bytes. */
static void make_header(const struct s3_journal_of *of, const struct s3_window *window, char header[HEADER_SIZE]) {
	unsigned char digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE], boot_id[BOOT_ID_SIZE];

	digest_of(of, window->size, digest);
	read_boot_id(boot_id);
	memset(header, '\n', HEADER_SIZE);
	(void)snprintf(header, HEADER_SIZE, "dsagent ranges 1\n%s\n%s\n%lld of %lld\n%s\ncrc %d\n", of->key,
		       digest_hex(digest, sizeof digest, hex), (long long)window->range_size, (long long)window->size,
		       boot_id, of->has_crc ? (int)of->kind : -1);
}

static int open_beside(int dir_fd, const char *name, struct err *err) {
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0) return err_set_errno(err, errno, "cannot make '%s'", name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1) return fd;
	(void)close(fd); /* nothing was written */
	return err_set(err, ERR_DENIED, "'%s' is there already and not a file of ours", name);
}

/** Removes a journal and its file, unless somebody is at them. */
static void remove_pair(int dir_fd, const char *journal) {
	AUTO_FREE char *file = mem_dup(journal, strlen(journal) - strlen(S3_JOURNAL_SUFFIX));

	if (s3_file_tidy(dir_fd, file)) (void)unlinkat(dir_fd, journal, 0); /* or is left to the user */
}

/** What transfers of other versions of the same file have left. */
static void remove_stale(const struct s3_journal *j) {
	int fd = openat(j->file.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t stem = strlen(j->file.temp) - 6; /* without the mark of the version */
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		if (fd >= 0) (void)close(fd); /* only read */
		return;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (strncmp(entry->d_name, j->file.temp, stem) == 0 && s3_is_temporary(entry->d_name) &&
		    str_ends(entry->d_name, S3_JOURNAL_SUFFIX) && !str_eq(entry->d_name, j->name))
			remove_pair(j->file.dir_fd, entry->d_name);
	(void)closedir(dir); /* only read */
}

/** A file system that is in memory. */
static bool is_memory(const struct s3_journal *j, struct statfs *ret_fs) {
	return fstatfs(j->file.fd, ret_fs) == 0 && ret_fs->f_type == TMPFS_MAGIC;
}

/** Where memory is the disk, room is looked for alone: fallocate would make all pages, as slowly as writing them is. */
static int reserve_memory(const struct s3_journal *j, int64_t size, const struct statfs *fs) {
	struct stat st;

	if (fstat(j->file.fd, &st) != 0) return -1;
	if (fs->f_blocks == 0) return 0; /* mounted without a limit */
	if ((uint64_t)size <= (uint64_t)st.st_blocks * 512 + (uint64_t)fs->f_bavail * (uint64_t)fs->f_bsize) return 0;
	errno = ENOSPC;
	return -1;
}

/** Room for all of it now, rather than an error in the middle. */
static int reserve(const struct s3_journal *j, int64_t size, struct err *err) {
	struct statfs fs;
	int rc = is_memory(j, &fs) ? reserve_memory(j, size, &fs) : fallocate(j->file.fd, FALLOC_FL_KEEP_SIZE, 0, size);

	if (rc != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		return err_set_errno(err, errno, "cannot reserve %lld bytes for '%s'", (long long)size, j->file.name);
	if (ftruncate(j->file.fd, size) != 0)
		return err_set_errno(err, errno, "cannot make '%s' %lld bytes long", j->file.name, (long long)size);
	return 0;
}

/** Marks what is there. A journal that is not of this transfer is begun anew. */
static int read_journal(struct s3_journal *j, const struct s3_journal_of *of, struct s3_window *window,
			struct err *err) {
	char want[HEADER_SIZE], header[HEADER_SIZE];
	struct record record;
	struct stat st;
	bool is_ours;

	make_header(of, window, want);
	is_ours = fstat(j->file.fd, &st) == 0 && st.st_size == window->size &&
		  pread(j->fd, header, sizeof header, 0) == sizeof header && memcmp(header, want, sizeof want) == 0;
	if (!is_ours) {
		if (ftruncate(j->fd, 0) != 0) return err_set_errno(err, errno, "cannot begin '%s'", j->name);
		return s3_file_write(j->fd, want, sizeof want, 0, err);
	}
	for (size_t i = 0; i < window->count; i++)
		if (pread(j->fd, &record, sizeof record, HEADER_SIZE + (off_t)(i * sizeof record)) == sizeof record &&
		    record.is_done == 1)
			s3_window_done(window, i, record.crc);
	return 0;
}

static int open_both(struct s3_journal *j, const struct s3_journal_of *of, struct s3_window *window, struct err *err) {
	int fd = open_beside(of->dir_fd, j->file.temp, err);
	struct statfs fs;

	if (fd < 0) return fd;
	j->file.fd = fd;
	j->file.is_open = true;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, ERR_BUSY, "another process is fetching '%s' (it holds '%s')", of->name,
			       j->file.temp);
	remove_stale(j);
	fd = open_beside(of->dir_fd, j->name, err);
	if (fd < 0) return fd;
	j->fd = fd;
	if (read_journal(j, of, window, err) != 0 || reserve(j, window->size, err) != 0) return -(int)err->code;
	if (of->is_direct && !is_memory(j, &fs))
		j->direct_fd = openat(of->dir_fd, j->file.temp, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
	return 0;
}

int s3_journal_open(struct s3_journal *j, const struct s3_journal_of *of, struct s3_window *window, struct err *err) {
	unsigned char digest[SHA256_SIZE];
	uint64_t mark;

	*j = (struct s3_journal){.fd = -1, .direct_fd = -1, .kind = of->kind};
	j->file.dir_fd = of->dir_fd;
	j->file.name = of->name;
	digest_of(of, window->size, digest);
	memcpy(&mark, digest, sizeof mark);
	s3_file_temp(of->name, mark, j->file.temp);
	(void)snprintf(j->name, sizeof j->name, "%.*s%s", (int)(NAME_MAX - strlen(S3_JOURNAL_SUFFIX)), j->file.temp,
		       S3_JOURNAL_SUFFIX);
	if (open_both(j, of, window, err) == 0) return 0;
	if (err->code == ERR_NO_SPACE)
		s3_journal_drop(j);
	else
		s3_journal_close(j);
	return -(int)err->code;
}

void s3_journal_note(struct s3_journal *j, const struct s3_window *window, size_t index) {
	const struct record record = {.crc = window->marks[index].crc, .is_done = 1};
	struct err ignored;

	if (j->fd >= 0 &&
	    s3_file_write(j->fd, &record, sizeof record, HEADER_SIZE + (int64_t)(index * sizeof record), &ignored) != 0)
		err_clear(&ignored);
}

static void close_fd(int *fd) {
	if (*fd >= 0) (void)close(*fd); /* what it holds was written, or is not needed */
	*fd = -1;
}

void s3_journal_close(struct s3_journal *j) {
	close_fd(&j->fd);
	close_fd(&j->direct_fd);
	if (j->file.is_open) close_fd(&j->file.fd);
	j->file.is_open = false;
}

void s3_journal_drop(struct s3_journal *j) {
	bool has_file = j->file.is_open;

	if (j->fd >= 0) (void)unlinkat(j->file.dir_fd, j->name, 0); /* first: a file without a journal is nothing */
	if (has_file) (void)unlinkat(j->file.dir_fd, j->file.temp, 0);
	s3_journal_close(j);
}

void s3_journal_end(struct s3_journal *j) {
	if (j->fd >= 0) (void)unlinkat(j->file.dir_fd, j->name, 0); /* without its file it is removed by the next one */
	s3_journal_close(j);
}
