/* Starting a command: what happens between fork and execve, and how the child tells that it could not. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "base/exec_internal.h"
#include "base/fs.h"
#include "base/mem.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
/* linux/close_range.h, which older C libraries lack; the flag came with Linux 5.11. */
#define CLOSE_RANGE_MARK_CLOEXEC 4U
/* Descriptors looked at one by one where close_range(2) is missing. */
#define FD_SCAN_MAX 65536

/* Signals are numbered 1..64 on Linux. */
#define SIGNAL_LAST 64

struct start {
	const struct exec_spec *spec;
	const char *const *env;
	int in, out, err, report; /* the child's ends, all above 2; in is -1 when stdin is inherited */
	pid_t parent;
};

static const char *path_of(const char *const *env) {
	for (; env && *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
	return EXEC_PATH_DEFAULT;
}

static const char *own_path(void) {
	const char *path = getenv("PATH");

	return path && *path ? path : EXEC_PATH_DEFAULT;
}

static _Noreturn void child_fail(const struct start *s, enum exec_stage stage, int errnum) {
	struct exec_report report = {.stage = stage, .errnum = errnum};

	(void)!write(s->report, &report, sizeof report); /* smaller than PIPE_BUF, so whole or, the parent gone, not */
	_exit(127);
}

static void mark_cloexec(void) {
	long last;

	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_MARK_CLOEXEC) == 0) return;
	last = sysconf(_SC_OPEN_MAX);
	if (last < 0 || last > FD_SCAN_MAX) last = FD_SCAN_MAX;
	for (int fd = 3; fd < (int)last; fd++) (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* EBADF where none is open */
}

static void reset_signals(void) {
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig <= SIGNAL_LAST; sig++)
		(void)sigaction(sig, &action, NULL); /* KILL, STOP and libc's own refuse, as they should */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
}

static void become_user(const struct start *s) {
	const struct exec_user *user = s->spec->user;

	if (!user) return;
	/* Without root only "stay who you are" is possible, and then nothing needs to change. */
	if (geteuid() != 0 && geteuid() == user->uid) return;
	if (initgroups(user->name, user->gid) < 0 || setgid(user->gid) < 0 || setuid(user->uid) < 0)
		child_fail(s, EXEC_STAGE_USER, errno);
}

/* execve along PATH; execvpe(3) would take PATH from our own environment instead of the command's. */
static _Noreturn void exec_along_path(const struct start *s) {
	const char *name = s->spec->argv[0];
	const char *dirs = strchr(name, '/') ? NULL : path_of(s->env);
	enum exec_stage stage = EXEC_STAGE_EXEC;
	int errnum = ENOENT;
	char path[PATH_MAX];

	for (;;) {
		size_t n = dirs ? strcspn(dirs, ":") : 0;
		int len = dirs ? snprintf(path, sizeof path, "%.*s/%s", (int)n, dirs, name)
			       : snprintf(path, sizeof path, "%s", name);

		if (len < (int)sizeof path && (!dirs || n > 0)) { /* an empty entry would be the working directory */
			(void)execve(path, (char *const *)s->spec->argv, (char *const *)s->env);
			if (errno == ENOENT && access(path, F_OK) == 0) child_fail(s, EXEC_STAGE_INTERPRETER, ENOENT);
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) child_fail(s, stage, errno);
			if (errno == EACCES) errnum = EACCES;
		}
		if (!dirs || !dirs[n]) child_fail(s, stage, errnum);
		dirs += n + 1;
	}
}

static _Noreturn void child_main(const struct start *s) {
	const struct exec_spec *spec = s->spec;

	if (setpgid(0, 0) < 0) child_fail(s, EXEC_STAGE_SETUP, errno);
	reset_signals();
	if ((s->in >= 0 && dup2(s->in, STDIN_FILENO) < 0) || dup2(s->out, STDOUT_FILENO) < 0 ||
	    dup2(s->err, STDERR_FILENO) < 0)
		child_fail(s, EXEC_STAGE_SETUP, errno);
	if (spec->root && !fs_root_is_host(spec->root) && spec->root->is_system)
		if (fchdir(spec->root->fd) < 0 || chroot(".") < 0) child_fail(s, EXEC_STAGE_CHROOT, errno);
	become_user(s);
	if (chdir(spec->cwd ? spec->cwd : "/") < 0) child_fail(s, EXEC_STAGE_CWD, errno);
	mark_cloexec();
	/* After setuid, which clears it; a parent that died before this call is seen by its pid. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) child_fail(s, EXEC_STAGE_SETUP, errno);
	if (getppid() != s->parent) _exit(127);
	exec_along_path(s);
}

/* A pipe whose ends are both above 2, so that dup2 in the child cannot overwrite one. */
static int make_pipe(int *ret_read, int *ret_write) {
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0) return -1;
	for (int i = 0; i < 2; i++) {
		int low = ends[i];

		if (low > 2) continue;
		ends[i] = fcntl(low, F_DUPFD_CLOEXEC, 3);
		(void)close(low); /* a fresh pipe */
	}
	*ret_read = ends[0];
	*ret_write = ends[1];
	return ends[0] < 0 || ends[1] < 0 ? -1 : 0;
}

static int open_stdin(const struct exec_spec *spec, int *ret_child_end, int *ret_our_end) {
	if (spec->is_stdin_inherited) return 0;
	if (spec->stdin_data) return make_pipe(ret_child_end, ret_our_end);
	*ret_child_end = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (*ret_child_end >= 0 && *ret_child_end <= 2) {
		int low = *ret_child_end;

		*ret_child_end = fcntl(low, F_DUPFD_CLOEXEC, 3);
		(void)close(low); /* /dev/null */
	}
	return *ret_child_end < 0 ? -1 : 0;
}

/* The environment of a spec that names none; items are freed by the caller. */
static void default_env(const struct exec_spec *spec, char *env[4]) {
	const char *home = spec->user && spec->user->home ? spec->user->home : getenv("HOME");

	env[0] = mem_printf("PATH=%s", own_path());
	env[1] = mem_strdup("LANG=C.UTF-8");
	env[2] = mem_printf("HOME=%s", home && *home ? home : "/root");
	env[3] = NULL;
}

static pid_t fork_child(const struct start *s) {
	sigset_t all, old;
	pid_t pid;

	/* Blocked over the fork: no handler of ours may run in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
	pid = fork();
	if (pid == 0) child_main(s);
	if (pid > 0) (void)setpgid(pid, pid); /* also here: whichever comes first; EACCES when it already runs */
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

int exec_child_start(const struct exec_spec *spec, struct exec_child *ret_child, struct err *err) {
	struct exec_child child = {.pid = -1, .in = -1, .out = -1, .err = -1, .report = -1};
	struct start s = {.spec = spec, .env = spec->env, .in = -1, .out = -1, .err = -1, .report = -1};
	char *env[4] = {NULL};
	int *const ours[] = {&child.in, &child.out, &child.err, &child.report};
	int *const theirs[] = {&s.in, &s.out, &s.err, &s.report};
	int rc = 0;

	if (!s.env) {
		default_env(spec, env);
		s.env = (const char *const *)env;
	}
	s.parent = getpid();
	if (open_stdin(spec, &s.in, &child.in) < 0 || make_pipe(&child.out, &s.out) < 0 ||
	    make_pipe(&child.err, &s.err) < 0 || make_pipe(&child.report, &s.report) < 0)
		rc = err_set_errno(err, errno, "cannot prepare to run %s", spec->argv[0]);
	for (size_t i = 0; rc == 0 && i < 4; i++)
		if (*ours[i] >= 0 && fcntl(*ours[i], F_SETFL, fcntl(*ours[i], F_GETFL) | O_NONBLOCK) < 0)
			rc = err_set_errno(err, errno, "cannot prepare to run %s", spec->argv[0]);
	if (rc == 0) child.pid = fork_child(&s);
	if (rc == 0 && child.pid < 0) rc = err_set_errno(err, errno, "cannot start a process for %s", spec->argv[0]);
	for (size_t i = 0; i < 4; i++) cleanup_close(theirs[i]);
	for (size_t i = 0; rc < 0 && i < 4; i++) cleanup_close(ours[i]);
	for (size_t i = 0; i < 3; i++) free(env[i]);
	if (rc == 0) *ret_child = child;
	return rc;
}

int exec_child_failed(const struct exec_spec *spec, const struct exec_report *report, struct err *err) {
	const char *name = spec->argv[0];
	const char *cwd = spec->cwd ? spec->cwd : "/";

	switch (report->stage) {
	case EXEC_STAGE_SETUP: return err_set_errno(err, report->errnum, "cannot prepare to run %s", name);
	case EXEC_STAGE_CHROOT:
		return err_set_errno(err, report->errnum, "cannot run %s inside %s", name, spec->root->path);
	case EXEC_STAGE_USER:
		return err_set_errno(err, report->errnum, "cannot run %s as user %s", name, spec->user->name);
	case EXEC_STAGE_CWD:
		return err_set(err, ERR_INVALID, "cannot run %s in directory %s: %s", name, cwd,
			       strerror(report->errnum));
	case EXEC_STAGE_INTERPRETER:
		return err_set(err, ERR_NOT_FOUND, "cannot run %s: the interpreter or loader that it names is missing",
			       name);
	case EXEC_STAGE_EXEC: break;
	}
	if (report->errnum != ENOENT) return err_set_errno(err, report->errnum, "cannot run %s", name);
	if (strchr(name, '/')) return err_set(err, ERR_NOT_FOUND, "no such command: %s", name);
	return err_set(err, ERR_NOT_FOUND, "no such command: %s (PATH=%s)", name,
		       spec->env ? path_of(spec->env) : own_path());
}

static bool is_program(const struct fs_root *root, const char *path) {
	struct stat st;
	struct err err;
	int fd AUTO_CLOSE = -1;

	if (!root) return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
	if (fs_open(root, path, O_PATH, 0, &fd, &err) < 0) return false;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

bool exec_find(const struct fs_root *root, const char *name, char *path, size_t size) {
	bool is_inside = root && !fs_root_is_host(root) && root->is_system;
	const char *dirs = is_inside ? EXEC_PATH_DEFAULT : own_path();

	for (;;) {
		size_t n = strcspn(dirs, ":");
		char candidate[PATH_MAX];
		int len = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)n, dirs, name);

		if (n > 0 && len < (int)sizeof candidate && (size_t)len < size &&
		    is_program(is_inside ? root : NULL, candidate)) {
			memcpy(path, candidate, (size_t)len + 1);
			return true;
		}
		if (!dirs[n]) return false;
		dirs += n + 1;
	}
}
