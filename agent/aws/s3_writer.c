#include "aws/s3_writer.h"

#include "aws/s3_file.h"
#include "base/mem.h"

/** Of direct writes: the depth of the device's queue. EBS answers after a millisecond, whatever else it has to do. */
#define DEVICE_THREADS 4
/** Of writes to the page cache, which take a processor: more would take it from the loop. */
#define CACHE_THREADS 1
#define ALIGNMENT 4096 /* of O_DIRECT, on every device that EC2 has */

struct s3_writer {
	struct s3_worker *device, *cache;
	struct s3_piece *free, *newest;
	size_t count;
};

/** Whole blocks past the page cache; the rest, and what a device refuses that way, through it. */
static int write_piece(struct s3_job *job, struct err *err) {
	struct s3_piece *piece = (struct s3_piece *)job;
	size_t direct = 0;

	if (piece->direct_fd >= 0 && piece->offset % ALIGNMENT == 0) {
		direct = piece->len / ALIGNMENT * ALIGNMENT;
		if (s3_file_write(piece->direct_fd, piece->data, direct, piece->offset, err) != 0) {
			if (err->code == ERR_NO_SPACE) return -(int)err->code;
			err_clear(err);
			direct = 0;
		}
	}
	return s3_file_write(piece->fd, piece->data + direct, piece->len - direct, piece->offset + (int64_t)direct,
			     err);
}

int s3_writer_new(struct http_multi *multi, struct s3_writer **ret_writer, struct err *err) {
	struct s3_writer *w = mem_zalloc(sizeof *w);

	if (s3_worker_new(multi, DEVICE_THREADS, &w->device, err) != 0 ||
	    s3_worker_new(multi, CACHE_THREADS, &w->cache, err) != 0) {
		s3_writer_free(w);
		return -(int)err->code;
	}
	*ret_writer = w;
	return 0;
}

void s3_writer_free(struct s3_writer *w) {
	if (!w) return;
	s3_worker_free(w->device);
	s3_worker_free(w->cache);
	while (w->newest) {
		struct s3_piece *piece = w->newest;

		w->newest = piece->older;
		free(piece->data);
		free(piece);
	}
	free(w);
}

static struct s3_piece *new_piece(struct s3_writer *w) {
	struct s3_piece *piece = mem_zalloc(sizeof *piece);

	piece->data = mem_aligned(ALIGNMENT, S3_PIECE_SIZE);
	piece->writer = w;
	piece->older = w->newest;
	w->newest = piece;
	w->count++;
	return piece;
}

static void on_done(struct s3_job *job) {
	struct s3_piece *piece = (struct s3_piece *)job;

	piece->on_written(piece);
	s3_writer_give_back(piece);
}

struct s3_piece *s3_writer_take(struct s3_writer *w) {
	struct s3_piece *piece;

	/* All held by ranges that wait to be tried again: rare, and then memory is the smaller evil. */
	while (!w->free && w->count >= S3_PIECES_MAX && (s3_worker_wait(w->device) || s3_worker_wait(w->cache)))
		s3_writer_collect(w);
	piece = w->free ? w->free : new_piece(w);
	if (piece == w->free) w->free = piece->next;
	piece->len = 0;
	piece->job = (struct s3_job){.work = write_piece, .on_done = on_done};
	return piece;
}

void s3_writer_write(struct s3_piece *piece) {
	struct s3_writer *w = piece->writer;

	s3_worker_submit(piece->direct_fd >= 0 ? w->device : w->cache, &piece->job);
}

void s3_writer_give_back(struct s3_piece *piece) {
	piece->next = piece->writer->free;
	piece->writer->free = piece;
}

void s3_writer_collect(struct s3_writer *w) {
	if (!w) return;
	s3_worker_collect(w->device);
	s3_worker_collect(w->cache);
}
