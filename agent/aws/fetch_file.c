/* References: RFC 9110, 13 (conditional requests), 14 (ranges); S3 API, GetObject. */
#include "aws/fetch_file.h"

#include <errno.h>
#include <strings.h>

#include "aws/fetch_private.h"
#include "aws/pause.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "io/http.h"

/** A server that sends nothing for so long is asked again. */
#define STALL_MS (30 * 1000)
/** Tries in all, progress or not: a server that gives one byte a time is no source. */
#define TRIES_MAX 200
/** Times that a changed object is begun anew. */
#define RESTARTS_MAX 3
#define PROGRESS_MS 200

static const struct retry_policy policy = {.base_ms = 500, .cap_ms = 20000, .budget_ms = 15 * 60 * 1000, .attempts = 8};

/* One fetch over all its tries. */
struct transfer {
	struct fetch *fetch;
	struct fetch_file *file;
	int64_t at, total, told_at_ms; /* total -1: not known */
	bool has_changed;	       /* what the file holds is of another version */
};

static int64_t header_number(const struct http_response *head, const char *name, const char *after) {
	AUTO_FREE char *value = http_header(head, name);
	const char *text = value && *after ? strstr(value, after) : value;
	int64_t number = -1;
	struct err ignored; /* no number: not known */

	if (!text) return -1;
	text += strlen(after);
	return parse_i64(text, 0, INT64_MAX, &number, &ignored) < 0 ? -1 : number;
}

/* Where a 206 begins, or -1. */
static int64_t range_start(const struct http_response *head) {
	AUTO_FREE char *value = http_header(head, "Content-Range");
	int64_t start = -1;
	struct err ignored; /* no number: not known */

	if (!value || strncasecmp(value, "bytes ", 6) != 0) return -1;
	value[6 + strcspn(value + 6, "-/")] = '\0';
	return parse_i64(value + 6, 0, INT64_MAX, &start, &ignored) < 0 ? -1 : start;
}

/* A weak ETag never matches If-Match (RFC 9110, 13.1.1). */
static void learn_validator(struct fetch_file *file, const struct http_response *head) {
	AUTO_FREE char *etag = http_header(head, "ETag"), *date = http_header(head, "Last-Modified");
	int n = 0;

	if (etag && *etag == '"')
		n = snprintf(file->validator, sizeof file->validator, "If-Match: %s", etag);
	else if (date)
		n = snprintf(file->validator, sizeof file->validator, "If-Unmodified-Since: %s", date);
	if (n <= 0 || (size_t)n >= sizeof file->validator) file->validator[0] = '\0';
}

static int begin_anew(struct transfer *t, struct err *err) {
	t->at = 0;
	t->total = -1;
	t->file->validator[0] = '\0';
	return ftruncate(t->file->fd, 0) < 0 ? err_set_errno(err, errno, "cannot empty the partial file") : 0;
}

static int check_size(const struct transfer *t, int64_t size, struct err *err) {
	if (size <= t->file->bytes_max) return 0;
	return err_set(err, ERR_LIMIT, "it is larger than %lld bytes", (long long)t->file->bytes_max);
}

static int on_head(const struct http_response *head, void *arg, struct err *err) {
	struct transfer *t = arg;

	if (head->status == 206) {
		t->total = header_number(head, "Content-Range", "/");
		if (range_start(head) == t->at) return check_size(t, t->total, err);
		t->has_changed = true;
		return err_set(err, ERR_REMOTE, "the answer's range is not the one that was asked for");
	}
	if (begin_anew(t, err) < 0) return -(int)err->code;
	t->total = header_number(head, "Content-Length", "");
	learn_validator(t->file, head);
	if (check_size(t, t->total, err) < 0) return -(int)err->code;
	return t->file->on_start ? t->file->on_start(t->file, t->total, err) : 0;
}

static int on_body(const void *data, size_t len, void *arg, struct err *err) {
	struct transfer *t = arg;
	int64_t now = clock_mono_ms();

	if (check_size(t, t->at + (int64_t)len, err) < 0) return -(int)err->code;
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(t->file->fd, (const char *)data + done, len - done, t->at);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot write the partial file");
		done += (size_t)n;
		t->at += n;
	}
	if (fetch_is_cancelled(t->fetch)) return err_set(err, ERR_CANCELLED, "told to stop");
	if (!t->file->on_progress || now - t->told_at_ms < PROGRESS_MS) return 0;
	t->told_at_ms = now;
	t->file->on_progress(t->at, t->total, t->file->arg);
	return 0;
}

/* Range and its condition when there is something to go on from. */
static void add_range(const struct transfer *t, struct arena *arena, struct strs *headers) {
	if (t->at == 0) return;
	strs_add(headers, arena_printf(arena, "Range: bytes=%lld-", (long long)t->at));
	if (t->file->validator[0]) strs_add(headers, t->file->validator);
}

static int once_s3(struct transfer *t, struct arena *arena, const struct strs *headers, int64_t left_ms,
		   struct err *err) {
	AUTO_BUF struct buf answer = BUF_INIT(0);
	char code[64] = "";
	struct aws_request req = {
		.service = "s3",
		.method = "GET",
		.headers = headers,
		.body_max = SIZE_MAX,
		.retry = {.attempts = 1},
		.connect_timeout_ms = FETCH_CONNECT_TIMEOUT_MS,
		.total_timeout_ms = left_ms,
		.stall_timeout_ms = STALL_MS,
		.on_head = on_head,
		.on_body = on_body,
		.arg = t,
	};

	if (fetch_aim_s3(t->fetch, t->file->url, arena, &req, err) != 0) return -(int)err->code;
	if (aws_call(t->fetch->aws, &req, &answer, code, err) == 0) return 0;
	/* An answer without body has no code but its status. */
	if (str_eq(code, "PreconditionFailed") || str_eq(code, "InvalidRange") || strstr(err->msg, "HTTP 412") ||
	    strstr(err->msg, "HTTP 416"))
		t->has_changed = true;
	return -(int)err->code;
}

static int once_http(struct transfer *t, struct arena *arena, const struct strs *headers, int64_t left_ms,
		     struct err *err) {
	const char *url = t->file->url;

	for (unsigned hops = 0;; hops++) {
		AUTO_HTTP_RESPONSE struct http_response answer = {0};
		AUTO_FREE char *location = NULL;
		const struct http_request req = {
			.method = "GET",
			.url = url,
			.headers = headers,
			.connect_timeout_ms = FETCH_CONNECT_TIMEOUT_MS,
			.total_timeout_ms = left_ms,
			.stall_timeout_ms = STALL_MS,
			.body_max = SIZE_MAX,
			.on_head = on_head,
			.on_body = on_body,
			.arg = t,
			.ca_file = t->fetch->aws ? aws_env(t->fetch->aws->env, "AWS_CA_BUNDLE") : NULL,
		};

		if (http_do(t->fetch->http, &req, &answer, err) != 0) return -(int)err->code;
		if (answer.status == 200 || answer.status == 206) return 0;
		t->has_changed = answer.status == 412 || answer.status == 416;
		location = fetch_is_redirect(answer.status) ? http_header(&answer, "Location") : NULL;
		if (!location) return fetch_explain_status(answer.status, err);
		if (hops == FETCH_REDIRECTS_MAX)
			return err_set(err, ERR_LIMIT, "more than %d redirects", FETCH_REDIRECTS_MAX);
		if (fetch_follow(url, location, arena, &url, err) != 0) return -(int)err->code;
	}
}

static int once(struct transfer *t, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs headers = {0};
	int64_t left_ms = t->file->deadline_at_ms - clock_mono_ms(), before = t->at;
	bool is_s3 = str_starts(t->file->url, "s3://");
	int rc;

	if (left_ms <= 0) return err_set(err, ERR_TIMEOUT, "the time for this step is over");
	t->has_changed = false;
	add_range(t, &arena, &headers);
	rc = is_s3 ? once_s3(t, &arena, &headers, left_ms, err) : once_http(t, &arena, &headers, left_ms, err);
	/* An empty body calls nobody: what an earlier attempt left is not of this object. */
	if (rc == 0 && t->at == before && t->at > 0) {
		t->has_changed = true;
		return err_set(err, ERR_REMOTE, "an empty answer");
	}
	if (rc == 0 && t->total >= 0 && t->at != t->total) {
		(void)err_set(err, ERR_NET, "%lld of %lld bytes came", (long long)t->at, (long long)t->total);
		err->is_retryable = true;
		return -(int)err->code;
	}
	return rc;
}

static int run(struct transfer *t, struct err *err) {
	int64_t began_ms = clock_mono_ms(), best = t->at, wait;
	unsigned attempt = 0, restarts = 0;

	for (unsigned tries = 1;; tries++) {
		if (fetch_is_cancelled(t->fetch)) return err_set(err, ERR_CANCELLED, "told to stop");
		if (once(t, err) == 0) return 0;
		if (t->has_changed && ++restarts <= RESTARTS_MAX) {
			best = 0;
			if (begin_anew(t, err) < 0) return -(int)err->code;
			continue;
		}
		if (t->at > best) {
			best = t->at;
			attempt = 0;
			began_ms = clock_mono_ms();
		}
		if (tries == TRIES_MAX) return err_wrap(err, "after %u tries", tries);
		wait = retry_wait_ms(&policy, ++attempt, clock_mono_ms() - began_ms, 0, clock_random(UINT64_MAX), err);
		if (wait == RETRY_STOP) return tries == 1 ? -(int)err->code : err_wrap(err, "after %u tries", tries);
		if (pause_ms(wait, t->fetch->aws ? t->fetch->aws->is_cancelled : NULL, "to fetch again", err) != 0)
			return -(int)err->code;
		/* A beginning that nothing can vouch for is not gone on with. */
		if (!t->file->validator[0] && !t->file->has_hash && begin_anew(t, err) < 0) return -(int)err->code;
	}
}

int fetch_to_file(struct fetch *fetch, struct fetch_file *file, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct transfer t = {.fetch = fetch, .file = file, .total = -1};
	int64_t size = lseek(file->fd, 0, SEEK_END);
	int rc = 0;

	if (size < 0) return err_set_errno(err, errno, "cannot look into the partial file");
	t.at = size;
	if (!str_starts(file->url, "s3://")) rc = fetch_check_plain(file->url, file->has_hash, err);
	if (rc == 0 && size > 0 && !file->validator[0] && !file->has_hash) rc = begin_anew(&t, err);
	if (rc == 0) rc = run(&t, err);
	if (rc < 0) return err_wrap(err, "%s", fetch_visible(file->url, &arena));
	file->size = t.at;
	return 0;
}
