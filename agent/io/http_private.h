#pragma once
/* What http and http_multi share, for these modules alone: one transfer on one easy handle. */
#include <curl/curl.h>

#include "io/http.h"

/** One request with its answer. req and the texts that it names are borrowed until it has ended. */
struct http_transfer {
	const struct http_request *req;
	CURL *easy;
	struct http_response response;
	size_t received; /* bytes that went to on_body */
	size_t sent;	 /* bytes that came from on_source */
	bool has_head;	 /* on_head was called */
	bool is_cut; /* an error's body was longer than HTTP_ERROR_BODY_MAX: what came is kept, the rest is not awaited
		      */
	struct err *err;	  /* filled by a callback that stops the transfer */
	struct curl_slist *lines; /* the headers as libcurl wants them: a chain in one array, which is kept */
	size_t lines_cap;
	const char *method;	      /* that the handle is set for; NULL: none yet */
	char reason[CURL_ERROR_SIZE]; /* libcurl's own words */
};

/** Refuses what would change the meaning of the request on the wire, or another protocol. */
CHECK_RESULT int http_check_request(const struct http_request *req, struct err *err);

/** What no request changes: protocols, versions, CA bundle, callbacks; reads t->easy. */
void http_set_handle(struct http_transfer *t, const char *ca_file, bool bypasses_proxy);

/** What each request brings: URL, method, headers, body, deadlines; forgets the last answer. */
void http_set_request(struct http_transfer *t);

/** After the transfer: 0 with the response's status set, or an error that explains code. */
CHECK_RESULT int http_finish(struct http_transfer *t, CURLcode code, struct err *err);

/** Puts method and URL in front of the message. */
int http_request_failed(const struct http_request *req, struct err *err);

/** Frees what t keeps, not its handle. */
void http_transfer_clear(struct http_transfer *t);
