#pragma once
/*
 * DescribeInstances of the EC2 query API: the instances of an account and region that carry a tag, page by page.
 */
#include <stddef.h>

#include "aws/ec2.h"

struct ec2_instance {
	const char *id, *type, *zone;
	const char *state; /* "running", "stopped", … */
	struct ec2_tag *tags;
	size_t tag_count;
};

/** More are not listed: a terminal holds fewer by far. */
#define EC2_INSTANCES_MAX 20000

/** All that have the tag key, in the arena. ERR_LIMIT past EC2_INSTANCES_MAX. */
CHECK_RESULT int ec2_describe_instances(struct aws *aws, const char *tag_key, struct arena *arena,
					struct ec2_instance **ret_instances, size_t *ret_count, struct err *err);

/** The value of a tag, or "". */
const char *ec2_tag_value(const struct ec2_instance *instance, const char *key);
