#pragma once
/*
 * CloudFormation's query API, version 2010-05-15: SignalResource, which a stack's CreationPolicy waits for
 * (CloudFormation API Reference, "SignalResource").
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct aws;
struct err;
struct retry_policy;

/**
 * One signal; unique_id tells the signals of one resource apart: the instance id. 0 too when the stack does not wait
 * (any more): CloudFormation then refuses every signal, and nothing is lost.
 */
CHECK_RESULT int cfn_signal(struct aws *aws, const char *stack, const char *resource, const char *unique_id,
			    bool is_success, const struct retry_policy *retry, struct err *err);
