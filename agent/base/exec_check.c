/* From a command's end to an error that a user can act upon; and what /proc knows about processes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/exec_internal.h"
#include "base/parse.h"
#include "base/str.h"

/* Shares of ERR_MSG_MAX, so that callers' wraps push out nothing that matters. */
#define NAME_SIZE 160
#define LAST_LINES_SIZE 560
#define LAST_LINES_MAX 6

/* Passes over /proc: processes that fork while they are killed are met again. */
#define KILL_ROUNDS_MAX 20
#define KILL_ROUND_MS 5
#define VMSTAT_MAX (64 * 1024)

void exec_name(const struct exec_spec *spec, char *name, size_t size) {
	struct buf text AUTO_BUF = BUF_INIT(1024 * 1024);
	size_t n;

	if (spec->label) buf_adds(&text, spec->label);
	for (size_t i = 0; !spec->label && spec->argv[i] && text.len < size; i++)
		buf_addf(&text, "%s%s", i ? " " : "", spec->argv[i]);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 0x20) text.data[i] = ' ';
	n = text.len;
	if (n >= size) {
		n = size - 4; /* room for the dots and the NUL */
		while (n > 0 && ((unsigned char)text.data[n] & 0xC0) == 0x80) n--;
		buf_cut(&text, n);
		buf_adds(&text, "...");
	}
	(void)snprintf(name, size, "%s", buf_str(&text)); /* fits */
}

/* The last lines of tail on one line: ": a | b", or "" when there was no output. */
static void last_lines(const struct buf *tail, char *text, size_t size) {
	struct buf copy AUTO_BUF = BUF_INIT(EXEC_TAIL_ROOM);
	char *lines[LAST_LINES_MAX];
	size_t count = 0, len = 0;

	text[0] = '\0';
	buf_adds(&copy, buf_str(tail));
	while (copy.len > 0 && count < LAST_LINES_MAX) {
		char *newline = memrchr(copy.data, '\n', copy.len);
		char *line = str_trim(newline ? newline + 1 : copy.data);
		size_t n = strlen(line);

		copy.len = newline ? (size_t)(newline - copy.data) : 0;
		if (newline) *newline = '\0';
		if (n == 0) continue;
		if (len + n + 4 > size && count > 0) break;
		for (n = n + 4 > size ? size - 4 : n; n > 0 && ((unsigned char)line[n] & 0xC0) == 0x80;) n--;
		line[n] = '\0'; /* only a single line longer than all the room is cut, between characters */
		lines[count++] = line;
		len += n + 3;
	}
	for (size_t used = 0; count > 0; used = strlen(text))
		(void)snprintf(text + used, size - used, "%s%s", used ? " | " : ": ", lines[--count]); /* fits */
}

static void describe_end(const struct exec_result *r, char *text, size_t size) {
	if (r->signal)
		(void)snprintf(text, size, "was ended by signal %d (%s)", r->signal, strsignal(r->signal));
	else
		(void)snprintf(text, size, "ended with exit status %d", r->exit_code);
}

static int judge(const struct exec_spec *spec, const struct exec_result *r, struct err *err) {
	char name[NAME_SIZE], end[96], last[LAST_LINES_SIZE];
	const char *tail = buf_str(&r->tail);

	if (!r->has_timed_out && r->signal == 0 && r->exit_code == 0) return 0;
	exec_name(spec, name, sizeof name);
	last_lines(&r->tail, last, sizeof last);
	describe_end(r, end, sizeof end);
	if (r->has_timed_out) {
		/* What is left of a step's limit is a few ms short of what the recipe says: to whole seconds, then. */
		bool is_short = spec->timeout_ms < 900;
		long long limit = is_short ? spec->timeout_ms : (spec->timeout_ms + 500) / 1000;

		return err_set(err, ERR_TIMEOUT, "'%s' did not end within %lld %s%s", name, limit,
			       is_short ? "ms" : "s", last);
	}
	if (r->was_oom_killed)
		return err_set(err, ERR_NO_MEMORY,
			       "out of memory: the kernel killed '%s'; add swap or take a larger instance%s", name,
			       last);
	if (strstr(tail, "No space left on device") || strstr(tail, "Disk quota exceeded"))
		return err_set(err, ERR_NO_SPACE, "disk full, free space or take a larger volume: '%s' %s%s", name, end,
			       last);
	return err_set(err, ERR_COMMAND, "'%s' %s%s", name, end, last);
}

int exec_check(const struct exec_spec *spec, struct exec_result *ret_result, struct err *err) {
	struct exec_result result AUTO_EXEC_RESULT = {0};
	int rc = exec_run(spec, &result, err);

	if (rc < 0) return rc;
	rc = judge(spec, &result, err);
	if (ret_result) {
		*ret_result = result;
		result = (struct exec_result){0};
	}
	return rc;
}

/* Reads a small file of the machine's own /proc; false if it is gone. */
static bool read_proc(int dir_fd, const char *path, struct buf *b) {
	int fd AUTO_CLOSE = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;

	if (fd < 0) return false;
	while ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0) buf_add(b, chunk, (size_t)n);
	return n == 0 && b->len > 0 && !b->has_overflowed;
}

long long exec_oom_kills(void) {
	struct buf b AUTO_BUF = BUF_INIT(VMSTAT_MAX);
	const char *at;
	long long count = -1;

	if (!read_proc(AT_FDCWD, "/proc/vmstat", &b)) return -1;
	at = strstr(b.data, "\noom_kill ");
	if (at) count = strtoll(at + strlen("\noom_kill "), NULL, 10); /* the kernel's own decimal */
	return count;
}

/* True if /proc/PID/stat says that a live process is of this session: proc_pid_stat(5), fields 3 and 6. */
static bool is_of_session(const char *stat, pid_t sid) {
	const char *fields = strrchr(stat, ')'); /* the name before it may hold anything */
	int ppid, group, session;
	char state;

	if (!fields || sscanf(fields, ") %c %d %d %d", &state, &ppid, &group, &session) != 4) return false;
	return session == sid && state != 'Z' && state != 'X';
}

static size_t kill_once(pid_t sid) {
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t killed = 0;

	while (proc && (entry = readdir(proc))) {
		struct buf b AUTO_BUF = BUF_INIT(4096);
		char path[64];
		int64_t pid;
		struct err err;

		if (parse_i64(entry->d_name, 2, INT32_MAX, &pid, &err) < 0 || pid == getpid()) continue;
		(void)snprintf(path, sizeof path, "%" PRId64 "/stat", pid); /* fits */
		if (!read_proc(dirfd(proc), path, &b) || !is_of_session(b.data, sid)) continue;
		if (kill((pid_t)pid, SIGKILL) == 0) killed++;
	}
	if (proc) (void)closedir(proc); /* read only */
	return killed;
}

void exec_kill_session(pid_t sid) {
	if (sid <= 1) return;
	for (int i = 0; i < KILL_ROUNDS_MAX && kill_once(sid) > 0; i++) clock_sleep_ms(KILL_ROUND_MS);
}
