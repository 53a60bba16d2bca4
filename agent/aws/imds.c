/*
 * References: EC2 User Guide, "Use the Instance Metadata Service to access instance metadata", "Retrieve instance
 * metadata". The answer to the token PUT travels with an IP hop limit (1 by default): inside a container it does not
 * arrive, so a missing hop shows as a time-out. A client that gave up once does not spend its patience a second time.
 */
#include "aws/imds.h"

#include <ctype.h>
#include <stdint.h>

#include "aws/pause.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "io/http.h"
#include "io/retry.h"

#define TOKEN_MAX 4096
#define VALUE_MAX (64 * 1024)
#define USER_DATA_MAX (32 * 1024)
#define TOKEN_TTL_S 21600
#define TOKEN_RENEW_MS (60 * 1000)
#define CONNECT_TIMEOUT_MS 1000
#define TOTAL_TIMEOUT_MS 2000
#define USER_DATA_TIMEOUT_MS 5000
#define ENDPOINTS_MAX 2

struct imds {
	struct http *http;
	char *endpoints[ENDPOINTS_MAX]; /* in the order of trial; [1] may be NULL */
	size_t chosen;			/* the one that gave the token */
	enum imds_patience patience;
	bool (*is_cancelled)(void);
	char *token; /* NULL: none */
	int64_t token_ends_at_ms;
	bool has_given_up;
	struct err last; /* why it gave up */
};

void imds_open(const struct imds_conf *conf, struct http *http, struct imds **ret_imds) {
	struct imds *imds = mem_zalloc(sizeof *imds);

	imds->http = http;
	imds->patience = conf->patience;
	imds->is_cancelled = conf->is_cancelled;
	if (!str_is_empty(conf->endpoint)) {
		size_t len = strlen(conf->endpoint);

		while (len > 0 && conf->endpoint[len - 1] == '/') len--;
		imds->endpoints[0] = mem_dup(conf->endpoint, len);
	} else {
		imds->endpoints[conf->prefers_ipv6 ? 1 : 0] = mem_strdup("http://169.254.169.254");
		imds->endpoints[conf->prefers_ipv6 ? 0 : 1] = mem_strdup("http://[fd00:ec2::254]");
	}
	*ret_imds = imds;
}

static void drop_token(struct imds *imds) {
	if (imds->token) explicit_bzero(imds->token, strlen(imds->token));
	free(imds->token);
	imds->token = NULL;
}

void imds_close(struct imds *imds) {
	if (!imds) return;
	drop_token(imds);
	for (size_t i = 0; i < ENDPOINTS_MAX; i++) free(imds->endpoints[i]);
	free(imds);
}

static int set_retryable(struct err *err) {
	err->is_retryable = true;
	return -(int)err->code;
}

/** The statuses that mean the same to the token PUT and to a GET. */
static int explain_status(int status, const char *what, struct err *err) {
	if (status == 403)
		return err_set(err, ERR_DENIED,
			       "%s: HTTP 403: the instance metadata service is turned off (enable it: aws ec2 "
			       "modify-instance-metadata-options --http-endpoint enabled)",
			       what);
	if (status == 404) return err_set(err, ERR_NOT_FOUND, "%s: HTTP 404: not present on this instance", what);
	(void)err_set(err, ERR_REMOTE, "%s: HTTP %d", what, status);
	if (status == 429 || status >= 500) return set_retryable(err);
	return -(int)err->code;
}

/** A token goes into a header: visible ASCII only. */
static bool is_token(const struct buf *body) {
	for (size_t i = 0; i < body->len; i++)
		if (body->data[i] <= ' ' || body->data[i] > '~') return false;
	return body->len > 0;
}

static int keep_token(struct imds *imds, size_t endpoint, const struct http_response *answer, struct err *err) {
	const char *what = "instance metadata token";

	if (answer->status == 404 || answer->status == 405)
		return err_set(err, ERR_REMOTE, "%s: HTTP %d: no IMDSv2 at %s", what, answer->status,
			       imds->endpoints[endpoint]);
	if (answer->status != 200) return explain_status(answer->status, what, err);
	if (!is_token(&answer->body))
		return err_set(err, ERR_REMOTE, "%s: what %s answered is not a token", what, imds->endpoints[endpoint]);
	drop_token(imds);
	imds->token = mem_strdup(buf_str(&answer->body));
	imds->token_ends_at_ms = clock_mono_ms() + TOKEN_TTL_S * INT64_C(1000);
	imds->chosen = endpoint;
	return 0;
}

static int put_token(struct imds *imds, size_t endpoint, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs headers = {0};
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	struct http_request req = {
		.method = "PUT",
		.url = arena_printf(&arena, "%s/latest/api/token", imds->endpoints[endpoint]),
		.headers = &headers,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.total_timeout_ms = TOTAL_TIMEOUT_MS,
		.body_max = TOKEN_MAX,
		.bypasses_proxy = true,
	};

	strs_add(&headers, arena_printf(&arena, "X-aws-ec2-metadata-token-ttl-seconds: %d", TOKEN_TTL_S));
	if (http_do(imds->http, &req, &answer, err) == 0) return keep_token(imds, endpoint, &answer, err);
	if (err->code == ERR_TIMEOUT)
		(void)err_wrap(err,
			       "no answer to the token request: not an EC2 instance, or the answer is stopped by the "
			       "hop limit (in a container: aws ec2 modify-instance-metadata-options "
			       "--http-put-response-hop-limit 2)");
	return -(int)err->code;
}

/** Asks the endpoint that answered before, else each in turn; the first one's error is the one worth reading. */
static int need_token(struct imds *imds, struct err *err) {
	struct err other;

	if (imds->token && clock_mono_ms() < imds->token_ends_at_ms - TOKEN_RENEW_MS) return 0;
	if (put_token(imds, imds->chosen, err) == 0) return 0;
	if (imds->token || (err->code != ERR_NET && err->code != ERR_TIMEOUT)) return -(int)err->code;
	for (size_t i = 0; i < ENDPOINTS_MAX; i++)
		if (i != imds->chosen && imds->endpoints[i] && put_token(imds, i, &other) == 0) return 0;
	return -(int)err->code;
}

static bool is_user_data(const char *path) { return str_eq(path, "user-data"); }

static int get_once(struct imds *imds, const char *path, size_t max, struct http_response *ret_answer,
		    struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs headers = {0};
	char *token_line = mem_printf("X-aws-ec2-metadata-token: %s", imds->token);
	struct http_request req = {
		.method = "GET",
		.url = arena_printf(&arena, "%s/latest/%s", imds->endpoints[imds->chosen], path),
		.headers = &headers,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.total_timeout_ms = is_user_data(path) ? USER_DATA_TIMEOUT_MS : TOTAL_TIMEOUT_MS,
		.body_max = max,
		.bypasses_proxy = true,
	};
	int rc;

	strs_add(&headers, token_line);
	rc = http_do(imds->http, &req, ret_answer, err);
	explicit_bzero(token_line, strlen(token_line));
	free(token_line);
	return rc;
}

/** One try: a token, the value, and both once more when the token was refused. */
static int try_get(struct imds *imds, const char *path, size_t max, struct buf *value, struct err *err) {
	AUTO_FREE char *what = mem_printf("instance metadata '%s'", path);

	for (bool is_second = false;; is_second = true) {
		AUTO_HTTP_RESPONSE struct http_response answer = {0};

		if (need_token(imds, err) != 0) return -(int)err->code;
		if (get_once(imds, path, max, &answer, err) != 0) return -(int)err->code;
		if (answer.status == 200) {
			buf_reset(value);
			buf_add(value, answer.body.data, answer.body.len);
			if (answer.body.data) explicit_bzero(answer.body.data, answer.body.len); /* may be a key */
			return buf_check(value, what, err);
		}
		if (answer.status != 401) return explain_status(answer.status, what, err);
		drop_token(imds);
		if (is_second)
			return err_set(err, ERR_DENIED, "%s: HTTP 401 even with a token that was made just now", what);
	}
}

static int give_up(struct imds *imds, unsigned tries, struct err *err) {
	if (!err->is_retryable) return -(int)err->code;
	(void)err_wrap(err, "gave up after %u %s", tries, tries == 1 ? "try" : "tries");
	imds->has_given_up = err->code == ERR_NET || err->code == ERR_TIMEOUT;
	if (imds->has_given_up) imds->last = *err;
	return -(int)err->code;
}

int imds_get(struct imds *imds, const char *path, struct buf *value, struct err *err) {
	static const struct retry_policy policies[] = {
		[IMDS_BY_HAND] = {.base_ms = 200, .cap_ms = 1000, .attempts = 2},
		[IMDS_AT_BOOT] = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 120 * 1000},
	};
	struct retry_policy policy = policies[imds->patience];
	size_t cap = is_user_data(path) ? USER_DATA_MAX : VALUE_MAX;
	int64_t began_ms = clock_mono_ms();

	if (imds->has_given_up && imds->patience == IMDS_BY_HAND) {
		*err = imds->last;
		return -(int)err->code;
	}
	if (imds->has_given_up) policy.attempts = 1;
	if (value->max == 0) value->max = cap;
	for (unsigned attempt = 1;; attempt++) {
		int64_t wait;

		if (try_get(imds, path, value->max < cap ? value->max : cap, value, err) == 0) {
			imds->has_given_up = false;
			return 0;
		}
		wait = retry_wait_ms(&policy, attempt, clock_mono_ms() - began_ms, 0, clock_random(UINT64_MAX), err);
		if (wait == RETRY_STOP) return give_up(imds, attempt, err);
		if (pause_ms(wait, imds->is_cancelled, "for instance metadata", err) != 0) return -(int)err->code;
	}
}

/** Copies a value that may become part of a host name or a message; anything stranger counts as absent. */
static void copy_word(const char *s, char *out, size_t size) {
	size_t len = s ? strlen(s) : 0;

	out[0] = '\0';
	if (len >= size) return;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("-._:", s[i])) return;
	memcpy(out, s ? s : "", len + 1);
}

static int read_document(struct imds *imds, struct imds_identity *id, struct err *err) {
	static const char path[] = "dynamic/instance-identity/document";
	AUTO_BUF struct buf text = BUF_INIT(VALUE_MAX);
	AUTO_JS struct js *js = NULL;

	if (imds_get(imds, path, &text, err) != 0) return -(int)err->code;
	if (js_parse(buf_str(&text), text.len, &js, err) != 0) return err_wrap(err, "instance metadata '%s'", path);
	copy_word(js_get_str(js, "instanceId"), id->instance_id, sizeof id->instance_id);
	copy_word(js_get_str(js, "instanceType"), id->instance_type, sizeof id->instance_type);
	copy_word(js_get_str(js, "region"), id->region, sizeof id->region);
	copy_word(js_get_str(js, "availabilityZone"), id->availability_zone, sizeof id->availability_zone);
	copy_word(js_get_str(js, "accountId"), id->account_id, sizeof id->account_id);
	copy_word(js_get_str(js, "imageId"), id->image_id, sizeof id->image_id);
	copy_word(js_get_str(js, "architecture"), id->architecture, sizeof id->architecture);
	copy_word(js_get_str(js, "privateIp"), id->private_ip, sizeof id->private_ip);
	copy_word(js_get_str(js, "pendingTime"), id->pending_time, sizeof id->pending_time);
	if (!id->instance_id[0] || !id->region[0])
		return err_set(err, ERR_REMOTE, "instance metadata '%s' holds no usable %s", path,
			       id->instance_id[0] ? "region" : "instanceId");
	return 0;
}

/** A value that may be absent. */
static int read_word(struct imds *imds, const char *path, char *out, size_t size, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(VALUE_MAX);
	AUTO_FREE char *copy = NULL;

	out[0] = '\0';
	if (imds_get(imds, path, &text, err) != 0) {
		if (err->code != ERR_NOT_FOUND) return -(int)err->code;
		err_clear(err);
		return 0;
	}
	copy = mem_strdup(buf_str(&text));
	copy_word(str_trim(copy), out, size);
	return 0;
}

int imds_identity(struct imds *imds, struct imds_identity *ret_identity, struct err *err) {
	struct imds_identity id = {0};

	if (read_document(imds, &id, err) != 0 ||
	    read_word(imds, "meta-data/instance-life-cycle", id.lifecycle, sizeof id.lifecycle, err) != 0 ||
	    read_word(imds, "meta-data/services/domain", id.domain, sizeof id.domain, err) != 0 ||
	    read_word(imds, "meta-data/services/partition", id.partition, sizeof id.partition, err) != 0)
		return -(int)err->code;
	*ret_identity = id;
	return 0;
}
