#pragma once
/*
 * Steps on the instance itself, as EC2 has it: their calls go to the instance's own region, whatever AWS_REGION says.
 */
#include "aws/call.h"

struct step_ctx;

/** *ret_aws borrows from ctx. ERR_UNSUPPORTED off EC2 or where metadata is not to be had, with the reason. */
CHECK_RESULT int own_instance_aws(const struct step_ctx *ctx, struct aws *ret_aws, struct err *err);
