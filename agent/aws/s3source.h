#pragma once
/*
 * The objects below a prefix, in key order, a few pages ahead of the reader. With an index of an earlier run the
 * listing is split at keys known from there, and several pieces are asked for at once: the order stays, and an
 * unchanged prefix costs no request more than one long listing. A listing that is not in key order is an error: nothing
 * could be told missing from it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "aws/s3.h"
#include "base/cleanup.h"

struct err;
struct s3index;
struct s3source;

/** index: NULL for one long listing; borrowed until the end. */
struct s3source *s3source_open(struct s3 *s3, const char *prefix, const struct s3index *index);
void s3source_free(struct s3source *source); /* NULL is fine; its requests must have ended (s3_active 0) */

enum s3source_state {
	S3SOURCE_OBJECT, /* one is there */
	S3SOURCE_WAITS,	 /* not yet: s3_run */
	S3SOURCE_ENDED,	 /* that was all of it */
	S3SOURCE_FAILED	 /* ret_err of s3source_error says why */
};

/** Looks at the next one; key is what follows the prefix. It stays until s3source_pop. */
enum s3source_state s3source_peek(struct s3source *source, const struct s3_object **ret_object);
void s3source_pop(struct s3source *source);

const struct err *s3source_error(const struct s3source *source);
