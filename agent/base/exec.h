#pragma once
/*
 * Running a command: argv, never a shell string; a complete environment, never the inherited one; stdin from memory or
 * /dev/null; its own process group, ended as a whole (SIGTERM, 5 s later SIGKILL) when the deadline passes or the
 * calling process is told to stop. Output is streamed by line and its tail kept for messages.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct err;
struct fs_root;

/** Longest line given to on_line; a longer one comes in pieces. */
#define EXEC_LINE_MAX 4096
/** Bytes of output kept in exec_result.tail. */
#define EXEC_TAIL_MAX 4096

enum exec_stream { EXEC_STDOUT, EXEC_STDERR };

typedef void (*exec_line_fn)(enum exec_stream stream, const char *line, void *arg);

struct exec_user {
	const char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
};

struct exec_spec {
	const char *const *argv;      /* NULL-terminated; argv[0] without '/' is looked up in env's PATH */
	const char *const *env;	      /* NULL-terminated "K=V"; NULL: PATH, LANG=C.UTF-8 and HOME only */
	const char *cwd;	      /* NULL: "/" */
	const struct fs_root *root;   /* NULL or the host: no chroot; a root with is_system: chroot into it */
	const struct exec_user *user; /* NULL: stay; else setgroups (from the group file), setgid, setuid */
	const char *stdin_data;	      /* NULL: /dev/null */
	size_t stdin_len;
	int64_t timeout_ms;   /* > 0, mandatory */
	exec_line_fn on_line; /* may be NULL; called for both streams */
	void *arg;
	size_t stdout_max; /* > 0: keep stdout whole in exec_result.out up to this many bytes, else ERR_LIMIT */
	bool is_stdin_inherited;
	bool may_hang;	   /* in the kernel (a GPU, a dead disk): SIGKILL at its deadline, left behind 2 s later */
	const char *label; /* what messages call it instead of its argv; may be NULL */
};

struct exec_result {
	int exit_code; /* 0..255, or -1 when ended by a signal */
	int signal;    /* 0, or the signal that ended it */
	bool has_timed_out;
	bool was_left_behind; /* not even SIGKILL ended it: it is still in the kernel */
	bool was_oom_killed;  /* SIGKILL that was not ours while the kernel's oom_kill counter rose (/proc/vmstat) */
	struct buf out;	      /* stdout, if asked for */
	struct buf tail;      /* last lines of both streams */
};

/**
 * Runs it to the end. 0 whatever its exit status; errors are ERR_NOT_FOUND (no such command), ERR_DENIED, ERR_INVALID,
 * ERR_IO, ERR_LIMIT (more than stdout_max), ERR_CANCELLED.
 */
CHECK_RESULT int exec_run(const struct exec_spec *spec, struct exec_result *ret_result, struct err *err);

/**
 * Like exec_run, and anything but exit 0 is an error that names the command, how it ended and its last lines:
 * ERR_COMMAND, ERR_TIMEOUT ("… did not end within 600 s"), ERR_NO_MEMORY, ERR_NO_SPACE (its text says so).
 * *ret_result may be NULL; it is filled on a non-zero end too, so that the caller can read the output.
 */
CHECK_RESULT int exec_check(const struct exec_spec *spec, struct exec_result *ret_result, struct err *err);

void exec_result_clear(struct exec_result *result);
#define AUTO_EXEC_RESULT AUTO(exec_result_clear)

/** Absolute path of the first executable `name` in PATH (of env "PATH=…" or our own), into path; false if none. */
bool exec_find(const struct fs_root *root, const char *name, char *path, size_t size);

/**
 * Asks every running exec_run of this process to end its command, and every later one not to start any (ERR_CANCELLED):
 * async-signal-safe, for a SIGTERM handler.
 */
void exec_cancel(void);

/** True once exec_cancel was called: for work of this process that is no command. */
bool exec_is_cancelled(void);

/** SIGKILLs every process of session sid except the caller: the last means against what a step left running. */
void exec_kill_session(pid_t sid);
