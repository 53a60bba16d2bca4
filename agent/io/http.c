/*
 * References: RFC 9110 (HTTP), libcurl's easy interface. One easy handle is kept for the life of struct http: its
 * connections, TLS sessions and DNS answers outlive curl_easy_reset. libcurl itself repeats a request whose kept-alive
 * connection turned out to be dead before the first byte of an answer; that is the one repetition below io/retry.
 */
#include "io/http.h"

#include "base/err.h"
#include "base/mem.h"
#include "io/http_private.h"

/** Idle connections kept: an endpoint, metadata and a CDN are three. */
#define CONNECTIONS_MAX 8L

struct http {
	CURL *easy; /* NULL until the first request: libcurl's start costs milliseconds that an idle run must not pay */
	bool has_global;
};

int http_open(struct http **ret_http, struct err *err) {
	(void)err; /* nothing can fail before the first request */
	*ret_http = mem_zalloc(sizeof **ret_http);
	return 0;
}

void http_disconnect(struct http *http) {
	if (http->easy) curl_easy_cleanup(http->easy);
	http->easy = NULL;
}

void http_close(struct http *http) {
	if (!http) return;
	http_disconnect(http);
	if (http->has_global) curl_global_cleanup(); /* counted by libcurl: the last one cleans up */
	free(http);
}

void http_close_p(struct http **http) { http_close(*http); }

static int start(struct http *http, struct err *err) {
	if (http->easy) return 0;
	if (!http->has_global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_NET, "libcurl cannot start");
	http->has_global = true;
	http->easy = curl_easy_init();
	if (!http->easy) return err_set(err, ERR_NET, "libcurl cannot make a handle");
	return 0;
}

static int perform(struct http_transfer *t, struct err *err) {
	CURLcode code;

	curl_easy_reset(t->easy);
	http_set_handle(t, t->req->ca_file, t->req->bypasses_proxy);
	http_set_request(t);
	curl_easy_setopt(t->easy, CURLOPT_MAXCONNECTS, CONNECTIONS_MAX);
	code = curl_easy_perform(t->easy);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL); /* it and the headers die with this transfer */
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
	return http_finish(t, code, err);
}

int http_do(struct http *http, const struct http_request *req, struct http_response *ret_response, struct err *err) {
	struct http_transfer t = {.req = req, .err = err};
	int rc;

	err_clear(err);
	rc = http_check_request(req, err);
	if (!rc) rc = start(http, err);
	t.easy = http->easy;
	if (!rc) rc = perform(&t, err);
	if (!rc) {
		*ret_response = t.response;
		t.response = (struct http_response){0};
	}
	http_transfer_clear(&t);
	return rc ? http_request_failed(req, err) : 0;
}
