#pragma once
/*
 * The EC2 query API, version 2016-11-15: the calls that dsagent makes. Tag limits (EC2 User Guide, "Tag restrictions"):
 * key 128, value 256 characters; dsagent's keys hold only letters, digits, ':' and '-', so that they are legal with
 * tags in instance metadata too.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "io/retry.h"

struct arena;
struct aws;
struct err;

#define EC2_TAG_VALUE_MAX 256 /* characters */

struct ec2_tag {
	const char *key, *value;
};

/** Sets tags on one resource in one call; the same key again overwrites. */
CHECK_RESULT int ec2_create_tags(struct aws *aws, const char *resource_id, const struct ec2_tag *tags, size_t count,
				 const struct retry_policy *retry, struct err *err);

/** Asks whether ec2_create_tags would be allowed, without doing it (DryRun). ERR_DENIED names the permission. */
CHECK_RESULT int ec2_may_tag(struct aws *aws, const char *resource_id, const struct retry_policy *retry,
			     struct err *err);

/** The tags of one resource, keys starting with prefix, in the arena. */
CHECK_RESULT int ec2_describe_tags(struct aws *aws, const char *resource_id, const char *prefix, struct arena *arena,
				   struct ec2_tag **ret_tags, size_t *ret_count, struct err *err);

/** An Elastic IP address as the account has it; texts in the arena, "" where it has none. */
struct ec2_address {
	const char *public_ip, *allocation_id, *instance_id, *interface_id;
};

/**
 * The address of an allocation id ("eipalloc-…") or of its public IPv4 address. ERR_NOT_FOUND when the account has none
 * such in this region.
 */
CHECK_RESULT int ec2_describe_address(struct aws *aws, const char *id_or_ip, struct arena *arena,
				      struct ec2_address *ret_address, struct err *err);

/**
 * Associates the address with the instance's primary network interface. ERR_BUSY when it is another's, unless may_take;
 * an address that the instance had before is given up by EC2 (EC2 API Reference, "AssociateAddress").
 */
CHECK_RESULT int ec2_associate_address(struct aws *aws, const char *allocation_id, const char *instance_id,
				       bool may_take, struct err *err);
