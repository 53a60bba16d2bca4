#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/ear.h"
#include "report/remote.h"
#include "report/report.h"

#define STATUS_FILE_MAX (2 * 1024 * 1024)
#define EARS_MAX 3
/* poll(2) takes an int; whatever is due later is looked at again. */
#define SLEEP_MAX_MS 60000

struct listener {
	struct ear *ear;
	struct beat beat;
	bool is_done; /* it has the last word, or has given up */
};

struct reporter {
	int fd;
	const struct word_board *board;
	struct ear_host host;
	struct listener listeners[EARS_MAX];
	size_t count;
	struct word word;
	bool has_word;
	bool is_closed; /* the run's process is gone or has said its last */
	bool has_ended; /* nothing comes after the word */
};

int ear_aws(struct ear_host *host, struct aws **ret_aws, struct err *err) {
	int rc = host->aws ? 0 : host->conf->open_aws(host->conf->arg, &host->aws, err);
	if (!rc) *ret_aws = host->aws;
	return rc;
}

/* The last word has its budget from now on. */
static void begin_end(struct reporter *r) {
	int64_t now = clock_mono_ms();
	r->has_ended = r->word.is_final = true;
	for (size_t i = 0; i < r->count; i++) beat_end(&r->listeners[i].beat, r->listeners[i].ear->policy, now);
}

/* The run's process ended without a last word: it was killed, and nobody must believe "running" for ever. */
static void take_for_interrupted(struct reporter *r) {
	r->word.status = RUN_INTERRUPTED;
	r->word.is_ready = false;
	r->word.updated_at_ms = clock_now_ms();
	(void)snprintf(r->word.error, sizeof r->word.error, "dsagent ended without a word: it was killed");
	begin_end(r);
}

/* Empties the socket; at its end the run's process is gone. */
static void drain(struct reporter *r) {
	char wake[16];
	for (;;) {
		ssize_t n = recv(r->fd, wake, sizeof wake, MSG_DONTWAIT);
		if (n > 0 || (n < 0 && errno == EINTR)) continue;
		r->is_closed = n == 0 || errno != EAGAIN;
		return;
	}
}

static void receive(struct reporter *r) {
	if (!r->is_closed) drain(r);
	if (r->has_ended) return;
	r->has_word = word_get(r->board, &r->word);
	if (!r->has_word) return;
	if (r->word.is_final)
		begin_end(r);
	else if (r->is_closed)
		take_for_interrupted(r);
}

char *remote_status_run_id(const char *path) {
	AUTO_BUF struct buf text = BUF_INIT(STATUS_FILE_MAX);
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	AUTO_JS struct js *js = NULL;
	struct err err = {0};
	if (fs_root_open(NULL, &host, &err) || fs_read(&host, path, &text, &err)) return NULL;
	if (js_parse(buf_str(&text), text.len, &js, &err)) return NULL;
	return mem_strdup(js_get_str(js, "run_id"));
}

/* True if the status file belongs to a newer run: its reporter speaks now. */
static bool is_overtaken(const struct reporter *r) {
	const struct report_remote_conf *conf = r->host.conf;
	AUTO_FREE char *run_id = conf->status_path ? remote_status_run_id(conf->status_path) : NULL;
	return run_id && !str_eq(run_id, r->word.run_id) && !str_eq(run_id, conf->previous_run_id);
}

static void give_up(struct reporter *r, struct listener *l, const struct err *err) {
	AUTO_BUF struct buf clean = BUF_INIT(REMOTE_WARNING_MAX);
	char text[REMOTE_WARNING_MAX];
	l->is_done = true;
	(void)snprintf(text, sizeof text, "no %s from here on, the work goes on: %s", l->ear->name, err->msg);
	log_redact(text, &clean);
	/* nobody may be there any more */
	(void)send(r->fd, buf_str(&clean), clean.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell(struct reporter *r, struct listener *l) {
	struct err err = {0};
	int rc = l->ear->send(l->ear, &r->word, &err);
	int64_t now = clock_mono_ms();
	uint64_t random = clock_random(UINT64_MAX);
	if (!rc)
		beat_sent(&l->beat, l->ear->policy, now, random);
	else if (!beat_failed(&l->beat, l->ear->policy, now, random, &err))
		give_up(r, l, &err);
}

/* How long until the ear is to be told; negative: there is nothing to tell. */
static int64_t wait_of(struct reporter *r, struct listener *l) {
	if (l->is_done || !r->has_word) return -1;
	enum ear_need need = l->ear->need(l->ear, &r->word);
	if (need == EAR_NOTHING) {
		l->is_done = r->has_ended;
		return -1;
	}
	return beat_wait_ms(&l->beat, need == EAR_NOW, clock_mono_ms());
}

/* True while an ear is still to be told something, now or later. */
static bool tell_due(struct reporter *r) {
	bool is_alive = false, is_checked = false;
	for (size_t i = 0; i < r->count; i++) {
		struct listener *l = &r->listeners[i];
		if (wait_of(r, l) == 0) {
			if (!is_checked && is_overtaken(r)) return false;
			is_checked = true;
			tell(r, l);
			(void)wait_of(r, l); /* it may be done */
			receive(r);	     /* the next one hears the newest */
		}
		if (!l->is_done) is_alive = true;
	}
	return is_alive;
}

static int sleep_ms(struct reporter *r) {
	int64_t least = -1;
	for (size_t i = 0; i < r->count; i++) {
		int64_t wait = wait_of(r, &r->listeners[i]);
		if (wait >= 0 && (least < 0 || wait < least)) least = wait;
	}
	return least > SLEEP_MAX_MS ? SLEEP_MAX_MS : (int)least;
}

static void add_ear(struct reporter *r, struct ear *ear) { r->listeners[r->count++] = (struct listener){.ear = ear}; }

static void add_ears(struct reporter *r) {
	const struct report_remote_conf *conf = r->host.conf;
	if (conf->has_tags) add_ear(r, ear_tags(&r->host));
	if (conf->stack) add_ear(r, ear_stack(&r->host));
	if (conf->webhook_url) add_ear(r, ear_webhook(&r->host));
}

void remote_main(int fd, const struct word_board *board, const struct report_remote_conf *conf) {
	struct reporter r = {.fd = fd, .board = board, .host = {.conf = conf}};
	bool is_alive = true;
	add_ears(&r);
	while (is_alive) {
		struct pollfd p = {.fd = r.is_closed ? -1 : fd, .events = POLLIN};
		(void)poll(&p, 1, sleep_ms(&r)); /* whatever woke us, all is looked at again */
		receive(&r);
		is_alive = r.has_word ? tell_due(&r) : !r.is_closed;
	}
	for (size_t i = 0; i < r.count; i++) r.listeners[i].ear->free(r.listeners[i].ear);
}
