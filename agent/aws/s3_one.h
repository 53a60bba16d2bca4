#pragma once
/*
 * S3, one small request at a time, for who asks once: may this role read or list that, and putting one object. Sources:
 * Amazon S3 API Reference, HeadObject, ListObjectsV2, PutObject.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct aws;
struct err;
struct retry_policy;

/** One HEAD of s3://bucket/key. ERR_DENIED and ERR_NOT_FOUND name what is missing: permission or object. */
CHECK_RESULT int s3_one_may_get(struct aws *aws, const char *url, const struct retry_policy *retry, int64_t timeout_ms,
				struct err *err);

/** One ListObjectsV2 of s3://bucket[/prefix] for one key. An empty prefix is no error. */
CHECK_RESULT int s3_one_may_list(struct aws *aws, const char *url, const struct retry_policy *retry, int64_t timeout_ms,
				 struct err *err);

/** Puts data under s3://bucket/key. */
CHECK_RESULT int s3_one_put(struct aws *aws, const char *url, const void *data, size_t len, const char *content_type,
			    const struct retry_policy *retry, int64_t timeout_ms, struct err *err);
