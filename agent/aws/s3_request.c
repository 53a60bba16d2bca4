/*
 * One request from its operation to the wire and back: signed anew at each try, tried again with full jitter, cured
 * (clock, credentials, region) for free. Source: AWS SDKs and Tools Reference Guide, "Retry behavior".
 */
#include "aws/call.h"
#include "aws/cred.h"
#include "aws/s3_private.h"
#include "aws/s3_writer.h"
#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/clock.h"
#include "fmt/codec.h"
#include "fmt/digest.h"
#include "io/http_multi.h"
#include "io/retry.h"

#define CONNECT_TIMEOUT_MS 10000
/** S3 itself gives up after 20 s without a byte; CRT takes 30 s. */
#define STALL_TIMEOUT_MS 30000
/** A try that brought so much of a body was no failure: the next one counts as the first. */
#define PROGRESS_MIN (1024 * 1024)
#define HURRY_EVERY_MS 100
/** A loop that comes back later than this was busy elsewhere, or stopped. */
#define AWAY_MS 500
/** Once all is cancelled, for what cleans up and for what tells what there is to clean up: a service that is gone keeps
 * nobody. */
#define LAST_WORDS_MS 10000
#define TOKENS_MAX 1000 /* see struct s3: a dead network fails fast once they are gone */

static const struct retry_policy policy = {.base_ms = 100, .cap_ms = 20000, .budget_ms = 600000, .attempts = 10};

static struct s3 *s3_of(const struct s3_request *r) { return r->op->s3; }

void s3_send(struct s3_request *r) {
	r->attempt = 1;
	r->began_ms = clock_mono_ms();
	r->progress = 0;
	r->hurried = 0;
	r->cures = (struct call_cures){0};
	r->has_followed = false;
	r->failure = (struct call_failure){0};
	s3_queue_put(&s3_of(r)->lanes[r->lane], r, S3_QUEUED);
}

static void forget_try(struct s3_request *r) {
	arena_clear(&r->arena);
	r->headers.count = 0;
	r->task = NULL;
	r->payload_hash = NULL;
}

void s3_drop(struct s3_request *r) {
	if (r->state == S3_SENT) http_multi_cancel(r->task);
	if (r->op) s3_queue_leave(r);
	forget_try(r);
	strs_clear(&r->headers);
}

/** The token's line, which holds a secret, is handed out to be wiped. */
static char *add_headers(struct s3_request *r, const struct cred *cred, int64_t now) {
	struct strs *headers = &r->headers;
	struct arena *arena = &r->arena;
	char *token_line = NULL;

	strs_add(headers, arena_printf(arena, "Host: %s", s3_of(r)->target.host));
	strs_add(headers, arena_printf(arena, "X-Amz-Date: %s", sigv4_amz_date(now, arena)));
	strs_add(headers, arena_printf(arena, "X-Amz-Content-Sha256: %s", r->payload_hash));
	if (s3_of(r)->options.pays_requests) strs_add(headers, "x-amz-request-payer: requester");
	if (cred->session_token) {
		token_line = arena_printf(arena, "X-Amz-Security-Token: %s", cred->session_token);
		strs_add(headers, token_line);
	}
	return token_line;
}

/** Of its like: a part that was sent takes a server longer than a small object that is asked for. */
static struct s3_patience *patience_of(const struct s3_request *r) {
	return &s3_of(r)->patience[r->lane][r->on_body ? 0 : 1];
}

static const char *make_url(struct s3_request *r, const char *path) {
	AUTO_BUF struct buf url = BUF_INIT(strlen(s3_of(r)->target.origin) + 3 * strlen(path));

	buf_adds(&url, s3_of(r)->target.origin);
	codec_percent(path, true, &url);
	if (!r->query[0]) return arena_strdup(&r->arena, buf_str(&url));
	return arena_printf(&r->arena, "%s?%s", buf_str(&url), sigv4_canonical_query(r->query, &r->arena));
}

static const char *hash_of_body(struct s3_request *r) {
	if (!r->body) return SIGV4_EMPTY_HASH;
	return digest_sha256_hex(r->body, r->body_len, arena_alloc(&r->arena, SHA256_HEX_SIZE));
}

static char *sign(struct s3_request *r, const struct cred *cred, const char *path) {
	struct s3 *s3 = s3_of(r);
	int64_t now = clock_now_ms() / 1000 + s3->aws->clock_skew_s;
	char *token_line = add_headers(r, cred, now);

	strs_add(&r->headers, sigv4_sign(s3->signer,
					 &(struct sigv4_request){
						 .method = r->method,
						 .path = path,
						 .query = r->query,
						 .headers = &r->headers,
						 .payload_hash = r->payload_hash,
						 .region = s3->target.region,
						 .service = "s3",
						 .now = now,
					 },
					 cred, &r->arena));
	return token_line;
}

static void on_http_end(const struct http_response *answer, struct err *err, void *arg);

static int on_head(const struct http_response *head, void *arg, struct err *err) {
	struct s3_request *r = arg;
	int64_t now_ms = clock_mono_ms();

	s3_patience_answered(patience_of(r), now_ms - r->heard_ms);
	r->heard_ms = now_ms;
	return r->on_head ? r->on_head(head, r, err) : 0;
}

static int on_body(const void *data, size_t len, void *arg, struct err *err) {
	struct s3_request *r = arg;

	s3_of(r)->stats.received_bytes += (int64_t)len;
	r->progress += (int64_t)len;
	r->heard_ms = clock_mono_ms();
	return r->on_body(data, len, r, err);
}

static int on_source(size_t offset, void *data, size_t size, size_t *ret_len, void *arg, struct err *err) {
	struct s3_request *r = arg;

	if (r->on_source(offset, data, size, ret_len, r, err) != 0) return -(int)err->code;
	s3_of(r)->stats.sent_bytes += (int64_t)*ret_len;
	r->heard_ms = clock_mono_ms();
	return 0;
}

static int start(struct s3_request *r, struct err *err) {
	struct s3 *s3 = s3_of(r);
	const struct cred *cred;
	const char *path;
	char *token_line;
	int rc;

	r->epoch = s3->epoch;
	r->failure = (struct call_failure){0};
	if (s3_aim(s3, err) != 0 || cred_get(s3->aws->creds, &cred, err) != 0) return -(int)err->code;
	if (r->on_prepare && r->on_prepare(r, &r->arena, &r->headers, err) != 0) return -(int)err->code;
	if (!r->payload_hash) r->payload_hash = hash_of_body(r);
	path = r->key ? arena_printf(&r->arena, "%s%s", s3->target.path, r->key) : s3->target.path;
	token_line = sign(r, cred, path);
	r->http = (struct http_request){
		.method = r->method,
		.url = make_url(r, path),
		.headers = &r->headers,
		.body = r->body,
		.body_len = r->body_len,
		.on_source = r->on_source ? on_source : NULL,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.stall_timeout_ms = STALL_TIMEOUT_MS,
		.body_max = r->body_max,
		.on_head = r->on_body ? on_head : NULL,
		.on_body = r->on_body ? on_body : NULL,
		.arg = r,
	};
	rc = http_multi_start(s3->http, &r->http, on_http_end, &r->task, err);
	if (rc && token_line) explicit_bzero(token_line, strlen(token_line));
	return rc;
}

/** The last word. */
static void end(struct s3_request *r, struct err *err) {
	forget_try(r);
	if (err && r->attempt > 1 && err->code != ERR_CANCELLED) (void)err_wrap(err, "after %u tries", r->attempt);
	r->on_end(r, err);
}

static bool is_throttle(const struct call_failure *f) {
	return f->status == 429 || f->status == 503 || str_eq(f->code, "SlowDown");
}

/** True when the request is worth sending at once and for free. */
static bool is_cured(struct s3_request *r) {
	struct s3 *s3 = s3_of(r);
	bool asks = r->failure.is_clock_off || r->failure.is_token_old || *r->failure.region;

	/* Another request's cure came after this one was signed. Once: a cure that does not help would go round for
	 * ever. */
	if (asks && r->epoch != s3->epoch && !r->has_followed) return r->has_followed = true;
	if (!call_cure(s3->aws, "s3", &r->failure, s3->region, &r->cures)) return false;
	s3->epoch++;
	s3->target.origin = NULL; /* the region may be another */
	return true;
}

/** After a failed try: again at once, later, or not at all. */
static void judge(struct s3_request *r, struct err *err) {
	struct s3 *s3 = s3_of(r);
	int64_t now_ms = clock_mono_ms(), wait_ms;

	forget_try(r);
	if (is_throttle(&r->failure)) {
		s3->stats.throttled++;
		s3_pace_slow(&s3->pace, now_ms);
	}
	if (r->failure.status != 0 && is_cured(r)) {
		s3->stats.retries++;
		s3_queue_put(&s3->lanes[r->lane], r, S3_QUEUED);
		return;
	}
	if (r->progress >= PROGRESS_MIN) r->attempt = 1;
	wait_ms = retry_wait_ms(&policy, r->attempt, now_ms - r->began_ms, r->failure.retry_after_ms,
				clock_random(UINT64_MAX), err);
	if (wait_ms == RETRY_STOP || s3->tokens == 0 || (s3->is_cancelled && !r->is_last_will)) {
		end(r, err);
		return;
	}
	s3->tokens--;
	s3->stats.retries++;
	r->attempt++;
	r->progress = 0;
	r->due_ms = now_ms + wait_ms;
	s3_queue_put(&s3->waiting, r, S3_WAITING);
}

static void on_http_end(const struct http_response *answer, struct err *err, void *arg) {
	struct s3_request *r = arg;
	struct s3 *s3 = s3_of(r);

	s3_queue_leave(r);
	if (answer && answer->status >= 200 && answer->status <= 299) {
		if (r->on_answer && r->on_answer(r, answer, err) != 0) {
			judge(r, err);
			return;
		}
		if (s3->tokens < TOKENS_MAX) s3->tokens++;
		if (!r->on_body) s3_patience_answered(patience_of(r), clock_mono_ms() - r->heard_ms);
		if (!r->on_source) s3->stats.sent_bytes += (int64_t)r->body_len;
		s3_pace_done(&s3->pace, r->progress + (int64_t)r->body_len);
		r->progress = 0;
		end(r, NULL);
		return;
	}
	if (answer) call_decode(answer, clock_now_ms() / 1000, &r->failure, err);
	judge(r, err);
}

static void send_now(struct s3 *s3, struct s3_request *r) {
	struct err err;

	err_clear(&err);
	s3_queue_leave(r);
	if (start(r, &err) != 0) {
		end(r, &err);
		return;
	}
	r->heard_ms = clock_mono_ms();
	s3_queue_put(&s3->sent, r, S3_SENT);
	if (r->lane == S3_LANE_BULK) s3->sent_bulk++;
	s3->stats.requests++;
}

/** Large transfers take half of the jobs, all where nothing small waits; neither waits for the other's end. */
static struct s3_request *next(struct s3 *s3) {
	struct s3_request *bulk = s3->lanes[S3_LANE_BULK].first, *small = s3->lanes[S3_LANE_SMALL].first;

	if (s3->lanes[S3_LANE_CONTROL].first) return s3->lanes[S3_LANE_CONTROL].first;
	if (bulk && s3->sent_bulk < S3_RANGES_MAX && (!small || s3->sent_bulk < s3->pace.jobs / 2)) return bulk;
	return small;
}

/** True while it is waited for although all is cancelled. */
static bool has_last_word(const struct s3_request *r, int64_t now_ms) {
	int64_t since_ms = s3_of(r)->cancelled_ms;

	if (since_ms < r->began_ms) since_ms = r->began_ms;
	return (r->is_last_will || (r->makes_something && r->state == S3_SENT)) && now_ms - since_ms < LAST_WORDS_MS;
}

/** Ends one request of the list that has no last word; false when there is none. */
static bool cancel_one(struct s3_queue *q, int64_t now_ms) {
	struct err err = {0};
	bool is_sent;

	for (struct s3_request *r = q->first; r; r = r->next) {
		if (has_last_word(r, now_ms)) continue;
		is_sent = r->state == S3_SENT;
		if (is_sent) http_multi_cancel(r->task);
		s3_queue_leave(r);
		(void)err_set(&err, ERR_CANCELLED, "told to stop");
		err.is_retryable = is_sent && r->makes_something; /* nobody knows what came of it */
		end(r, &err);
		return true;
	}
	return false;
}

static void cancel_all(struct s3 *s3) {
	int64_t now_ms = clock_mono_ms();

	for (enum s3_lane lane = 0; lane < S3_LANES; lane++)
		while (cancel_one(&s3->lanes[lane], now_ms))
			;
	while (cancel_one(&s3->waiting, now_ms))
		;
	while (cancel_one(&s3->sent, now_ms))
		;
	for (struct s3_op *op = s3->ops, *later; op; op = later) {
		later = op->next;
		if (op->cancel) op->cancel(op);
	}
}

static void wake_due(struct s3 *s3) {
	int64_t now_ms = s3->waiting.count ? clock_mono_ms() : 0;

	for (struct s3_request *r = s3->waiting.first, *later; r; r = later) {
		later = r->next;
		if (r->due_ms > now_ms) continue;
		s3_queue_leave(r);
		s3_queue_put(&s3->lanes[r->lane], r, S3_QUEUED);
	}
}

/** Sends again at once, on another connection, what has been quiet for too long; objects and parts only. */
static void hurry(struct s3 *s3, int64_t now_ms) {
	for (struct s3_request *r = s3->sent.first, *later; r; r = later) {
		struct s3_patience *patience = patience_of(r);
		int64_t since_ms = r->heard_ms > s3->awake_ms ? r->heard_ms : s3->awake_ms;

		later = r->next;
		if (r->lane == S3_LANE_CONTROL || r->makes_something) continue;
		if (now_ms - since_ms < s3_patience_ms(patience, r->hurried)) continue;
		s3_patience_spend(patience);
		r->hurried++;
		s3->stats.retries++;
		http_multi_cancel(r->task);
		s3_queue_leave(r);
		forget_try(r);
		s3_queue_put(&s3->lanes[r->lane], r, S3_QUEUED);
	}
}

/** Looks now and then; what the loop itself was away for is nobody's silence. */
static void look_at_sent(struct s3 *s3) {
	int64_t now_ms = clock_mono_ms();

	if (now_ms - s3->turn_ms > AWAY_MS) s3->awake_ms = now_ms;
	s3->turn_ms = now_ms;
	if (now_ms - s3->hurried_ms < HURRY_EVERY_MS || s3->options.bytes_per_s > 0) return;
	s3->hurried_ms = now_ms;
	hurry(s3, now_ms);
}

void s3_dispatch(struct s3 *s3) {
	struct s3_request *r;

	if (s3->is_cancelled)
		cancel_all(s3);
	else
		look_at_sent(s3);
	wake_due(s3);
	while ((r = next(s3))) {
		if (s3->sent.count >= s3->pace.jobs) {
			s3_pace_full(&s3->pace);
			return;
		}
		send_now(s3, r);
	}
}

int64_t s3_next_due_ms(const struct s3 *s3, int64_t max) {
	int64_t now_ms = s3->waiting.count ? clock_mono_ms() : 0;

	for (const struct s3_request *r = s3->waiting.first; r; r = r->next)
		if (r->due_ms - now_ms < max) max = r->due_ms > now_ms ? r->due_ms - now_ms : 0;
	return max;
}
