#pragma once
/*
 * The parts of aws/call, for it and aws/s3 alone: aim (where a request goes), decode (what an error answer says), cure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct aws;
struct aws_request;
struct err;
struct http_response;

#define CALL_WORD_SIZE 64 /* of an error code or region, the NUL included */

/** Where one request goes; all in an arena. */
struct call_target {
	const char *origin; /* "https://bucket.s3.us-east-1.amazonaws.com" */
	const char *host;   /* as the Host header has it: without a default port */
	const char *path;   /* raw, to be signed and encoded */
	const char *region;
	bool is_own; /* an endpoint that the user set: not AWS's own */
};

/** region: the one to sign for, as a rule aws->region. */
CHECK_RESULT int call_aim(const struct aws *aws, const struct aws_request *req, const char *region, struct arena *arena,
			  struct call_target *ret_target, struct err *err);

/** What is known of an answer that is not a success. */
struct call_failure {
	int status;
	char code[CALL_WORD_SIZE];	 /* "" when the answer names none */
	char region[CALL_WORD_SIZE];	 /* S3: where the bucket is; "" unless said */
	bool is_clock_off, is_token_old; /* the cures that its code asks for */
	int64_t skew_s;			 /* the service's Date minus our clock; 0 without a Date */
	int64_t retry_after_ms;		 /* 0 unless said */
};

/** Reads an answer; fills err with its text, code and is_retryable. now: our clock, epoch seconds. */
void call_decode(const struct http_response *answer, int64_t now, struct call_failure *ret_failure, struct err *err);

/** "Fri, 24 May 2013 00:00:00 GMT" (RFC 9110, IMF-fixdate) as epoch seconds; false for NULL and any other form. */
bool call_parse_date(const char *s, int64_t *ret_epoch_s);

/** What was done about refusals of one call: each cure is tried once. */
struct call_cures {
	bool has_set_clock, has_renewed, has_moved;
};

/**
 * Does what a refusal asks for: corrects the clock, drops credentials, puts the bucket's own region (S3 only) into
 * region. True when the call is worth sending again at once.
 */
bool call_cure(struct aws *aws, const char *service, const struct call_failure *failure, char region[CALL_WORD_SIZE],
	       struct call_cures *cures);

/** True when a body is a web page: a proxy or portal answered in the service's place. */
bool call_is_html(const char *body, size_t len);
