/*
 * The sender of tags. CreateTags is limited per account and region, for all instances and tools together (bucket 100,
 * 10 a second: EC2 API request throttling), so a call is made only when the state changes or interval_ms have passed,
 * with jitter, and backs off when it is throttled. The last state wins: what was not sent in time is never sent.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "aws/ec2.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/tags.h"

#define STATUS_FILE_MAX (2 * 1024 * 1024)

struct sender {
	int fd;
	const struct tag_board *board;
	const struct report_tags_conf *conf;
	struct aws *aws;
	struct tag_set wanted, sent;
	bool has_wanted, has_sent[TAG_COUNT];
	bool is_closed; /* the run's process is gone or has said its last */
	int64_t due_at_ms, final_until_ms;
	int64_t failing_since_ms;
	unsigned failures;
};

static void send_warning(const struct sender *s, const char *text) {
	(void)send(s->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL); /* nobody may be there any more */
}

/* Makes what is wanted final; from now on it has final_budget_ms. */
static void begin_end(struct sender *s) {
	s->wanted.is_final = true;
	if (!s->final_until_ms) s->final_until_ms = clock_mono_ms() + s->conf->final_budget_ms;
}

/* The run's process ended without a last word: it was killed, and the tags must not say "running" for ever. */
static void take_for_interrupted(struct sender *s) {
	(void)snprintf(s->wanted.values[TAG_STATUS], TAG_VALUE_SIZE, "%s", run_status_name(RUN_INTERRUPTED));
	(void)snprintf(s->wanted.values[TAG_ERROR], TAG_VALUE_SIZE, "dsagent ended without a word: it was killed");
	(void)clock_iso8601(clock_now_ms(), s->wanted.values[TAG_UPDATED_AT]);
	begin_end(s);
}

/* Empties the socket; at its end the run's process is gone. */
static void drain(struct sender *s) {
	char wake[16];
	for (;;) {
		ssize_t n = recv(s->fd, wake, sizeof wake, MSG_DONTWAIT);
		if (n > 0 || (n < 0 && errno == EINTR)) continue;
		s->is_closed = n == 0 || errno != EAGAIN;
		return;
	}
}

static void receive(struct sender *s) {
	if (!s->is_closed) drain(s);
	if (s->final_until_ms) return; /* nothing comes after the last word */
	s->has_wanted = tag_board_get(s->board, &s->wanted);
	if (!s->has_wanted) return;
	if (s->wanted.is_final)
		begin_end(s);
	else if (s->is_closed)
		take_for_interrupted(s);
}

static bool is_as_wanted(const struct sender *s, size_t i) {
	if (i == TAG_GPU && s->wanted.values[i][0] == '\0')
		return true; /* no verdict in this run: an older one stays */
	return s->has_sent[i] && str_eq(s->sent.values[i], s->wanted.values[i]);
}

/* The tags that are not yet as wanted. The time goes along with others, it is never a reason. */
static size_t gather(const struct sender *s, struct ec2_tag tags[TAG_COUNT]) {
	size_t count = 0;
	for (size_t i = 0; i < TAG_COUNT; i++)
		if (i != TAG_UPDATED_AT && !is_as_wanted(s, i))
			tags[count++] = (struct ec2_tag){tag_keys[i], s->wanted.values[i]};
	if (count) tags[count++] = (struct ec2_tag){tag_keys[TAG_UPDATED_AT], s->wanted.values[TAG_UPDATED_AT]};
	return count;
}

static bool is_urgent(const struct sender *s) {
	return s->wanted.is_final || !s->has_sent[TAG_STATUS] ||
	       !str_eq(s->sent.values[TAG_STATUS], s->wanted.values[TAG_STATUS]);
}

/* True if the status file belongs to a newer run: its sender speaks now. */
static bool is_overtaken(const struct sender *s) {
	AUTO_BUF struct buf text = BUF_INIT(STATUS_FILE_MAX);
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	AUTO_JS struct js *js = NULL;
	struct err err = {0};
	if (!s->conf->status_path || fs_root_open(NULL, &host, &err)) return false;
	if (fs_read(&host, s->conf->status_path, &text, &err)) return false;
	if (js_parse(buf_str(&text), text.len, &js, &err)) return false;
	const char *run_id = js_get_str(js, "run_id");
	return run_id && !str_eq(run_id, s->wanted.run_id);
}

static void note_success(struct sender *s) {
	s->sent = s->wanted;
	for (size_t i = 0; i < TAG_COUNT; i++) s->has_sent[i] = true;
	s->failures = 0;
	s->due_at_ms = clock_mono_ms() + s->conf->interval_ms +
		       (int64_t)clock_random((uint64_t)(s->conf->interval_ms / 5) + 1);
}

/* False: no further attempt. */
static bool note_failure(struct sender *s, const struct err *err) {
	struct retry_policy policy = {.base_ms = s->conf->backoff_base_ms, .cap_ms = s->conf->backoff_cap_ms};
	int64_t now = clock_mono_ms();
	if (!s->failures++) s->failing_since_ms = now;
	int64_t wait_ms =
		retry_wait_ms(&policy, s->failures, now - s->failing_since_ms, 0, clock_random(UINT64_MAX), err);
	char text[TAG_WARNING_MAX];
	if (wait_ms != RETRY_STOP && !(s->final_until_ms && now + wait_ms > s->final_until_ms)) {
		s->due_at_ms = now + wait_ms;
		return true;
	}
	(void)snprintf(text, sizeof text, "no EC2 tags from here on, the work goes on: %s", err->msg);
	send_warning(s, text);
	return false;
}

/* Sends what is due. False: this process is done. */
static bool send_due(struct sender *s) {
	struct ec2_tag tags[TAG_COUNT];
	struct err err = {0};
	struct retry_policy once = {.attempts = 1}; /* between two attempts there may be a newer state */
	size_t count = gather(s, tags);
	if (!count) return !s->wanted.is_final;
	int64_t now = clock_mono_ms();
	bool is_backing_off = s->failures > 0;
	if (now < s->due_at_ms && (is_backing_off || !is_urgent(s))) return true;
	if (is_overtaken(s)) return false;
	int rc = s->aws ? 0 : s->conf->open_aws(s->conf->arg, &s->aws, &err);
	if (!rc) rc = ec2_create_tags(s->aws, s->conf->instance_id, tags, count, &once, &err);
	if (rc) return note_failure(s, &err);
	note_success(s);
	return !s->wanted.is_final;
}

/* Until when to sleep: a message wakes us, and so does what is due. */
static int sleep_ms(const struct sender *s) {
	struct ec2_tag tags[TAG_COUNT];
	if (!s->has_wanted || !gather(s, tags)) return -1;
	int64_t left = s->due_at_ms - clock_mono_ms();
	return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

void tags_send_all(int fd, const struct tag_board *board, const struct report_tags_conf *conf) {
	struct sender s = {.fd = fd, .board = board, .conf = conf};
	for (;;) {
		struct pollfd p = {.fd = s.is_closed ? -1 : fd, .events = POLLIN};
		(void)poll(&p, 1, sleep_ms(&s)); /* whatever woke us, all is looked at again */
		receive(&s);
		if (!s.has_wanted && s.is_closed) return;
		if (s.has_wanted && !send_due(&s)) return;
	}
}
