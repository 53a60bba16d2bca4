#pragma once
/*
 * One object of any size into a file: https://… or s3://bucket/key. A transfer that is cut goes on where it was, with
 * Range and If-Match (If-Unmodified-Since where the server gives no strong ETag), so that no file is ever put together
 * of two versions; a changed object starts over.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fetch;

#define FETCH_VALIDATOR_SIZE 512

struct fetch_file {
	const char *url;
	int fd; /* open for reading and writing; what it holds is the beginning of the object */
	char validator[FETCH_VALIDATOR_SIZE]; /* of that beginning: a header line, "If-Match: …", or "" */
	bool has_hash;	   /* its hash is checked afterwards: then a beginning without validator is gone on with too */
	int64_t bytes_max; /* ERR_LIMIT beyond */
	int64_t deadline_at_ms; /* clock_mono_ms */
	/** A body begins from 0: its size (-1: not said) and validator are known. Non-zero stops. May be NULL. */
	int (*on_start)(struct fetch_file *file, int64_t size, struct err *err);
	/** At most every 200 ms; total -1: not known. May be NULL. */
	void (*on_progress)(int64_t done, int64_t total, void *arg);
	void *arg;
	int64_t size; /* out: bytes in the file */
};

/**
 * Fetches all of it. Cuts, stalls, 429 and 5xx are tried again, 8 times without any progress in between. ERR_NOT_FOUND,
 * ERR_DENIED, ERR_REMOTE, ERR_NET, ERR_TIMEOUT, ERR_LIMIT, ERR_NO_SPACE; what came so far stays in the file.
 */
CHECK_RESULT int fetch_to_file(struct fetch *fetch, struct fetch_file *file, struct err *err);
