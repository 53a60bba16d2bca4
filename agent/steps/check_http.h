#pragma once
/*
 * One HTTP request as a condition.
 */
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fetch;

struct check_http {
	const char *url;
	int status;	      /* 0: any 2xx */
	const char *contains; /* NULL: any body */
};

/** GETs url once. 0: as wanted; else err says what came instead. fetch may be NULL or without a connection pool. */
CHECK_RESULT int check_http(struct fetch *fetch, const struct check_http *wanted, int64_t timeout_ms, struct err *err);
