/*
 * The body is status.json without its steps, and the instance: who wants all of it reads the file. Redirects are not
 * followed, the headers may hold a token.
 */
#include "aws/call.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "io/http.h"
#include "report/ear.h"
#include "report/report.h"

#define CONNECT_TIMEOUT_MS 3000
#define BODY_MAX (64 * 1024)
#define ANSWER_MAX (64 * 1024)

struct webhook_ear {
	struct ear ear;
	struct ear_host *host;
	struct http *http;
	struct word sent;
	bool has_sent;
};

/* Changes of state only: how far it is can be seen in the tags. */
static enum ear_need need(const struct ear *ear, const struct word *word) {
	const struct webhook_ear *w = (const struct webhook_ear *)ear;
	bool is_news = !w->has_sent || w->sent.status != word->status || w->sent.is_ready != word->is_ready ||
		       w->sent.is_final != word->is_final;
	return is_news ? EAR_NOW : EAR_NOTHING;
}

static void body_of(const struct report_remote_conf *conf, const struct word *word, struct buf *out) {
	AUTO_JS struct js *js = js_object();
	report_word_js(word, js);
	js_set_str(js, "instance_id", str_is_empty(conf->instance_id) ? NULL : conf->instance_id);
	js_set_str(js, "hostname", conf->hostname);
	js_print(js, JS_COMPACT, out);
}

/* Too many requests, time-outs and the server's own trouble pass; anything else is said to the wrong address. */
static int judge(int status, struct err *err) {
	if (status >= 200 && status < 300) return 0;
	int rc = err_set(err, ERR_REMOTE, "HTTP %d", status);
	err->is_retryable = status >= 500 || status == 408 || status == 425 || status == 429;
	return rc;
}

static int post(struct webhook_ear *w, const struct buf *body, struct err *err) {
	const struct report_remote_conf *conf = w->host->conf;
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	AUTO_STRS struct strs headers = {0};
	strs_add(&headers, "Content-Type: application/json");
	for (size_t i = 0; i < conf->webhook_headers.count; i++) strs_add(&headers, conf->webhook_headers.items[i]);
	int rc = w->http ? 0 : http_open(&w->http, err);
	if (rc) return rc;
	int64_t connect_ms =
		conf->webhook_timeout_ms < CONNECT_TIMEOUT_MS ? conf->webhook_timeout_ms : CONNECT_TIMEOUT_MS;
	rc = http_do(w->http,
		     &(struct http_request){.method = "POST",
					    .url = conf->webhook_url,
					    .headers = &headers,
					    .body = body->data,
					    .body_len = body->len,
					    .connect_timeout_ms = connect_ms,
					    .total_timeout_ms = conf->webhook_timeout_ms,
					    .body_max = ANSWER_MAX},
		     &answer, err);
	/* An answer that is too long was an answer. */
	if (rc == -ERR_LIMIT) return 0;
	return rc ? rc : judge(answer.status, err);
}

static int send_word(struct ear *ear, const struct word *word, struct err *err) {
	struct webhook_ear *w = (struct webhook_ear *)ear;
	AUTO_BUF struct buf body = BUF_INIT(BODY_MAX);
	body_of(w->host->conf, word, &body);
	int rc = buf_check(&body, "the webhook's body", err);
	if (!rc) rc = post(w, &body, err);
	if (rc) return rc;
	w->sent = *word;
	w->has_sent = true;
	return 0;
}

static void free_ear(struct ear *ear) {
	struct webhook_ear *w = (struct webhook_ear *)ear;
	http_close(w->http);
	free(w);
}

struct ear *ear_webhook(struct ear_host *host) {
	struct webhook_ear *w = mem_zalloc(sizeof *w);
	w->ear = (struct ear){.name = "webhook",
			      .policy = &host->conf->webhook_policy,
			      .need = need,
			      .send = send_word,
			      .free = free_ear};
	w->host = host;
	return &w->ear;
}
