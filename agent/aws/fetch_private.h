#pragma once
/* What fetch.c and fetch_file.c share. */
#include <stdbool.h>

#include "aws/call.h"
#include "aws/fetch.h"

#define FETCH_REDIRECTS_MAX 5
#define FETCH_CONNECT_TIMEOUT_MS 10000
#define FETCH_S3_KEY_MAX 1024

/** The URL as messages may show it: without a query, which may be a signature. */
const char *fetch_visible(const char *url, struct arena *arena);

bool fetch_is_redirect(int status);
bool fetch_is_cancelled(const struct fetch *fetch);

/** Fills err for an answer that is neither 2xx nor a redirect; returns its code. */
int fetch_explain_status(int status, struct err *err);

/** ERR_DENIED for plain http from afar without a hash. */
CHECK_RESULT int fetch_check_plain(const char *url, bool has_hash, struct err *err);

/** Puts bucket and path of an s3:// URL into req. */
CHECK_RESULT int fetch_aim_s3(const struct fetch *fetch, const char *url, struct arena *arena, struct aws_request *req,
			      struct err *err);
