#include "aws/query.h"

#include "aws/call.h"
#include "base/arena.h"
#include "base/err.h"
#include "fmt/codec.h"

#define CONNECT_TIMEOUT_MS 5000 /* a private subnet without an endpoint: give up early */
#define TOTAL_TIMEOUT_MS 15000

void query_begin(struct buf *form, const char *action, const char *version) {
	buf_addf(form, "Action=%s&Version=%s", action, version);
}

void query_add(struct buf *form, const char *name, const char *value) {
	AUTO_BUF struct buf encoded = BUF_INIT(QUERY_FORM_MAX);

	codec_percent(value, false, &encoded);
	buf_addf(form, "&%s=", name);
	buf_add(form, encoded.data, encoded.len);
}

void query_add_at(struct buf *form, const char *name_format, size_t n, const char *value) {
	const char *digit = strstr(name_format, "%zu");
	AUTO_ARENA struct arena arena = {0};

	query_add(form,
		  arena_printf(&arena, "%.*s%zu%s", (int)(digit - name_format), name_format, n, digit + strlen("%zu")),
		  value);
}

int query_post(struct aws *aws, const char *service, const struct buf *form, size_t answer_max,
	       const struct retry_policy *retry, struct buf *ret_answer, char *ret_code, struct err *err) {
	const struct aws_request req = {
		.service = service,
		.method = "POST",
		.path = "/",
		.content_type = "application/x-www-form-urlencoded; charset=utf-8",
		.body = buf_str(form),
		.body_max = answer_max,
		.retry = *retry,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.total_timeout_ms = TOTAL_TIMEOUT_MS,
	};

	if (buf_check(form, "the request", err) != 0) return -(int)err->code;
	return aws_call(aws, &req, ret_answer, ret_code, err);
}
