#pragma once
/*
 * Many HTTP requests at once on one thread: libcurl's multi interface on one epoll. Connections are kept and used
 * again, one request at a time each (HTTP/1.1); new ones are spread over the addresses that the host's name has.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/http.h"

struct http_multi_options {
	unsigned connections; /* most that are kept alive */
	size_t receive_size;  /* bytes received at once, of all the pieces for on_body; libcurl may cut them smaller */
	unsigned events;      /* most connections that one turn looks after */
	const char *ca_file;  /* NULL: found at run time; copied */
};

struct http_multi;

CHECK_RESULT int http_multi_open(const struct http_multi_options *options, struct http_multi **ret_multi,
				 struct err *err);
void http_multi_close(struct http_multi *multi); /* ends what is in flight without a call; NULL is fine */

/**
 * Tells how a request ended: answer for any complete HTTP answer, else NULL with err as http_do fills it. The answer
 * lives until it returns.
 */
typedef void (*http_end_fn)(const struct http_response *answer, struct err *err, void *arg);

/** One request in flight; valid until on_end was called. */
struct http_task;

/**
 * Sends req, which is borrowed with all that it names until on_end was called with its arg. total_timeout_ms may be 0
 * here: none. Fails as http_do does where nothing can be sent. Not from within on_head, on_body or on_source.
 */
CHECK_RESULT int http_multi_start(struct http_multi *multi, const struct http_request *req, http_end_fn on_end,
				  struct http_task **ret_task, struct err *err);

/** Ends a request without a call, and its connection. Not from within on_head, on_body or on_source. */
void http_multi_cancel(struct http_task *task);

/** One turn: waits at most timeout_ms for something to happen, does it, and calls on_end of what has ended. */
CHECK_RESULT int http_multi_run(struct http_multi *multi, int64_t timeout_ms, struct err *err);

/** Ends the wait of a turn; from any thread. */
void http_multi_wake(struct http_multi *multi);

/** Connections opened so far. */
int64_t http_multi_connections(const struct http_multi *multi);
