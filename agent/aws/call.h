#pragma once
/*
 * One signed call to an AWS service: endpoint, signature, sending, decoding of the error. Retries by io/retry:
 * throttling, 5xx, network; an expired token or a clock that is off (RequestTimeTooSkewed, RequestExpired) once, after
 * the cure; a bucket in another region than ours once, signed for that region.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/http.h"
#include "io/retry.h"

struct arena;
struct cred_chain;
struct err;

/** Where and as whom; filled once per process, borrowed by all calls. */
struct aws {
	struct http *http;
	struct cred_chain *creds;
	const char *region;	    /* AWS_REGION, AWS_DEFAULT_REGION, profile, IMDS */
	const char *domain;	    /* "amazonaws.com", from IMDS or derived from the region */
	const char *const *env;	    /* for AWS_ENDPOINT_URL…, AWS_USE_…_ENDPOINT, AWS_CA_BUNDLE */
	int64_t clock_skew_s;	    /* learnt from Date headers; added to our clock when signing */
	bool (*is_cancelled)(void); /* asked between tries; NULL: never */
};

/** The value of NAME in a "K=V" vector, NULL if absent or empty. */
const char *aws_env(const char *const *env, const char *name);

/**
 * The URL that the user set for a service, or NULL: url (set for one request, may be NULL), AWS_ENDPOINT_URL_<SERVICE>,
 * AWS_ENDPOINT_URL, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true.
 */
const char *aws_own_endpoint(const struct aws *aws, const char *service, const char *url, struct arena *arena);

/** "amazonaws.com", "amazonaws.com.cn", … for a region (S3 User Guide and botocore's partitions). */
const char *aws_domain_for_region(const char *region);

struct aws_request {
	const char *service;	  /* "ec2", "s3" */
	const char *bucket;	  /* S3: put into host or path as the bucket and endpoint ask for; else NULL */
	const char *endpoint_url; /* instead of what the environment sets and of AWS's own; may be NULL */
	bool uses_dualstack;	  /* of AWS's own endpoints; else where AWS_USE_DUALSTACK_ENDPOINT says so */
	const char *method, *path;
	const char *const *query; /* name, value, …, NULL; may be NULL */
	const char *content_type; /* may be NULL */
	const char *body;	  /* may be NULL */
	size_t body_len;	  /* 0: up to the NUL */
	size_t body_max;	  /* cap on the answer */
	struct retry_policy retry;
	int64_t connect_timeout_ms, total_timeout_ms;
	const struct strs *headers; /* further ones, sent unsigned ("Range: …"); may be NULL */
	int64_t stall_timeout_ms;   /* the last four as in http_request */
	http_head_fn on_head;
	http_body_fn on_body;
	void *arg;
};

/**
 * Sends until it is answered 2xx; that body goes to *ret_body. Errors: ERR_DENIED, ERR_NOT_FOUND, ERR_INVALID,
 * ERR_REMOTE … with "HTTP 403 UnauthorizedOperation: message"; the service's code alone in ret_code (may be NULL, 64
 * bytes).
 */
CHECK_RESULT int aws_call(struct aws *aws, const struct aws_request *req, struct buf *ret_body, char *ret_code,
			  struct err *err);
