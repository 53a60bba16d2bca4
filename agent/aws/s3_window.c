#include "aws/s3_window.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"

#define MIB ((int64_t)1024 * 1024)
#define RANGE_MIN (8 * MIB)
#define RANGE_MAX (32 * MIB)
#define LARGE (4096 * MIB)	 /* from here on ranges are twice as large */
#define VERY_LARGE (65536 * MIB) /* and here four times */

/** The size of the stored parts, when N of them in whole MiB make up the object; 0 when that is not so. */
static int64_t stored_part_size(int64_t size, const char *etag) {
	const char *dash = etag ? strchr(etag, '-') : NULL;
	struct err ignored;
	int64_t parts, part;

	if (!dash || parse_i64(dash + 1, 1, 10000, &parts, &ignored) != 0) return 0;
	part = ((size + parts - 1) / parts + MIB - 1) / MIB * MIB;
	return (size + part - 1) / part == parts ? part : 0;
}

int64_t s3_range_size(int64_t size, const char *etag) {
	int64_t part = stored_part_size(size, etag);

	if (part >= RANGE_MIN && part <= RANGE_MAX) return part;
	return size > VERY_LARGE ? RANGE_MAX : size > LARGE ? 2 * RANGE_MIN : RANGE_MIN;
}

void s3_window_init(struct s3_window *w, int64_t size, int64_t range_size) {
	*w = (struct s3_window){.size = size, .range_size = range_size};
	w->count = (size_t)((size + range_size - 1) / range_size);
	w->marks = mem_zalloc(w->count * sizeof *w->marks);
}

void s3_window_clear(struct s3_window *w) {
	free(w->marks);
	*w = (struct s3_window){0};
}

int64_t s3_window_offset(const struct s3_window *w, size_t index) { return (int64_t)index * w->range_size; }

int64_t s3_window_len(const struct s3_window *w, size_t index) {
	int64_t left = w->size - s3_window_offset(w, index);

	return left < w->range_size ? left : w->range_size;
}

bool s3_window_begin(struct s3_window *w, size_t *ret_index) {
	while (w->next < w->count && (w->marks[w->next].is_begun || w->marks[w->next].is_done)) w->next++;
	if (w->next == w->count) return false;
	w->marks[w->next].is_begun = true;
	*ret_index = w->next++;
	return true;
}

void s3_window_done(struct s3_window *w, size_t index, uint64_t crc) {
	if (!w->marks[index].is_done) w->done_count++;
	w->marks[index].is_done = true;
	w->marks[index].crc = crc;
}

bool s3_window_is_complete(const struct s3_window *w) { return w->done_count == w->count; }

uint64_t s3_window_crc(const struct s3_window *w, enum crc_kind kind) {
	uint64_t crc = CRC_INIT;

	for (size_t i = 0; i < w->count; i++) crc = crc_join(kind, crc, w->marks[i].crc, (uint64_t)s3_window_len(w, i));
	return crc;
}
