/*
 * Notes of unfinished multipart uploads. S3's list of them does not say whose they are, so each is noted below
 * state_dir: upload id, and size, time and inode of the file. A note of the same file is gone on with; that of another
 * is aborted. A note without an id tells that one was asked for: whoever wrote it was killed before the answer came.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "aws/call.h"
#include "aws/s3_file.h"
#include "aws/s3_parts.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"

#define NOTE_MAX 4096
#define NAME_SIZE (sizeof "upload-" + SHA256_HEX_SIZE)

static void note_name(const struct s3_parts *parts, char name[NAME_SIZE]) {
	AUTO_BUF struct buf text = BUF_INIT(S3_KEY_MAX + 512);
	char hex[SHA256_HEX_SIZE];

	buf_addf(&text, "%s\n%s", parts->p->op.s3->options.bucket, parts->p->spec.key);
	(void)snprintf(name, NAME_SIZE, "upload-%s", digest_sha256_hex(text.data, text.len, hex));
}

static int open_state_dir(const struct s3_parts *parts) {
	const char *path = parts->p->op.s3->options.state_dir;

	return path && parts->p->spec.name ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

/** The lines of a note that say which file it is of. */
static void add_file_lines(const struct s3_parts *parts, struct buf *out) {
	const struct stat *st = &parts->p->st;

	buf_addf(out, "dsagent upload 1\nfile %lld %lld.%09ld %llu\nparts %lld\n", (long long)st->st_size,
		 (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (unsigned long long)st->st_ino,
		 (long long)parts->part_size);
}

void s3_note_write(const struct s3_parts *parts) {
	AUTO_BUF struct buf text = BUF_INIT(NOTE_MAX);
	AUTO_CLOSE int dir = open_state_dir(parts);
	const struct s3_file_how how = {0600, (uid_t)-1, (gid_t)-1, clock_now_ms()};
	struct s3_file file = {0};
	struct err ignored;
	int64_t now = clock_now_ms() / 1000 + parts->p->op.s3->aws->clock_skew_s;
	char name[NAME_SIZE];

	if (dir < 0) return;
	note_name(parts, name);
	add_file_lines(parts, &text);
	if (parts->upload_id)
		buf_addf(&text, "id %s\n", parts->upload_id);
	else
		buf_addf(&text, "asked %" PRId64 "\n", now);
	if (text.has_overflowed || s3_file_create(&file, dir, name, &parts->p->op.s3->temp_seed, &ignored) != 0) return;
	if (s3_file_write(file.fd, text.data, text.len, 0, &ignored) == 0 && s3_file_commit(&file, &how, &ignored) == 0)
		return;
	s3_file_drop(&file);
}

void s3_note_remove(const struct s3_parts *parts) {
	AUTO_CLOSE int dir = open_state_dir(parts);
	char name[NAME_SIZE];

	if (dir < 0) return;
	note_name(parts, name);
	(void)unlinkat(dir, name, 0); /* may never have been written */
}

static void read_asked(char *line, int64_t *ret_at) {
	struct err ignored; /* damaged: there is no such note */

	if (!line) return;
	line += strlen("\nasked ");
	line[strcspn(line, "\n")] = '\0';
	if (parse_i64(line, 1, INT64_MAX, ret_at, &ignored) != 0) *ret_at = 0;
}

bool s3_note_read(struct s3_parts *parts) {
	AUTO_BUF struct buf want = BUF_INIT(NOTE_MAX);
	AUTO_CLOSE int dir = open_state_dir(parts);
	AUTO_CLOSE int fd = -1;
	char name[NAME_SIZE], text[NOTE_MAX + 1], *id;
	ssize_t n;

	if (dir < 0) return false;
	note_name(parts, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, NOTE_MAX) : -1;
	if (n <= 0) return false;
	text[n] = '\0';
	id = strstr(text, "\nid ");
	if (!id) {
		read_asked(strstr(text, "\nasked "), &parts->asked_at);
		return false;
	}
	parts->upload_id = mem_dup(id + 4, strcspn(id + 4, "\n"));
	add_file_lines(parts, &want);
	return str_starts(text, buf_str(&want));
}
