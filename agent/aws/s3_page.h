#pragma once
/*
 * One answer of ListObjectsV2, read as it comes: pure. Keys are percent-encoded in it (encoding-type=url), since XML
 * 1.0 cannot hold all that a key may; the continuation token is not.
 */
#include <stdbool.h>
#include <stddef.h>

#include "aws/s3.h"
#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"

struct xml;

/** A server that sends more than was asked for is cut off: S3 never sends more than 1,000. */
#define S3_PAGE_KEYS_MAX 10000

struct s3_page_reader {
	struct arena arena; /* of all texts of the page */
	VEC(struct s3_object) objects;
	struct strs prefixes;
	const char *token; /* NextContinuationToken, or NULL */
	bool is_truncated;
	struct xml *xml;
	/* Of the element that is being read. */
	struct s3_object object;
	bool is_listing, is_encoded, has_percent_20, has_bad_field, has_too_many;
};

void s3_page_open(struct s3_page_reader *page); /* all-zero, or after s3_page_close */
CHECK_RESULT int s3_page_push(struct s3_page_reader *page, const void *data, size_t len, struct err *err);

/**
 * The page is complete: decodes its keys. ERR_REMOTE for what is no listing, keys with a NUL or out of order, a
 * truncated page without a token.
 */
CHECK_RESULT int s3_page_end(struct s3_page_reader *page, struct err *err);
void s3_page_close(struct s3_page_reader *page);

/**
 * Decodes %XX in place, '+' to a space if asked; false for a broken escape or a NUL.
 */
bool s3_url_decode(char *text, bool plus_is_space);
