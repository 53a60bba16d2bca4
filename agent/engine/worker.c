#include "engine/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/frame.h"
#include "engine/run.h"
#include "recipe/facts.h"
#include "recipe/plan.h"
#include "recipe/recipe.h"
#include "sys/user.h"

/* Longest answer of an `unless` command: it is a question, not work. */
#define UNLESS_TIMEOUT_MS (60 * 1000)
/* Between two counts of bytes: a transfer may tell of every piece. */
#define BYTES_EVERY_MS 200

/* What one step needs in its process; callbacks of struct machine get it as arg. */
struct work {
	const struct worker_task *task;
	struct step_ctx ctx;
	struct exec_user user;
	bool wants_reboot;   /* the proof is then for after it */
	int fd;		     /* socket to the supervisor, or -1: plan, nobody listens */
	int64_t bytes_at_ms; /* when the last count of bytes was sent */
};

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	const struct work *w = arg;
	bool is_hidden = w->fd < 0 || w->task->step->common.is_sensitive;
	if (!is_hidden) frame_send(w->fd, FRAME_LINE, stream, 0, line, strlen(line));
}

static void send_progress(const struct work *w, enum frame_type unit, int64_t done, int64_t total, const char *text) {
	if (w->task->step->common.is_sensitive) text = "working";
	if (w->fd >= 0) frame_send(w->fd, unit, done, total, text, strlen(text));
}

static void on_note(const char *text, int64_t done, int64_t total, void *arg) {
	send_progress(arg, FRAME_PROGRESS, done, total, text);
}

/* The last count is sent whenever it comes. */
static void on_bytes(const char *text, int64_t done, int64_t total, void *arg) {
	struct work *w = arg;
	int64_t now = clock_mono_ms();
	if (done != total && now - w->bytes_at_ms < BYTES_EVERY_MS) return;
	w->bytes_at_ms = now;
	send_progress(w, FRAME_BYTES, done, total, text);
}

static void on_wait(const char *what, int64_t waited_ms, void *arg) {
	const struct work *w = arg;
	if (w->fd >= 0) frame_send(w->fd, FRAME_WAITING, waited_ms, 0, what, strlen(what));
}

static void on_publish(const char *key, const char *value, void *arg) {
	struct work *w = arg;
	if (w->fd < 0 || (w->task->step->common.is_sensitive && str_eq(key, "text"))) return;
	if (str_eq(key, "reboot")) w->wants_reboot = true;
	struct buf text AUTO_BUF = BUF_INIT(FRAME_TEXT_MAX);
	buf_add(&text, key, strlen(key) + 1);
	buf_adds(&text, value);
	frame_send(w->fd, FRAME_PUBLISH, 0, 0, text.data, text.len);
}

static int find_user(struct work *w, struct err *err) {
	const struct step_common *common = &w->task->step->common;
	if (!common->run_as) return 0;
	int rc = user_find(w->task->root, common->run_as, w->ctx.arena, &w->user, err);
	if (rc) return err_wrap(err, "run_as: %s", common->run_as);
	if (w->user.uid == geteuid()) return 0;
	if (geteuid() != 0)
		return err_set(err, ERR_DENIED, "run_as: %s needs root: run sudo dsagent apply", common->run_as);
	w->ctx.user = &w->user;
	return 0;
}

static int work_init(struct work *w, const struct worker_task *task, int fd, struct arena *arena, struct err *err) {
	*w = (struct work){.task = task, .fd = fd};
	w->ctx = (struct step_ctx){.facts = task->facts,
				   .fetch = task->fetch,
				   .env = &task->step->common.env,
				   .state_dir = task->state_dir,
				   .lock = task->lock,
				   .is_done = task->is_done,
				   .arena = arena};
	int rc = find_user(w, err);
	if (rc) return rc;
	w->ctx.machine =
		(struct machine){.root = task->root,
				 .env = run_step_environment(task->env, &task->step->common.env, w->ctx.user, arena),
				 .deadline_at_ms = clock_mono_ms() + task->timeout_ms,
				 .on_line = on_line,
				 .on_note = on_note,
				 .on_bytes = on_bytes,
				 .on_wait = on_wait,
				 .on_publish = on_publish,
				 .arg = w,
				 .arena = arena};
	return 0;
}

/* Runs `unless`; *ret_holds is whether it exited 0. Its output is nobody's business. */
static int ask_unless(struct work *w, bool *ret_holds, struct err *err) {
	const char *const argv[] = {"/bin/sh", "-c", w->task->step->common.unless, NULL};
	struct machine_command cmd = {
		.argv = argv, .user = w->ctx.user, .timeout_ms = UNLESS_TIMEOUT_MS, .is_quiet = true};
	struct exec_result result AUTO_EXEC_RESULT = {0};
	int rc = machine_run(&w->ctx.machine, &cmd, &result, err);
	if (rc) return err_wrap(err, "unless: %s", w->task->step->common.unless);
	if (result.has_timed_out)
		return err_set(err, ERR_TIMEOUT, "unless: %s: did not answer within %d s", w->task->step->common.unless,
			       UNLESS_TIMEOUT_MS / 1000);
	*ret_holds = result.exit_code == 0;
	return 0;
}

/* The common keys that can say "nothing to do" before the type is asked. */
static int ask_gates(struct work *w, bool *ret_is_in_place, struct err *err) {
	const struct step_common *common = &w->task->step->common;
	bool is_once = common->frequency == STEP_PER_INSTANCE || common->frequency == STEP_PER_BOOT;
	*ret_is_in_place = is_once && w->ctx.is_done;
	if (*ret_is_in_place) return 0;
	if (common->creates) {
		*ret_is_in_place = fs_exists(w->task->root, common->creates);
		w->ctx.is_done = *ret_is_in_place;
		if (*ret_is_in_place) return 0;
	}
	if (common->unless) {
		int rc = ask_unless(w, ret_is_in_place, err);
		if (rc) return rc;
		w->ctx.is_done = *ret_is_in_place;
	}
	return 0;
}

static void hide_changes(const struct work *w, struct changes *changes) {
	for (size_t i = 0; i < changes->count; i++) {
		changes->items[i].what =
			arena_printf(w->ctx.arena, "%s (hidden: the step is sensitive)", w->task->step->type->name);
		changes->items[i].diff = NULL;
	}
}

static int probe(struct work *w, struct changes *ret_changes, struct err *err) {
	bool is_in_place = false;
	int rc = ask_gates(w, &is_in_place, err);
	if (rc || is_in_place) return rc;
	rc = w->task->step->type->probe(w->task->step->params, &w->ctx, ret_changes, err);
	if (!rc && w->task->step->common.is_sensitive) hide_changes(w, ret_changes);
	return rc;
}

/* After apply: the same probe must find nothing, and what creates and unless promise must hold. */
static int prove(struct work *w, struct err *err) {
	const struct step_common *common = &w->task->step->common;
	if (common->creates && !fs_exists(w->task->root, common->creates))
		return err_set(err, ERR_STATE, "it ended well, but did not create %s (creates)", common->creates);
	if (common->unless) {
		bool holds = false;
		int rc = ask_unless(w, &holds, err);
		if (rc) return rc;
		if (!holds)
			return err_set(err, ERR_STATE, "it ended well, but this still does not exit 0 (unless): %s",
				       common->unless);
	}
	w->ctx.is_done = true;
	struct changes left = {0};
	int rc = w->task->step->type->probe(w->task->step->params, &w->ctx, &left, err);
	if (rc) return err_wrap(err, "looking again after the work");
	if (left.count > 0)
		return err_set(err, ERR_STATE, "it ended well, but it is still necessary to %s", left.items[0].what);
	return 0;
}

static void send_changes(const struct work *w, const struct changes *changes) {
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *c = &changes->items[i];
		struct buf text AUTO_BUF = BUF_INIT(FRAME_TEXT_MAX);
		buf_adds(&text, c->what);
		buf_addc(&text, '\0');
		size_t what_len = text.len;
		if (c->diff) buf_adds(&text, c->diff);
		if (text.has_overflowed) buf_cut(&text, what_len);
		frame_send(w->fd, FRAME_CHANGE, 0, 0, text.data, text.len);
	}
	frame_send(w->fd, FRAME_PROBED, (int64_t)changes->count, 0, NULL, 0);
}

static void await_go(int fd) {
	char byte;
	ssize_t n;
	do n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) _exit(1); /* the supervisor is gone: nothing was touched */
}

static int do_step(struct work *w, struct err *err) {
	struct changes changes = {0};
	int rc = probe(w, &changes, err);
	if (rc) return rc;
	send_changes(w, &changes);
	if (changes.count == 0) return 0;
	await_go(w->fd);
	rc = w->task->step->type->apply(w->task->step->params, &w->ctx, &changes, err);
	return rc || w->wants_reboot ? rc : prove(w, err);
}

static void on_stop_signal(int sig) {
	(void)sig;
	exec_cancel();
	(void)alarm(15); /* should the step not be in a command: the default action of SIGALRM ends us */
}

static void close_others(int keep_a, int keep_b) {
	int low = keep_a < keep_b ? keep_a : keep_b, high = keep_a < keep_b ? keep_b : keep_a;
	if (low > 3) (void)syscall(SYS_close_range, 3U, (unsigned)low - 1, 0U);
	if (high > low + 1) (void)syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0U);
	(void)syscall(SYS_close_range, (unsigned)(high > 3 ? high : 2) + 1, ~0U, 0U);
}

static void become_worker(const struct worker_task *task, int fd, pid_t supervisor) {
	(void)setsid(); /* cannot fail: a fresh child leads no group */
	struct sigaction stop = {.sa_handler = on_stop_signal};
	(void)sigaction(SIGTERM, &stop, NULL);
	static const int defaults[] = {SIGINT, SIGHUP, SIGALRM, SIGCHLD, SIGQUIT};
	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) (void)signal(defaults[i], SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor) _exit(1); /* it died before prctl */
	close_others(fd, task->root->fd);
	(void)prctl(PR_SET_NAME, "dsagent-step");
}

static void hide_details(const struct worker_task *task, struct err *err) {
	if (!task->step->common.is_sensitive) return;
	enum err_code code = err->code;
	bool is_retryable = err->is_retryable;
	(void)err_set(err, code, "it failed (%s); what it said is hidden because the step is sensitive",
		      err_code_name(code));
	err->is_retryable = is_retryable;
}

static void run_worker(const struct worker_task *task, int fd, pid_t supervisor) {
	become_worker(task, fd, supervisor);
	struct arena arena = {0};
	struct work w;
	struct err err = {0};
	int rc = work_init(&w, task, fd, &arena, &err);
	if (!rc) rc = do_step(&w, &err);
	if (rc) hide_details(task, &err);
	frame_send(fd, FRAME_RESULT, rc ? (int64_t)err.code : 0, err.is_retryable, err.msg, strlen(err.msg));
	_exit(0);
}

int worker_start(const struct worker_task *task, struct worker *ret_worker, struct err *err) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(err, errno, "socketpair");
	pid_t self = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		int saved = errno;
		(void)close(pair[0]);
		(void)close(pair[1]);
		return err_set_errno(err, saved, "cannot start a process for the step");
	}
	if (pid == 0) run_worker(task, pair[1], self);
	(void)close(pair[1]);
	*ret_worker = (struct worker){.pid = pid, .fd = pair[0]};
	return 0;
}

void worker_go(struct worker *worker) {
	(void)send(worker->fd, "g", 1, MSG_NOSIGNAL); /* a worker that is gone shows as end of file */
}

void worker_stop(const struct worker *worker) { (void)kill(worker->pid, SIGTERM); }

void worker_kill(const struct worker *worker) {
	exec_kill_session(worker->pid);
	(void)kill(worker->pid, SIGKILL);
}

void worker_clear(struct worker *worker) {
	if (worker->fd >= 0) (void)close(worker->fd);
	free(worker->in);
	*worker = (struct worker){.fd = -1};
}

int worker_probe(const struct worker_task *task, struct changes *ret_changes, struct arena *arena, struct err *err) {
	struct work w;
	int rc = work_init(&w, task, -1, arena, err);
	if (rc) return rc;
	return probe(&w, ret_changes, err);
}

int worker_record(const struct worker_task *task, struct js *into, struct arena *arena, struct err *err) {
	struct work w;
	if (!task->step->type->record || task->step->common.is_sensitive) return 0;
	int rc = work_init(&w, task, -1, arena, err);
	return rc ? rc : task->step->type->record(task->step->params, &w.ctx, into, err);
}
