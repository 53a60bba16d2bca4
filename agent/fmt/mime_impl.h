#pragma once
/*
 * What mime*.c share: the header of a document or part (RFC 2045, 2183) and the transfer encodings.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;

/** A stretch of the document. */
struct mime_span {
	const char *data;
	size_t len;
};

struct mime_header {
	const char *type;     /* lower case, never NULL: text/plain by default (RFC 2045, 5.2) */
	const char *boundary; /* or NULL */
	const char *filename; /* of Content-Disposition, else the name of Content-Type, or NULL */
	const char *encoding; /* lower case, "7bit" by default */
};

/** Takes the next line, its end ("\n" or "\r\n") left out, off the front of rest. False at the end. */
bool mime_line(struct mime_span *rest, struct mime_span *ret_line);

/** True for "Name: …"; the name is *ret_name_len bytes long. */
bool mime_is_field(const struct mime_span *line, size_t *ret_name_len);

/** Reads fields up to the empty line and takes them off rest. ERR_INVALID, ERR_LIMIT. */
CHECK_RESULT int mime_read_header(struct mime_span *rest, struct arena *arena, struct mime_header *ret_header,
				  struct err *err);
