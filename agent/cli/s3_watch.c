#include "cli/s3_watch.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "aws/s3sync.h"
#include "base/err.h"

int s3_watch_open(struct s3_watch *w, struct err *err) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) return err_set_errno(err, errno, "signalfd");
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail with a valid set */
	w->signal_fd = fd;
	return 0;
}

void s3_watch_close(struct s3_watch *w) { cleanup_close(&w->signal_fd); }

bool s3_watch_is_cancelled(void *arg) {
	struct s3_watch *w = arg;
	struct signalfd_siginfo info;
	if (!w->signal && read(w->signal_fd, &info, sizeof info) == sizeof info) w->signal = (int)info.ssi_signo;
	return w->signal != 0;
}

static void on_event(const struct s3sync_event *event, void *arg) {
	s3_show_event(event, &((struct s3_watch *)arg)->show);
}

static void on_progress(const struct s3sync_counts *counts, void *arg) {
	s3_show_progress(counts, &((struct s3_watch *)arg)->show);
}

void s3_watch_hook(struct s3_watch *w, struct s3sync_options *options) {
	options->is_cancelled = s3_watch_is_cancelled;
	options->on_event = on_event;
	options->on_progress = on_progress;
	options->arg = w;
}
