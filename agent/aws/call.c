/*
 * Sources: AWS SDKs and Tools Reference Guide, "Retry behavior"; botocore's handling of clock skew. A cure (a corrected
 * clock, fresh credentials, the bucket's own region) is tried once each and does not count as an attempt.
 */
#include "aws/call.h"

#include "aws/call_private.h"
#include "aws/cred.h"
#include "aws/pause.h"
#include "aws/sigv4.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fmt/codec.h"
#include "fmt/digest.h"
#include "io/http.h"

/** Services refuse requests that are 5 (EC2) or 15 minutes (S3) off; a difference below this is not the reason. */
#define SKEW_MIN_S 60

/** One call over all its tries. */
struct call {
	struct aws *aws;
	const struct aws_request *req;
	char region[CALL_WORD_SIZE]; /* of the bucket, once learnt */
	struct call_cures cures;
	struct call_failure failure; /* of the latest answer; all-zero when there was none */
};

static const char *region_of(const struct call *c) { return *c->region ? c->region : c->aws->region; }

/** Headers to be signed; the token's line, which holds a secret, is handed out to be wiped. */
static char *add_headers(const struct call *c, const struct call_target *target, const struct cred *cred, int64_t now,
			 const char *hash, struct arena *arena, struct strs *headers) {
	char *token_line = NULL;

	strs_add(headers, arena_printf(arena, "Host: %s", target->host));
	strs_add(headers, arena_printf(arena, "X-Amz-Date: %s", sigv4_amz_date(now, arena)));
	if (str_eq(c->req->service, "s3")) strs_add(headers, arena_printf(arena, "X-Amz-Content-Sha256: %s", hash));
	if (c->req->content_type) strs_add(headers, arena_printf(arena, "Content-Type: %s", c->req->content_type));
	if (cred->session_token) {
		token_line = arena_printf(arena, "X-Amz-Security-Token: %s", cred->session_token);
		strs_add(headers, token_line);
	}
	return token_line;
}

static const char *make_url(const struct call_target *target, const char *const *query, struct arena *arena) {
	AUTO_BUF struct buf path = BUF_INIT(3 * strlen(target->path));
	const char *text = sigv4_canonical_query(query, arena);

	codec_percent(target->path, true, &path);
	return arena_printf(arena, "%s%s%s%s", target->origin, buf_str(&path), *text ? "?" : "", text);
}

/** Signs and sends once; 0 for any HTTP answer. */
static int send_once(const struct call *c, struct http_response *ret_answer, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs headers = {0};
	const struct aws_request *req = c->req;
	const char *body = req->body ? req->body : "";
	size_t body_len = req->body_len ? req->body_len : strlen(body);
	struct call_target target;
	const struct cred *cred;
	char hash[SHA256_HEX_SIZE], *token_line;
	int64_t now = clock_now_ms() / 1000 + c->aws->clock_skew_s;
	int rc;

	if (call_aim(c->aws, req, region_of(c), &arena, &target, err) != 0) return -(int)err->code;
	if (cred_get(c->aws->creds, &cred, err) != 0) return -(int)err->code;
	digest_sha256_hex(body, body_len, hash);
	token_line = add_headers(c, &target, cred, now, hash, &arena, &headers);
	strs_add(&headers, sigv4_authorization(
				   &(struct sigv4_request){
					   .method = req->method,
					   .path = target.path,
					   .encodes_path_twice = !str_eq(req->service, "s3"),
					   .query = req->query,
					   .headers = &headers,
					   .payload_hash = hash,
					   .region = target.region,
					   .service = req->service,
					   .now = now,
				   },
				   cred, &arena));
	for (size_t i = 0; req->headers && i < req->headers->count; i++) strs_add(&headers, req->headers->items[i]);
	rc = http_do(c->aws->http,
		     &(struct http_request){
			     .method = req->method,
			     .url = make_url(&target, req->query, &arena),
			     .headers = &headers,
			     .body = req->body,
			     .body_len = body_len,
			     .connect_timeout_ms = req->connect_timeout_ms,
			     .total_timeout_ms = req->total_timeout_ms,
			     .body_max = req->body_max,
			     .ca_file = aws_env(c->aws->env, "AWS_CA_BUNDLE"),
			     .stall_timeout_ms = req->stall_timeout_ms,
			     .on_head = req->on_head,
			     .on_body = req->on_body,
			     .arg = req->arg,
		     },
		     ret_answer, err);
	if (token_line) explicit_bzero(token_line, strlen(token_line));
	return rc;
}

/** One try with its answer read. */
static int try_once(struct call *c, struct buf *ret_body, struct err *err) {
	AUTO_HTTP_RESPONSE struct http_response answer = {0};

	c->failure = (struct call_failure){0};
	if (send_once(c, &answer, err) != 0) return -(int)err->code;
	if (answer.status < 200 || answer.status > 299) {
		call_decode(&answer, clock_now_ms() / 1000, &c->failure, err);
		return -(int)err->code;
	}
	if (!str_eq(c->req->service, "s3") && call_is_html(answer.body.data, answer.body.len))
		return err_set(err, ERR_REMOTE,
			       "HTTP %d with a web page instead of an AWS answer: a proxy or portal stands in between",
			       answer.status);
	*ret_body = answer.body;
	answer.body = (struct buf){0};
	return 0;
}

bool call_cure(struct aws *aws, const char *service, const struct call_failure *failure, char region[CALL_WORD_SIZE],
	       struct call_cures *cures) {
	const char *here = *region ? region : aws->region ? aws->region : "";
	int64_t off_s = failure->skew_s - aws->clock_skew_s;
	bool is_elsewhere = failure->status == 301 || failure->status == 307 || failure->status == 400;
	bool is_off = failure->skew_s != 0 && (off_s > SKEW_MIN_S || off_s < -SKEW_MIN_S);

	if (failure->is_clock_off && is_off && !cures->has_set_clock) {
		log_debug("the clock is %lld s off %s's: signing for its time", (long long)-failure->skew_s, service);
		aws->clock_skew_s = failure->skew_s;
		return cures->has_set_clock = true;
	}
	if (failure->is_token_old && !cures->has_renewed && cred_renew(aws->creds)) return cures->has_renewed = true;
	if (str_eq(service, "s3") && is_elsewhere && *failure->region && !str_eq(failure->region, here) &&
	    !cures->has_moved) {
		memcpy(region, failure->region, CALL_WORD_SIZE);
		return cures->has_moved = true;
	}
	return false;
}

int aws_call(struct aws *aws, const struct aws_request *req, struct buf *ret_body, char *ret_code, struct err *err) {
	struct call c = {.aws = aws, .req = req};
	int64_t began_ms = clock_mono_ms();
	unsigned attempt = 1;

	for (;;) {
		int64_t wait;

		if (try_once(&c, ret_body, err) == 0) return 0;
		if (ret_code) memcpy(ret_code, c.failure.code, sizeof c.failure.code);
		if (call_cure(aws, req->service, &c.failure, c.region, &c.cures)) continue;
		wait = retry_wait_ms(&req->retry, attempt, clock_mono_ms() - began_ms, c.failure.retry_after_ms,
				     clock_random(UINT64_MAX), err);
		if (wait == RETRY_STOP) break;
		if (pause_ms(wait, aws->is_cancelled, "to call AWS again", err) != 0) return -(int)err->code;
		attempt++;
	}
	if (attempt > 1) return err_wrap(err, "after %u tries", attempt);
	return -(int)err->code;
}
