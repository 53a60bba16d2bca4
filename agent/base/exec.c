#include "base/exec.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/exec_internal.h"

/* SIGTERM to SIGKILL: what systemd's units and apt's own helpers need to close files; shorter than any reboot limit. */
#define EXEC_GRACE_MS 5000
/* How long a process may take to die from SIGKILL (a hung disk) before it is left behind. */
#define EXEC_UNKILLABLE_MS 30000
/* The same for a command that is known to hang there (exec_spec.may_hang): a killed process is gone in milliseconds. */
#define EXEC_HUNG_MS 2000
/* A background process that keeps our pipe open is waited for no longer than this after the command has ended. */
#define EXEC_DRAIN_MS 500
/* Longest sleep: exec_cancel between the check of its flag and poll is seen after this at most. */
#define EXEC_POLL_MS 200
/* The same where pidfd_open(2) is missing (before Linux 5.3) and the end of the command must be looked for. */
#define EXEC_POLL_NO_PIDFD_MS 20
#define EXEC_CHUNK (64 * 1024)

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static volatile sig_atomic_t is_cancelled;

void exec_cancel(void) { is_cancelled = 1; }

bool exec_is_cancelled(void) { return is_cancelled; }

enum reason { REASON_NONE, REASON_TIMEOUT, REASON_CANCEL, REASON_LIMIT };

struct run {
	const struct exec_spec *spec;
	struct exec_child child;
	int pid_fd;
	size_t in_done; /* bytes of stdin_data that are written */
	struct exec_lines *lines[2];
	struct exec_result result;
	struct exec_report report;
	bool has_report;
	bool is_dead;	    /* the child has ended, but is not reaped */
	enum reason reason; /* why we ended it */
	bool is_killed;	    /* SIGKILL was sent */
	int64_t deadline, kill_at, drain_until, give_up_at;
};

static void end_group(struct run *r, enum reason why, int64_t now) {
	if (r->reason != REASON_NONE || r->is_dead) return;
	r->reason = why;
	r->kill_at = now + (r->spec->may_hang ? 0 : EXEC_GRACE_MS);
	if (r->spec->may_hang) return;	    /* check_time kills it at once */
	(void)kill(-r->child.pid, SIGTERM); /* ESRCH: it has just ended */
	(void)kill(-r->child.pid, SIGCONT); /* a stopped process would not see SIGTERM */
}

/* Looks at the child and the clock, and ends what must end. */
static void check_time(struct run *r, int64_t now) {
	siginfo_t info = {0};

	if (!r->is_dead &&
	    (waitid(P_PID, (id_t)r->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno == ECHILD
										       : info.si_pid != 0)) {
		r->is_dead = true;
		r->drain_until = now + EXEC_DRAIN_MS;
	}
	if (is_cancelled) end_group(r, REASON_CANCEL, now);
	if (now >= r->deadline) end_group(r, REASON_TIMEOUT, now);
	if (r->reason != REASON_NONE && !r->is_killed && now >= r->kill_at) {
		r->is_killed = true;
		r->give_up_at = now + (r->spec->may_hang ? EXEC_HUNG_MS : EXEC_UNKILLABLE_MS);
		(void)kill(-r->child.pid, SIGKILL); /* ESRCH: it has just ended */
	}
}

static bool is_over(const struct run *r, int64_t now) {
	if (r->is_dead) return (r->child.out < 0 && r->child.err < 0) || now >= r->drain_until;
	return r->is_killed && now >= r->give_up_at;
}

static void sooner(int64_t *wait_ms, int64_t at, int64_t now) {
	if (at - now < *wait_ms) *wait_ms = at - now;
}

static int wait_ms(const struct run *r, int64_t now) {
	int64_t ms = r->pid_fd >= 0 ? EXEC_POLL_MS : EXEC_POLL_NO_PIDFD_MS;

	if (r->is_dead)
		sooner(&ms, r->drain_until, now);
	else if (r->reason == REASON_NONE)
		sooner(&ms, r->deadline, now);
	else
		sooner(&ms, r->is_killed ? r->give_up_at : r->kill_at, now);
	return ms < 0 ? 0 : (int)ms;
}

static void shut(int *fd) {
	cleanup_close(fd);
	*fd = -1;
}

static bool is_transient(void) { return errno == EAGAIN || errno == EINTR; }

static void feed_stdin(struct run *r) {
	const struct exec_spec *spec = r->spec;

	if (r->in_done < spec->stdin_len) {
		ssize_t n = write(r->child.in, spec->stdin_data + r->in_done, spec->stdin_len - r->in_done);

		if (n < 0 && is_transient()) return;
		if (n < 0)
			r->in_done = spec->stdin_len; /* EPIPE: it does not want the rest, which is its right */
		else
			r->in_done += (size_t)n;
	}
	if (r->in_done >= spec->stdin_len) shut(&r->child.in);
}

static void drain(struct run *r, int *fd, enum exec_stream stream) {
	char chunk[EXEC_CHUNK];
	ssize_t n = read(*fd, chunk, sizeof chunk);

	if (n < 0 && is_transient()) return;
	if (n <= 0) {
		shut(fd);
		return;
	}
	if (stream == EXEC_STDOUT && r->spec->stdout_max > 0) buf_add(&r->result.out, chunk, (size_t)n);
	exec_lines_add(r->lines[stream], chunk, (size_t)n, r->spec, &r->result.tail);
	if (r->result.out.has_overflowed) end_group(r, REASON_LIMIT, clock_mono_ms());
}

static void read_report(struct run *r) {
	ssize_t n = read(r->child.report, &r->report, sizeof r->report);

	if (n < 0 && is_transient()) return;
	r->has_report = n == (ssize_t)sizeof r->report;
	shut(&r->child.report);
}

static void pump(struct run *r) {
	struct exec_child *c = &r->child;

	if (c->in >= 0 && r->spec->stdin_len == 0) shut(&c->in);
	for (int64_t now = clock_mono_ms();; now = clock_mono_ms()) {
		struct pollfd fds[] = {
			{.fd = c->in, .events = POLLOUT},
			{.fd = c->out, .events = POLLIN},
			{.fd = c->err, .events = POLLIN},
			{.fd = c->report, .events = POLLIN},
			{.fd = r->is_dead ? -1 : r->pid_fd, .events = POLLIN},
		};

		check_time(r, now);
		if (r->is_dead) fds[4].fd = -1;
		if (is_over(r, now)) break;
		if (poll(fds, sizeof fds / sizeof *fds, wait_ms(r, now)) <= 0) continue; /* EINTR: look again */
		if (fds[0].revents) feed_stdin(r);
		if (fds[1].revents) drain(r, &c->out, EXEC_STDOUT);
		if (fds[2].revents) drain(r, &c->err, EXEC_STDERR);
		if (fds[3].revents) read_report(r);
	}
	if (c->report >= 0) read_report(r);
	for (int i = 0; i < 2; i++) exec_lines_end(r->lines[i], r->spec, &r->result.tail);
	exec_tail_trim(&r->result.tail);
}

/* Ends what is left of a group that we ended, while the dead child still keeps the group's number; then reaps it. */
static int reap(struct run *r, struct err *err) {
	int status = 0;

	if (r->reason != REASON_NONE) (void)kill(-r->child.pid, SIGKILL); /* ESRCH: nothing is left */
	r->result.exit_code = -1;
	if (!r->is_dead) {
		r->result.was_left_behind = true;
		r->result.signal = SIGKILL; /* left behind in the kernel: it ends when its disk answers */
		return 0;
	}
	while (waitpid(r->child.pid, &status, 0) < 0)
		if (errno != EINTR) return err_set_errno(err, errno, "cannot learn how %s ended", r->spec->argv[0]);
	if (WIFEXITED(status))
		r->result.exit_code = WEXITSTATUS(status);
	else
		r->result.signal = WTERMSIG(status);
	return 0;
}

static int finish(struct run *r, long long oom_before, struct err *err) {
	char name[128];
	int rc = reap(r, err);
	/* A shell reports its child's SIGKILL as 128 + 9. */
	bool is_sigkill = r->result.signal == SIGKILL || r->result.exit_code == 128 + SIGKILL;

	if (rc < 0) return rc;
	exec_name(r->spec, name, sizeof name);
	if (r->has_report) return exec_child_failed(r->spec, &r->report, err);
	if (r->reason == REASON_CANCEL) return err_set(err, ERR_CANCELLED, "'%s' was told to stop", name);
	if (r->result.out.has_overflowed)
		return err_set(err, ERR_LIMIT, "the output of '%s' is larger than %zu bytes", name,
			       r->spec->stdout_max);
	r->result.has_timed_out = r->reason == REASON_TIMEOUT;
	r->result.was_oom_killed = is_sigkill && !r->is_killed && oom_before >= 0 && exec_oom_kills() > oom_before;
	return 0;
}

static void run_clear(struct run *r) {
	int *const fds[] = {&r->pid_fd, &r->child.in, &r->child.out, &r->child.err, &r->child.report};

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) cleanup_close(fds[i]);
	exec_result_clear(&r->result);
}

int exec_run(const struct exec_spec *spec, struct exec_result *ret_result, struct err *err) {
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	struct exec_lines lines[2] = {{.stream = EXEC_STDOUT}, {.stream = EXEC_STDERR}};
	struct run r = {.spec = spec, .pid_fd = -1, .lines = {&lines[0], &lines[1]}};
	long long oom_before = exec_oom_kills();
	int rc;

	if (is_cancelled) return err_set(err, ERR_CANCELLED, "'%s' was not started: told to stop", spec->argv[0]);
	if (spec->timeout_ms <= 0) return err_set(err, ERR_INVALID, "'%s' has no time limit", spec->argv[0]);
	r.result.out = BUF_INIT(spec->stdout_max);
	r.result.tail = BUF_INIT(EXEC_TAIL_ROOM);
	rc = exec_child_start(spec, &r.child, err);
	if (rc < 0) return rc;
	r.pid_fd = (int)syscall(SYS_pidfd_open, r.child.pid, 0);
	r.deadline = clock_mono_ms() + spec->timeout_ms;
	(void)sigaction(SIGPIPE, &ignore, &old); /* a command may close its stdin early; cannot fail */
	pump(&r);
	(void)sigaction(SIGPIPE, &old, NULL);
	rc = finish(&r, oom_before, err);
	if (rc == 0) {
		*ret_result = r.result;
		r.result = (struct exec_result){0};
	}
	run_clear(&r);
	return rc;
}

void exec_result_clear(struct exec_result *result) {
	if (!result) return;
	buf_clear(&result->out);
	buf_clear(&result->tail);
}
