#pragma once
/*
 * What the files of ec2 share: one signed POST of a form (aws/query), and the words for a refusal.
 */
#include "aws/ec2.h"

struct buf;

#define EC2_VERSION "2016-11-15"
/** A service's error code: aws_call's ret_code. */
#define EC2_CODE_SIZE 64

/** Sends the form; the answer's XML goes to *ret_answer, the code of a refusal to ret_code (EC2_CODE_SIZE). */
CHECK_RESULT int ec2_post(struct aws *aws, const struct buf *form, const struct retry_policy *retry,
			  struct buf *ret_answer, char *ret_code, struct err *err);

/** Puts "ec2:ACTION for ID" in front, and what the role's policy must allow when that is what is missing. */
int ec2_explain(const char *code, const char *action, const char *resource_id, struct err *err);
