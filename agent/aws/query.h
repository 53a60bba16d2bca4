#pragma once
/*
 * The query protocol of EC2, CloudFormation and their kind: a form is posted, XML comes back. The body is
 * percent-encoded after RFC 3986: a space is %20, never '+'.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct aws;
struct buf;
struct err;
struct retry_policy;

/** 50 tags of 384 characters of 4 bytes, each byte written as three, and names. */
#define QUERY_FORM_MAX (256 * 1024)

/** Begins a form: "Action=…&Version=…". */
void query_begin(struct buf *form, const char *action, const char *version);

/** Adds "&name=value", the value encoded. */
void query_add(struct buf *form, const char *name, const char *value);
/** The same with a number in the name: ("Tag.%zu.Key", 3, …). */
void query_add_at(struct buf *form, const char *name_format, size_t n, const char *value);

/** One signed POST; see aws_call. The answer has at most answer_max bytes. */
CHECK_RESULT int query_post(struct aws *aws, const char *service, const struct buf *form, size_t answer_max,
			    const struct retry_policy *retry, struct buf *ret_answer, char *ret_code, struct err *err);
