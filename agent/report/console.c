/*
 * /dev/console: what `aws ec2 get-console-output` shows is the last 64 KB of it, so lines are short and few. A serial
 * console can be slow or stuck; it is opened non-blocking and what it does not take is lost.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/report.h"
#include "report/show.h"

/* Longest line on the console, its end included. */
#define LINE_COLUMNS 200
#define LINE_BYTES_MAX 4096

struct console_sink {
	struct sink sink;
	int fd;		 /* -1: none */
	bool is_journal; /* stderr is the journal and stdout, where the terminal report writes, is not */
};

/* The event in one line, "" for what is not worth one. */
static void event_line(const struct event *event, const struct run_view *view, struct buf *out) {
	switch (event->type) {
	case EVENT_RUN_STARTED:
		buf_addf(out, "%s started, %zu step%s", view->recipe, view->count, view->count == 1 ? "" : "s");
		break;
	case EVENT_STEP_ENDED:
		show_label(view, event->step, out);
		show_outcome(&view->steps[event->step], out);
		break;
	case EVENT_STEP_RETRY:
		show_label(view, event->step, out);
		show_clean(event->text ? event->text : "", out);
		break;
	case EVENT_WARNING:
		buf_adds(out, "warning: ");
		show_clean(event->text ? event->text : "", out);
		break;
	case EVENT_RUN_READY: buf_adds(out, "ready; background steps go on"); break;
	case EVENT_RUN_ENDED: {
		AUTO_BUF struct buf text = BUF_INIT(LINE_BYTES_MAX);
		show_summary(view, true, &text);
		buf_add(out, buf_str(&text), strcspn(buf_str(&text), "\n"));
		break;
	}
	case EVENT_STEP_STARTED:
		show_label(view, event->step, out);
		buf_adds(out, "started");
		break;
	case EVENT_STEP_CHANGE:
	case EVENT_STEP_LINE:
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_WAITING: break;
	}
}

static enum log_level level_of(const struct event *event, const struct run_view *view) {
	if (event->type == EVENT_WARNING || event->type == EVENT_STEP_RETRY) return LOG_LEVEL_WARNING;
	if (event->type == EVENT_RUN_ENDED && view->status == RUN_FAILED) return LOG_LEVEL_ERROR;
	if (event->type == EVENT_STEP_ENDED && view->steps[event->step].status == STEP_FAILED) return LOG_LEVEL_ERROR;
	if (event->type == EVENT_STEP_ENDED && view->steps[event->step].status == STEP_WARNED) return LOG_LEVEL_WARNING;
	return LOG_LEVEL_INFO;
}

static void say(int fd, const char *text) {
	AUTO_BUF struct buf full = BUF_INIT(LINE_BYTES_MAX);
	buf_adds(&full, "dsagent: ");
	buf_add(&full, text, show_fit(text, LINE_COLUMNS - strlen("dsagent: ") - 2));
	buf_adds(&full, "\r\n"); /* a raw console does not return the carriage by itself */
	if (write(fd, full.data, full.len) < 0)
		return; /* a console that is full or gone: the line is lost, by design */
}

static void on_event(struct sink *sink, const struct event *event, const struct run_view *view) {
	struct console_sink *s = (struct console_sink *)sink;
	AUTO_BUF struct buf line = BUF_INIT(LINE_BYTES_MAX);
	event_line(event, view, &line);
	if (!line.len) return;
	if (s->is_journal) log_write(level_of(event, view), "%s", buf_str(&line));
	if (s->fd >= 0) say(s->fd, buf_str(&line));
}

static void on_close(struct sink *sink) {
	struct console_sink *s = (struct console_sink *)sink;
	if (s->fd >= 0) (void)close(s->fd); /* nothing is buffered */
	free(s);
}

/* -1: there is none. */
static int open_console(const struct fs_root *root) {
	struct err err = {0};
	int fd = -1;
	if (!fs_open(root, "/dev/console", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_APPEND, 0, &fd, &err)) return fd;
	log_debug("no console: %s", err.msg);
	return -1;
}

void report_console_say(const struct fs_root *root, const char *text) {
	AUTO_CLOSE int fd = open_console(root);
	AUTO_BUF struct buf redacted = BUF_INIT(LINE_BYTES_MAX), clean = BUF_INIT(LINE_BYTES_MAX);
	log_redact(text, &redacted);
	show_clean(buf_str(&redacted), &clean);
	if (fd >= 0) say(fd, buf_str(&clean));
}

struct sink *report_console(const struct fs_root *root, bool writes_console) {
	struct console_sink *s = mem_zalloc(sizeof *s);
	s->fd = writes_console ? open_console(root) : -1;
	s->is_journal = show_fd_is_journal(STDERR_FILENO) && !show_fd_is_journal(STDOUT_FILENO);
	s->sink = (struct sink){.event = on_event, .close = on_close};
	return &s->sink;
}
