#pragma once
/*
 * The ranges of one large object: pure arithmetic. Ranges are begun in order, so that writes stay nearly sequential,
 * and end in any.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fmt/crc.h"

/** Larger objects are got by ranges. */
#define S3_WHOLE_MAX ((int64_t)16 * 1024 * 1024)

struct s3_range_mark {
	bool is_begun, is_done;
	uint64_t crc; /* of a done one, where CRCs are wanted */
};

struct s3_window {
	int64_t size, range_size;
	size_t count, done_count;
	size_t next; /* none before it is free */
	struct s3_range_mark *marks;
};

/** 8 MiB, more for very large objects; the parts that the object was stored in, where ETag and size reveal them. */
int64_t s3_range_size(int64_t size, const char *etag);

void s3_window_init(struct s3_window *window, int64_t size, int64_t range_size);
void s3_window_clear(struct s3_window *window);

int64_t s3_window_offset(const struct s3_window *window, size_t index);
int64_t s3_window_len(const struct s3_window *window, size_t index);

/** The first range that is neither begun nor done, and marks it begun; false when there is none. */
bool s3_window_begin(struct s3_window *window, size_t *ret_index);
void s3_window_done(struct s3_window *window, size_t index, uint64_t crc);
bool s3_window_is_complete(const struct s3_window *window);

/** Of the whole object, out of its ranges. */
uint64_t s3_window_crc(const struct s3_window *window, enum crc_kind kind);
