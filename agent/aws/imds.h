#pragma once
/*
 * EC2 instance metadata, IMDSv2 only (EC2 User Guide, "Use the Instance Metadata Service to access instance metadata").
 * Token PUT with TTL 21600, renewed at 60 s left; 401 drops the token and tries once more; 403 means that the service
 * is off and stops; 404 means absent; 429, 5xx, resets and time-outs are tried again with backoff. Proxies are bypassed
 * (a PUT with X-Forwarded-For is refused). Caps: token 4 KiB, value 64 KiB, user-data 32 KiB.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct err;
struct http;

struct imds;

enum imds_patience {
	IMDS_BY_HAND, /* two tries: on a laptop the answer is no */
	IMDS_AT_BOOT, /* 120 s: metadata may come up later than we do */
};

struct imds_conf {
	const char *endpoint; /* AWS_EC2_METADATA_SERVICE_ENDPOINT, or NULL: 169.254.169.254, then [fd00:ec2::254] */
	bool prefers_ipv6;    /* AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6 */
	enum imds_patience patience;
	bool (*is_cancelled)(void); /* asked between tries; NULL: never */
};

/** Nothing is sent yet. http is borrowed for the life of *ret_imds. */
void imds_open(const struct imds_conf *conf, struct http *http, struct imds **ret_imds);
void imds_close(struct imds *imds); /* NULL is fine */

/**
 * GET path below /latest/ ("meta-data/instance-id"). ERR_NOT_FOUND (404), ERR_DENIED (403: IMDS is disabled),
 * ERR_TIMEOUT with the hop-limit hint when the token PUT gets no answer, ERR_NET, ERR_REMOTE, ERR_LIMIT. The value
 * replaces *value.
 */
CHECK_RESULT int imds_get(struct imds *imds, const char *path, struct buf *value, struct err *err);

struct imds_identity {
	char instance_id[64], instance_type[64], region[64], availability_zone[64], account_id[32], image_id[64],
		architecture[32];
	char private_ip[64], pending_time[32];
	char lifecycle[32]; /* "on-demand" or "spot" */
	char domain[64];    /* "amazonaws.com" */
	char partition[32]; /* "aws" */
};

/** All of it in four requests on one connection. Missing optional items are "". */
CHECK_RESULT int imds_identity(struct imds *imds, struct imds_identity *ret_identity, struct err *err);
