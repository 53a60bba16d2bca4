#include "cli/rows.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fcntl.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/show.h"

/* A GPU gate with findings on many GPUs. */
#define ANSWER_MAX (256 * 1024)
#define CELL_MAX (16 * 1024)
/* From SIGKILL to leaving a process behind that is stuck in the kernel. */
#define REAP_MS 200

static const char *const words[] = {"ok", "-", "warn", "fail"};

/* On one line and without secrets: it may come from anywhere. */
static const char *clean(const char *text, struct arena *arena) {
	AUTO_BUF struct buf redacted = BUF_INIT(CELL_MAX), out = BUF_INIT(CELL_MAX);
	log_redact(text, &redacted);
	show_clean(buf_str(&redacted), &out);
	return arena_strdup(arena, buf_str(&out));
}

static void push(struct rows *rows, const struct row *row) {
	rows->items = arena_grow(rows->arena, rows->items, rows->count, &rows->cap, sizeof *rows->items);
	rows->items[rows->count++] = *row;
}

void rows_add(struct rows *rows, const char *name, enum row_status status, const char *remedy, const char *fmt, ...) {
	AUTO_BUF struct buf text = BUF_INIT(CELL_MAX);
	va_list args;
	va_start(args, fmt);
	buf_vaddf(&text, fmt, args);
	va_end(args);
	push(rows, &(struct row){.name = arena_strdup(rows->arena, name),
				 .status = status,
				 .text = clean(buf_str(&text), rows->arena),
				 .remedy = remedy ? clean(remedy, rows->arena) : NULL});
}

enum row_status rows_worst(const struct rows *rows) {
	enum row_status worst = ROW_OK;
	for (size_t i = 0; i < rows->count; i++)
		if (rows->items[i].status > worst) worst = rows->items[i].status;
	return worst;
}

void rows_print(const struct rows *rows, struct buf *out) {
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *r = &rows->items[i];
		buf_addf(out, "%-4s  %-11s  %s\n", words[r->status], r->name, r->text);
		if (r->remedy) buf_addf(out, "%-4s  %-11s  -> %s\n", "", "", r->remedy);
	}
}

struct js *rows_js(const struct rows *rows) {
	struct js *js = js_object(), *list = js_array();
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *r = &rows->items[i];
		struct js *item = js_object();
		js_set_str(item, "check", r->name);
		js_set_str(item, "status", r->status == ROW_NONE ? "none" : words[r->status]);
		js_set_str(item, "text", r->text);
		js_set_str(item, "remedy", r->remedy);
		js_push(list, item);
	}
	js_set(js, "checks", list);
	return js;
}

/* Rows on the way: status as a digit, name, text and remedy, a NUL after each; an absent remedy is empty. A
 * full stop at the end says that this was all. */
static void pack(const struct rows *rows, struct buf *out) {
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *r = &rows->items[i];
		buf_addc(out, (char)('0' + (int)r->status));
		buf_adds(out, r->name);
		buf_addc(out, '\0');
		buf_adds(out, r->text);
		buf_addc(out, '\0');
		buf_adds(out, r->remedy ? r->remedy : "");
		buf_addc(out, '\0');
	}
	buf_addc(out, '.');
}

/* False if what came is no whole answer. */
static bool unpack(const struct buf *in, struct rows *rows) {
	const char *at = buf_str(in), *end = at + in->len - 1;
	if (in->len == 0 || *end != '.') return false;
	while (at < end) {
		const char *cells[3];
		int status = *at++ - '0';
		for (size_t i = 0; i < 3; i++) {
			if (at >= end) return false;
			cells[i] = arena_strdup(rows->arena, at);
			at += strlen(at) + 1;
		}
		if (status < ROW_OK || status > ROW_FAIL) return false;
		push(rows, &(struct row){.name = cells[0],
					 .text = cells[1],
					 .remedy = *cells[2] ? cells[2] : NULL,
					 .status = (enum row_status)status});
	}
	return true;
}

static void write_all(int fd, const struct buf *b) {
	for (size_t at = 0; at < b->len;) {
		ssize_t n = write(fd, b->data + at, b->len - at);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return; /* nobody listens any more */
		at += (size_t)n;
	}
}

struct asked {
	pid_t pid;
	int fd; /* -1: it has answered, or could not be asked */
	struct buf answer;
};

/* The child leads a process group, so that commands that it runs end with it. */
static void answer_main(const struct question *q, int fd) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf out = BUF_INIT(ANSWER_MAX);
	struct rows rows = {.arena = &arena};
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setpgid(0, 0);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	q->ask(q->arg, &rows);
	pack(&rows, &out);
	write_all(fd, &out);
	_exit(0);
}

static struct asked ask(const struct question *q) {
	struct asked a = {.fd = -1, .answer = BUF_INIT(ANSWER_MAX)};
	int fds[2];
	if (pipe2(fds, O_CLOEXEC)) return a;
	a.pid = fork();
	if (a.pid == 0) answer_main(q, fds[1]);
	(void)close(fds[1]);
	if (a.pid > 0)
		a.fd = fds[0];
	else
		(void)close(fds[0]);
	return a;
}

static void hear(struct asked *a) {
	char piece[4096];
	ssize_t n = read(a->fd, piece, sizeof piece);
	if (n < 0 && errno == EINTR) return;
	if (n > 0) {
		buf_add(&a->answer, piece, (size_t)n);
		return;
	}
	(void)close(a->fd);
	a->fd = -1;
}

static void hear_all(struct asked *asked, size_t count, int64_t until_ms) {
	for (;;) {
		struct pollfd fds[QUESTIONS_MAX];
		size_t open = 0;
		int64_t left = until_ms - clock_mono_ms();
		for (size_t i = 0; i < count; i++) {
			fds[i] = (struct pollfd){.fd = asked[i].fd, .events = POLLIN};
			open += asked[i].fd >= 0;
		}
		if (!open || left <= 0) return;
		if (poll(fds, count, (int)left) <= 0) continue;
		for (size_t i = 0; i < count; i++)
			if (fds[i].revents) hear(&asked[i]);
	}
}

/* One that ended is reaped at once; one that did not is killed, and waited for only a moment. */
static void end(struct asked *a) {
	if (a->pid <= 0) return;
	if (a->fd >= 0) {
		(void)kill(-a->pid, SIGKILL);
		(void)kill(a->pid, SIGKILL); /* it may not lead its group yet */
		(void)close(a->fd);
	}
	for (int64_t until = clock_mono_ms() + REAP_MS; waitpid(a->pid, NULL, WNOHANG) == 0;) {
		if (clock_mono_ms() > until) return;
		clock_sleep_ms(1);
	}
}

void rows_ask(const struct question *questions, size_t count, int64_t timeout_ms, struct rows *ret_rows) {
	struct asked asked[QUESTIONS_MAX];
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	if (count > QUESTIONS_MAX) count = QUESTIONS_MAX;
	for (size_t i = 0; i < count; i++) asked[i] = ask(&questions[i]);
	hear_all(asked, count, until_ms);
	for (size_t i = 0; i < count; i++) {
		bool is_silent = asked[i].fd >= 0;
		size_t before = ret_rows->count;
		end(&asked[i]);
		if (is_silent || !unpack(&asked[i].answer, ret_rows)) {
			ret_rows->count = before;
			rows_add(ret_rows, questions[i].name, questions[i].silence, NULL,
				 is_silent ? "no answer within %lld s" : "no answer", (long long)(timeout_ms / 1000));
		}
		for (size_t k = before; k < ret_rows->count; k++) ret_rows->items[k].question = i;
		buf_clear(&asked[i].answer);
	}
}
