#include "report/term.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "report/event_js.h"
#include "report/report.h"

/* Most text between two writes: a diff of FRAME_TEXT_MAX, redacted. */
#define OUT_MAX (512 * 1024)
/* A pipe that polls writable takes this much without blocking (pipe(7), PIPE_BUF). */
#define WRITE_PIECE 4096
/* How long a reader may stop reading (a pager, Ctrl-S) before text is left out. */
#define TERM_PATIENCE_MS 2000
#define TICK_LIVE_MS 100
#define TICK_PLAIN_MS 1000

/* True when fd takes bytes now, or within the patience that is left. */
static bool is_writable(struct term *t) {
	struct pollfd p = {.fd = t->fd, .events = POLLOUT};
	int n = poll(&p, 1, t->is_stuck ? 0 : TERM_PATIENCE_MS);
	if (n > 0 && (p.revents & (POLLERR | POLLNVAL))) t->is_dead = true;
	return n > 0 && !t->is_dead;
}

static size_t count_lines(const char *s, size_t n) {
	size_t lines = 0;
	for (size_t i = 0; i < n; i++) lines += s[i] == '\n';
	return lines;
}

static void write_all(struct term *t, const char *s, size_t n) {
	while (n > 0 && !t->is_dead) {
		if (!is_writable(t)) {
			t->is_stuck = true;
			t->left_out += count_lines(s, n);
			return;
		}
		ssize_t k = write(t->fd, s, n < WRITE_PIECE ? n : WRITE_PIECE);
		if (k < 0 && errno != EINTR && errno != EAGAIN) t->is_dead = true;
		if (k > 0) {
			s += k;
			n -= (size_t)k;
		}
	}
}

/* Writes out and empties it. A reader that does not read for TERM_PATIENCE_MS loses text, the run loses no time. */
static void flush(struct term *t) {
	if (t->is_stuck && !t->is_dead && is_writable(t)) {
		char note[64];
		int n = snprintf(note, sizeof note, "(%zu lines left out here)\n", t->left_out);
		t->is_stuck = false;
		t->left_out = 0;
		if (!t->is_json) write_all(t, note, (size_t)n);
	}
	write_all(t, buf_str(&t->out), t->out.len);
	buf_reset(&t->out);
}

void term_add_tail(struct term *t, size_t step) {
	struct term_step *s = &t->steps[step];
	for (size_t i = 0; i < TERM_TAIL_LINES; i++) {
		char **line = &s->tail[(s->tail_next + i) % TERM_TAIL_LINES];
		if (!*line) continue;
		size_t room = t->style.width > 6 ? t->style.width - 6 : t->style.width;
		buf_adds(&t->out, "    | ");
		buf_add(&t->out, *line, t->style.width ? show_fit(*line, room) : strlen(*line));
		buf_addc(&t->out, '\n');
		free(*line);
		*line = NULL;
	}
}

static void keep_line(struct term_step *s, const char *text) {
	AUTO_BUF struct buf clean = BUF_INIT(OUT_MAX);
	show_clean(text, &clean);
	buf_cut(&clean, show_fit(buf_str(&clean), TERM_TAIL_LINE_BYTES));
	char **slot = &s->tail[s->tail_next++ % TERM_TAIL_LINES];
	free(*slot);
	*slot = mem_dup(buf_str(&clean), clean.len);
}

static void on_event(struct sink *sink, const struct event *event, const struct run_view *view) {
	struct term *t = (struct term *)sink;
	if (t->is_dead) return;
	if (!t->steps && view->count) {
		t->steps = mem_zalloc(view->count * sizeof *t->steps);
		t->count = view->count;
	}
	if (t->is_json)
		event_js_print(event, view, &t->out);
	else {
		if (event->type == EVENT_STEP_LINE && t->steps && event->step < t->count && event->text)
			keep_line(&t->steps[event->step], event->text);
		if (t->is_live)
			term_live_event(t, event, view);
		else
			term_plain_event(t, event, view);
	}
	if (t->out.len) flush(t);
}

static void on_tick(struct sink *sink, const struct run_view *view) {
	struct term *t = (struct term *)sink;
	if (t->is_dead || !t->steps) return;
	if (t->is_live)
		term_live_tick(t, view);
	else
		term_plain_tick(t, view);
	if (t->out.len) flush(t);
}

static void on_close(struct sink *sink) {
	struct term *t = (struct term *)sink;
	for (size_t i = 0; i < t->count; i++)
		for (size_t j = 0; j < TERM_TAIL_LINES; j++) free(t->steps[i].tail[j]);
	free(t->steps);
	buf_clear(&t->out);
	screen_clear(&t->screen);
	free(t);
}

struct sink *report_term(int fd, enum term_mode mode, bool is_verbose) {
	struct term *t = mem_zalloc(sizeof *t);
	struct show_style style = show_style_of(fd);
	t->fd = fd;
	t->is_verbose = is_verbose;
	t->is_root = geteuid() == 0;
	t->is_json = mode == TERM_JSON;
	t->is_live = mode == TERM_LIVE || (mode == TERM_AUTO && style.is_terminal);
	t->is_journal = !t->is_json && !t->is_live && show_fd_is_journal(fd);
	t->style = style;
	if (!t->is_live) t->style.width = 0; /* a log: lines are whole */
	t->out = BUF_INIT(OUT_MAX);
	t->screen = SCREEN_INIT;
	t->sink.event = on_event;
	t->sink.close = on_close;
	if (!t->is_json) t->sink.tick = on_tick;
	t->sink.tick_ms = t->is_live ? TICK_LIVE_MS : TICK_PLAIN_MS;
	return &t->sink;
}
