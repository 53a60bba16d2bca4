#include "steps/check_http.h"

#include "aws/fetch.h"
#include "base/err.h"
#include "io/http.h"

/** A page that a check looks at; a larger one is an error, since `contains` would not have seen all of it. */
#define BODY_MAX (4 * 1024 * 1024)

int check_http(struct fetch *fetch, const struct check_http *wanted, int64_t timeout_ms, struct err *err) {
	AUTO_HTTP struct http *own = NULL;
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	struct http *http = fetch ? fetch->http : NULL;
	int r = 0;
	if (!http) {
		r = http_open(&own, err);
		if (r < 0) return r;
		http = own;
	}
	struct http_request request = {
		.method = "GET",
		.url = wanted->url,
		.connect_timeout_ms = timeout_ms,
		.total_timeout_ms = timeout_ms,
		.body_max = BODY_MAX,
	};
	r = http_do(http, &request, &answer, err);
	if (r < 0) return r;
	bool is_status_right = wanted->status ? answer.status == wanted->status : answer.status / 100 == 2;
	if (!is_status_right) {
		if (wanted->status)
			r = err_set(err, ERR_REMOTE, "%s answers %d, not %d", wanted->url, answer.status,
				    wanted->status);
		else
			r = err_set(err, ERR_REMOTE, "%s answers %d", wanted->url, answer.status);
	} else if (wanted->contains && !strstr(buf_str(&answer.body), wanted->contains)) {
		r = err_set(err, ERR_REMOTE, "the answer of %s does not contain '%s'", wanted->url, wanted->contains);
	}
	if (r < 0) err->is_retryable = true;
	return r;
}
