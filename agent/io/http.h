#pragma once
/*
 * HTTP by libcurl: one request function. Every request has a connect and a total deadline and a cap on its body. Whom
 * a server's certificate must come from is io/ca's subject. http and https only; redirects are
 * never followed here (a signed request must be signed anew). No automatic retries: that is io/retry's decision.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct err;

struct http; /* a connection pool for one thread; keeps connections alive between requests */

CHECK_RESULT int http_open(struct http **ret_http, struct err *err);
void http_close(struct http *http); /* NULL is fine */
void http_close_p(struct http **http);
#define AUTO_HTTP AUTO(http_close_p)

/** Closes every connection; the next request opens its own. Call before fork: two processes must not share one. */
void http_disconnect(struct http *http);

/** Receives the body in pieces; non-zero stops the transfer with ERR_CANCELLED unless it filled err itself. */
typedef int (*http_body_fn)(const void *data, size_t len, void *arg, struct err *err);

/** The body of an answer that is not 2xx is cut here, whatever body_max: what went wrong is said at its beginning. */
#define HTTP_ERROR_BODY_MAX (64 * 1024)

/** What to do about a 407, from a proxy that was asked for a tunnel or for the thing itself. */
#define HTTP_PROXY_ASKS                                                                                                \
	"the proxy asks for user and password: write http://USER:PASSWORD@HOST:PORT into the variable that names it"

struct http_response;

/** Sees status and headers of a 2xx answer once, before its first byte; non-zero stops as in http_body_fn. */
typedef int (*http_head_fn)(const struct http_response *head, void *arg, struct err *err);

/** Fills data with at most size bytes of the request's body from offset on; non-zero stops as in http_body_fn. */
typedef int (*http_source_fn)(size_t offset, void *data, size_t size, size_t *ret_len, void *arg, struct err *err);

struct http_request {
	const char *method; /* "GET", "PUT", "POST", "HEAD", "DELETE" */
	const char *url;
	const struct strs *headers; /* "Name: value" lines, may be NULL; "Host" is derived unless given */
	const void *body;
	size_t body_len;
	http_source_fn on_source; /* instead of body: body_len bytes in pieces, perhaps once more from the beginning */
	int64_t connect_timeout_ms, total_timeout_ms; /* both > 0 */
	size_t body_max;			      /* most bytes of a 2xx body */
	bool bypasses_proxy;			      /* link-local services: a proxy must never see them */
	const char *ca_file;			      /* NULL: as io/ca finds it */
	int64_t stall_timeout_ms;		      /* > 0: less than a byte a second for so long is ERR_TIMEOUT */
	http_head_fn on_head;			      /* may be NULL; only with on_body */
	http_body_fn on_body; /* NULL: the body goes to http_response.body. Called for 2xx answers only. */
	void *arg;
};

struct http_response {
	int status;
	struct buf body;    /* of every answer without on_body, and of non-2xx answers */
	struct buf headers; /* raw header lines, for http_header */
};

/**
 * 0 for any complete HTTP answer whatever its status. Errors: ERR_NET (retryable unless the certificate was refused or
 * the URL is malformed), ERR_TIMEOUT (retryable), ERR_LIMIT. The message names method, URL without its query, and
 * cause.
 */
CHECK_RESULT int http_do(struct http *http, const struct http_request *req, struct http_response *ret_response,
			 struct err *err);

void http_response_clear(struct http_response *response);
#define AUTO_HTTP_RESPONSE AUTO(http_response_clear)

/** The value of the first header of that name (case ignored), copied; NULL if absent. The caller frees. */
char *http_header(const struct http_response *response, const char *name);

/** The same without a copy: NULL, or the value's place in the headers and its length without white space around. */
const char *http_header_at(const struct http_response *response, const char *name, size_t *ret_len);

/** "Fri, 24 May 2013 00:00:00 GMT" (RFC 9110, IMF-fixdate) as epoch seconds; false for any other form. */
bool http_parse_date(const char *s, int64_t *ret_epoch_s);
