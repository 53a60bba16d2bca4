#include "report/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/report.h"

/* A run that ends within this and changes nothing costs no process before its end. */
#define QUIET_MS 50
#define TICK_MS 500

struct remote_sink {
	struct sink sink;
	struct report_remote_conf conf; /* its texts outlive the sink: report.h */
	int fd;				/* to the reporter; -1 before it is started and after it has ended */
	bool is_started;
	struct word_board *board;
	struct word word; /* the newest */
	bool has_word;
	int64_t started_at_ms;
};

/* Every descriptor but fd goes, the run's lock and the caller's terminal or pipe above all. */
static void keep_only(int fd) {
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (null >= 0)
			(void)dup2(null, i); /* without /dev/null they stay as they are: they are only not used */
	if (fd > STDERR_FILENO + 1) (void)syscall(SYS_close_range, STDERR_FILENO + 1U, (unsigned)fd - 1, 0U);
	(void)syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0U); /* fails on kernels before 5.9 only */
}

/* The reporter's life; a grandchild, so that the run never has to wait for it. */
static void reporter_main(int fd, const struct remote_sink *s) {
	sigset_t none;
	(void)setsid();
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	keep_only(fd);
	remote_main(fd, s->board, &s->conf);
	_exit(0);
}

static int start_reporter(struct remote_sink *s, struct err *err) {
	int fds[2];
	s->is_started = true;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_set_errno(err, errno, "cannot make a socket for the reporter");
	pid_t child = fork();
	if (child < 0) {
		int saved = errno;
		(void)close(fds[0]);
		(void)close(fds[1]);
		return err_set_errno(err, saved, "cannot start the reporter");
	}
	if (child == 0) {
		pid_t reporter = fork();
		if (reporter == 0) {
			(void)close(fds[0]);
			reporter_main(fds[1], s);
		}
		_exit(0); /* without a reporter its socket ends, which says it all */
	}
	(void)close(fds[1]);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
	}
	s->fd = fds[0];
	return 0;
}

static void end_reporter(struct remote_sink *s) {
	if (s->fd >= 0) (void)close(s->fd);
	s->fd = -1;
}

/* The reporter's warnings, or its end. */
static void read_warnings(struct remote_sink *s) {
	char text[REMOTE_WARNING_MAX + 1];
	while (s->fd >= 0) {
		ssize_t n = recv(s->fd, text, sizeof text - 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
		if (n > 0) {
			text[n] = '\0';
			log_warning("%s", text);
		} else
			end_reporter(s);
	}
}

/* Wakes the reporter; a full socket means that it has been woken already. */
static void wake(struct remote_sink *s) {
	if (s->fd < 0) return;
	ssize_t n = send(s->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) read_warnings(s);
}

static bool is_quiet(const struct remote_sink *s, const struct event *event, const struct run_view *view) {
	if (s->word.is_final || clock_mono_ms() - s->started_at_ms >= QUIET_MS) return false;
	if (event && (event->type == EVENT_STEP_CHANGE || event->type == EVENT_STEP_WAITING)) return false;
	return view->error[0] == '\0' && view->warnings == 0;
}

static void report(struct remote_sink *s, const struct event *event, const struct run_view *view) {
	struct word word;
	struct err err = {0};
	word_fill(view, &word);
	if (!s->has_word || word_differs(&word, &s->word)) {
		s->word = word;
		s->has_word = true;
		word_put(s->board, &word);
		wake(s);
	}
	if (!s->is_started) {
		if (is_quiet(s, event, view)) return;
		if (start_reporter(s, &err)) log_warning("nobody is told of this run: %s", err.msg);
		wake(s);
	}
}

static void on_event(struct sink *sink, const struct event *event, const struct run_view *view) {
	struct remote_sink *s = (struct remote_sink *)sink;
	if (event->type == EVENT_STEP_LINE || (s->is_started && s->fd < 0)) return;
	report(s, event, view);
}

static void on_tick(struct sink *sink, const struct run_view *view) {
	struct remote_sink *s = (struct remote_sink *)sink;
	read_warnings(s);
	if (!s->is_started || s->fd >= 0) report(s, NULL, view);
}

/* Waits a moment for the final state to arrive; the reporter goes on alone after that. */
static void linger(struct remote_sink *s) {
	int64_t until_ms = clock_mono_ms() + s->conf.linger_ms;
	while (s->fd >= 0) {
		int64_t left = until_ms - clock_mono_ms();
		if (left <= 0) return;
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		(void)poll(&p, 1, left > TICK_MS ? TICK_MS : (int)left);
		read_warnings(s);
	}
}

static void on_close(struct sink *sink) {
	struct remote_sink *s = (struct remote_sink *)sink;
	if (s->word.is_final) linger(s);
	end_reporter(s);
	(void)munmap(s->board, sizeof *s->board); /* the reporter has its own mapping */
	free(s);
}

/* Whose the status file is before this run writes its own, so that a file that cannot be written is no newer run. */
static void note_previous(struct report_remote_conf *conf) {
	AUTO_FREE char *id = conf->status_path ? remote_status_run_id(conf->status_path) : NULL;
	(void)snprintf(conf->previous_run_id, sizeof conf->previous_run_id, "%s", id ? id : "");
}

int report_remote(const struct report_remote_conf *conf, struct sink **ret_sink, struct err *err) {
	if (conf->has_tags && str_is_empty(conf->instance_id))
		return err_set(err, ERR_INVALID, "no instance to tag: instance metadata gave no instance id");
	struct word_board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED) return err_set_errno(err, errno, "cannot share memory with the reporter");
	struct remote_sink *s = mem_zalloc(sizeof *s);
	s->board = board;
	s->conf = *conf;
	note_previous(&s->conf);
	s->fd = -1;
	s->started_at_ms = clock_mono_ms();
	s->sink = (struct sink){.event = on_event, .tick = on_tick, .tick_ms = TICK_MS, .close = on_close};
	*ret_sink = &s->sink;
	return 0;
}
