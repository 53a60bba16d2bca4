#pragma once
/*
 * What the files of ec2 share: a form, sent as one signed POST, and the words for a refusal.
 */
#include "aws/ec2.h"

struct buf;

/** 50 tags of 384 characters of 4 bytes, each byte written as three, and names. */
#define EC2_FORM_MAX (256 * 1024)
/** A service's error code: aws_call's ret_code. */
#define EC2_CODE_SIZE 64

/** Adds value to the form, percent-encoded. */
void ec2_add_value(struct buf *form, const char *value);

/** Sends the form; the answer's XML goes to *ret_answer, the code of a refusal to ret_code (EC2_CODE_SIZE). */
CHECK_RESULT int ec2_post(struct aws *aws, const struct buf *form, const struct retry_policy *retry,
			  struct buf *ret_answer, char *ret_code, struct err *err);

/** Puts "ec2:ACTION for ID" in front, and what the role's policy must allow when that is what is missing. */
int ec2_explain(const char *code, const char *action, const char *resource_id, struct err *err);
