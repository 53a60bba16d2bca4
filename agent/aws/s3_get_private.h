#pragma once
/* What s3_get.c (one answer, from its beginning to its end) and s3_ranges.c (parts of a large object) share. */
#include "aws/s3_check.h"
#include "aws/s3_file.h"
#include "aws/s3_private.h"

struct s3_ranges;

struct s3_getting {
	struct s3_op op;
	struct s3_request request;
	struct arena arena; /* of the texts of spec */
	struct s3_get spec;
	/* The version that is being got. */
	char etag[S3_ETAG_MAX]; /* "": not known yet */
	int64_t size;		/* -1: not known yet */
	int64_t modified_at_ms; /* 0: not known yet */
	bool has_changed;	/* an answer is of another version: all is begun anew */
	unsigned restarts;

	int64_t received;   /* from the beginning, without a gap */
	int64_t skip;	    /* of this answer: what had been received before */
	bool has_head;	    /* of this answer */
	bool wants_ranges;  /* turned out to be large */
	bool has_no_ranges; /* the server sends the whole object always */
	struct s3_check check;
	bool is_verified;
	struct s3_file file;
	char *piece; /* not written yet */
	size_t piece_len, piece_size;
	int64_t written;
	struct s3_ranges *ranges;
};

/** Takes over what is not known yet; false, has_changed set, when the answer is of another version. */
bool s3_is_same_version(struct s3_getting *g, const struct http_response *answer, const struct s3_version *version);

/** Headers and query that all GETs of the object have. */
void s3_add_condition(const struct s3_getting *g, struct arena *arena, struct strs *headers);
bool s3_verifies(const struct s3_getting *g);

/** Gives the file its final name; nothing is left under the temporary one. */
CHECK_RESULT int s3_commit(struct s3_getting *g, struct err *err);

/** Ends the operation. */
void s3_got(struct s3_getting *g, struct err *err);

/** Begins anew with whatever the object is now; false when that was done too often or data has gone out already. */
bool s3_restart(struct s3_getting *g);

/** Goes on by ranges: size is known. */
void s3_ranges_begin(struct s3_getting *g);
void s3_ranges_free(struct s3_ranges *ranges);
