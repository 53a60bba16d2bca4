#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/event_js.h"
#include "report/motd.h"
#include "report/report.h"

/* status.json: RECIPE_STEPS_MAX steps of some 2 KB each. */
#define STATUS_MAX (2 * 1024 * 1024)
#define MOTD_MAX (64 * 1024)
/* Events kept in memory between two writes, and the size of events.jsonl at which only ends are still written. */
#define EVENTS_BUFFER_MAX (1024 * 1024)
#define EVENTS_FLUSH_AT (32 * 1024)
#define EVENTS_FILE_MAX (64LL * 1024 * 1024)
/* status.json is written at once when the state changes, else at most this often, and at least every HEARTBEAT_MS. */
#define WRITE_EVERY_MS 250
#define HEARTBEAT_MS 5000
/* Progress and waits of one step go to events.jsonl at most this often. */
#define PROGRESS_EVERY_MS 1000

struct status_sink {
	struct sink sink;
	const struct fs_root *root;
	char *run_dir, *path, *events_path, *motd_path, *motd;
	int events_fd;
	struct buf events;
	int64_t events_written;
	int64_t written_at_ms;	 /* clock_mono_ms */
	int64_t *progress_at_ms; /* of each step, clock_mono_ms; 0: never */
	size_t count;
	bool is_dirty, has_warned;
};

static void warn_once(struct status_sink *s, const char *msg) {
	if (!s->has_warned) log_warning("the report of this run has gaps from here on: %s", msg);
	s->has_warned = true;
}

static int write_js(const struct fs_root *root, const char *path, const struct js *js, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(STATUS_MAX);
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	js_print(js, JS_COMPACT, &text);
	buf_addc(&text, '\n');
	int rc = buf_check(&text, "status.json", err);
	return rc ? rc : fs_write(root, path, text.data, text.len, &how, err);
}

static void write_status(struct status_sink *s, const struct run_view *view) {
	AUTO_JS struct js *js = report_status_js(view, getpid());
	struct err err = {0};
	if (write_js(s->root, s->path, js, &err)) warn_once(s, err.msg);
	s->is_dirty = false;
	s->written_at_ms = clock_mono_ms();
}

/* The login message changes when the state does; one that cannot be written is missed by nobody but its reader. */
static void write_motd(struct status_sink *s, const struct run_view *view) {
	AUTO_BUF struct buf text = BUF_INIT(MOTD_MAX);
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	struct err err = {0};
	motd_text(view, true, geteuid() == 0, &text);
	if (str_eq(buf_str(&text), s->motd)) return;
	free(s->motd);
	s->motd = mem_strdup(buf_str(&text));
	if (fs_write(s->root, s->motd_path, text.data, text.len, &how, &err)) log_debug("%s", err.msg);
}

static void flush_events(struct status_sink *s) {
	size_t at = 0;
	while (at < s->events.len && s->events_fd >= 0) {
		ssize_t n = write(s->events_fd, s->events.data + at, s->events.len - at);
		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EINTR) {
			struct err err = {0};
			(void)err_set_errno(&err, errno, "%s", s->events_path);
			warn_once(s, err.msg);
			(void)close(s->events_fd); /* given up */
			s->events_fd = -1;
		}
	}
	s->events_written += (int64_t)at;
	buf_reset(&s->events);
}

/* True for what events.jsonl takes: lines of output are in the step's log, progress comes once in a while. */
static bool is_kept(struct status_sink *s, const struct event *event, const struct run_view *view) {
	bool is_repeated = event->type == EVENT_STEP_PROGRESS || event->type == EVENT_STEP_WAITING;
	if (event->type == EVENT_STEP_LINE) return false;
	if (!is_repeated || event->step >= view->count) return true;
	if (!s->progress_at_ms) {
		s->progress_at_ms = mem_zalloc(view->count * sizeof *s->progress_at_ms);
		s->count = view->count;
	}
	int64_t *said_at_ms = &s->progress_at_ms[event->step < s->count ? event->step : 0], now = clock_mono_ms();
	if (s->events_written > EVENTS_FILE_MAX || (*said_at_ms && now - *said_at_ms < PROGRESS_EVERY_MS)) return false;
	*said_at_ms = now;
	return true;
}

/* True for events after which a reader must not see the old state for another moment. */
static bool is_urgent(const struct event *event, const struct run_view *view) {
	switch (event->type) {
	case EVENT_RUN_STARTED:
	case EVENT_RUN_READY:
	case EVENT_RUN_ENDED:
	case EVENT_STEP_RETRY:
	case EVENT_WARNING: return true;
	case EVENT_STEP_ENDED:
		return view->steps[event->step].status >= STEP_CHANGED &&
		       view->steps[event->step].status <= STEP_WARNED;
	case EVENT_STEP_STARTED:
	case EVENT_STEP_CHANGE:
	case EVENT_STEP_LINE:
	case EVENT_STEP_PROGRESS:
	case EVENT_STEP_WAITING: return false;
	}
	return false;
}

static void on_event(struct sink *sink, const struct event *event, const struct run_view *view) {
	struct status_sink *s = (struct status_sink *)sink;
	if (is_kept(s, event, view)) event_js_print(event, view, &s->events);
	if (event->type != EVENT_STEP_LINE) s->is_dirty = true;
	bool is_now = is_urgent(event, view);
	if (s->events.len >= EVENTS_FLUSH_AT || (is_now && event->type != EVENT_RUN_STARTED)) flush_events(s);
	if (is_now) write_motd(s, view);
	if (is_now || (s->is_dirty && clock_mono_ms() - s->written_at_ms >= WRITE_EVERY_MS)) write_status(s, view);
}

static void on_tick(struct sink *sink, const struct run_view *view) {
	struct status_sink *s = (struct status_sink *)sink;
	int64_t age_ms = clock_mono_ms() - s->written_at_ms;
	if (s->events.len) flush_events(s);
	if ((s->is_dirty && age_ms >= WRITE_EVERY_MS) || age_ms >= HEARTBEAT_MS) write_status(s, view);
}

static void on_close(struct sink *sink) {
	struct status_sink *s = (struct status_sink *)sink;
	if (s->events.len) flush_events(s);
	if (s->events_fd >= 0) (void)close(s->events_fd); /* a log: not synced */
	buf_clear(&s->events);
	free(s->progress_at_ms);
	free(s->run_dir);
	free(s->path);
	free(s->events_path);
	free(s->motd_path);
	free(s->motd);
	free(s);
}

int report_status(const struct fs_root *root, const char *run_dir, const char *log_dir, struct sink **ret_sink,
		  struct err *err) {
	int rc = fs_mkdirs(root, run_dir, 0755, (uid_t)-1, (gid_t)-1, err);
	if (!rc) rc = fs_mkdirs(root, log_dir, 0700, (uid_t)-1, (gid_t)-1, err);
	if (rc) return rc;
	AUTO_FREE char *events_path = mem_printf("%s/events.jsonl", log_dir);
	int fd = -1;
	rc = fs_open(root, events_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, &fd, err);
	if (rc) return rc;
	struct status_sink *s = mem_zalloc(sizeof *s);
	s->root = root;
	s->run_dir = mem_strdup(run_dir);
	s->path = mem_printf("%s/status.json", run_dir);
	s->events_path = mem_strdup(events_path);
	s->motd_path = mem_printf("%s/motd", run_dir);
	s->events_fd = fd;
	s->events = BUF_INIT(EVENTS_BUFFER_MAX);
	s->sink = (struct sink){.event = on_event, .tick = on_tick, .tick_ms = WRITE_EVERY_MS, .close = on_close};
	*ret_sink = &s->sink;
	return 0;
}

int report_status_fail(const struct fs_root *root, const char *run_dir, const char *error, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(STATUS_MAX);
	AUTO_JS struct js *js = NULL;
	AUTO_FREE char *path = mem_printf("%s/status.json", run_dir);
	char at[CLOCK_ISO8601_SIZE];
	int rc = fs_read(root, path, &text, err);
	if (!rc) rc = js_parse(buf_str(&text), text.len, &js, err);
	if (rc) return rc;
	js_set_str(js, "status", run_status_name(RUN_FAILED));
	js_set_str(js, "error", error);
	js_set_bool(js, "ready", false);
	js_set_str(js, "ready_at", NULL);
	js_set_str(js, "updated_at", clock_iso8601(clock_now_ms(), at));
	return write_js(root, path, js, err);
}
