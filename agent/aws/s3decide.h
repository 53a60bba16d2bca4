#pragma once
/*
 * What is to be done with one path, from what is known of it here, in the bucket and in the index. Pure; the rules of a
 * sync in one place.
 */
#include <stdbool.h>
#include <stdint.h>

struct s3_object;
struct s3index_entry;
struct s3walk_entry;

enum s3way { S3WAY_DOWN, S3WAY_UP };

enum s3compare {
	S3COMPARE_STRICT,   /* size, and the index or equal times */
	S3COMPARE_SIZE,	    /* --size-only */
	S3COMPARE_CHECKSUM, /* --checksum: the content against the ETag where it can be */
	S3COMPARE_NOTHING,  /* cp: always copied */
};

enum s3action {
	S3DO_NOTHING, /* not ours to touch: filtered, a folder, a link */
	S3DO_KEEP,    /* both are there and equal */
	S3DO_COPY,
	S3DO_CHECK,  /* equal if the content has the ETag, else copied */
	S3DO_FOLDER, /* make the folder that an empty "dir/" object stands for */
	S3DO_EXTRA,  /* only the destination has it: deleted with --delete */
	S3DO_REFUSE, /* cannot be copied: *ret_why */
};

/** local, object and index are of one path; NULL where there is none. *ret_why: for S3DO_REFUSE, a sentence. */
enum s3action s3decide(enum s3way way, enum s3compare compare, const struct s3walk_entry *local,
		       const struct s3_object *object, const struct s3index_entry *index, const char **ret_why);
