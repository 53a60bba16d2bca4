#include "aws/s3_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "aws/s3_file.h"
#include "base/mem.h"
#include "io/http_multi.h"

#define ALIGNMENT 4096 /* of O_DIRECT, on every device that EC2 has */

struct list {
	struct s3_piece *first, *last;
};

struct s3_writer {
	struct http_multi *multi;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t has_work, has_written;
	struct list work, written; /* below the lock, like the next three */
	size_t busy;		   /* in work, or being written */
	bool is_ending;
	struct s3_piece *free; /* of the loop's thread, like the rest */
	struct s3_piece *newest;
	size_t count;
};

static void append(struct list *list, struct s3_piece *piece) {
	piece->next = NULL;
	if (list->last)
		list->last->next = piece;
	else
		list->first = piece;
	list->last = piece;
}

static struct s3_piece *pop(struct list *list) {
	struct s3_piece *piece = list->first;

	if (!piece) return NULL;
	list->first = piece->next;
	if (!list->first) list->last = NULL;
	return piece;
}

/** Whole blocks past the page cache; the rest, and what a device refuses that way, through it. */
static int write_piece(struct s3_piece *piece, struct err *err) {
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

static void *work(void *arg) {
	struct s3_writer *w = arg;

	(void)pthread_mutex_lock(&w->lock); /* fails only for a lock that is none */
	for (;;) {
		struct s3_piece *piece = pop(&w->work);

		if (!piece && w->is_ending) break;
		if (!piece) {
			(void)pthread_cond_wait(&w->has_work, &w->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&w->lock);
		piece->rc = write_piece(piece, &piece->err);
		(void)pthread_mutex_lock(&w->lock);
		append(&w->written, piece);
		w->busy--;
		(void)pthread_cond_signal(&w->has_written);
		http_multi_wake(w->multi);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

int s3_writer_new(struct http_multi *multi, struct s3_writer **ret_writer, struct err *err) {
	struct s3_writer *w = mem_zalloc(sizeof *w);
	sigset_t all, before;
	int errnum;

	w->multi = multi;
	(void)pthread_mutex_init(&w->lock, NULL); /* these cannot fail with default attributes */
	(void)pthread_cond_init(&w->has_work, NULL);
	(void)pthread_cond_init(&w->has_written, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	errnum = pthread_create(&w->thread, NULL, work, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errnum) {
		free(w);
		return err_set_errno(err, errnum, "cannot start the thread that writes");
	}
	*ret_writer = w;
	return 0;
}

void s3_writer_free(struct s3_writer *w) {
	if (!w) return;
	(void)pthread_mutex_lock(&w->lock);
	w->is_ending = true;
	(void)pthread_cond_signal(&w->has_work);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	while (w->newest) {
		struct s3_piece *piece = w->newest;

		w->newest = piece->older;
		free(piece->data);
		free(piece);
	}
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->has_work);
	(void)pthread_cond_destroy(&w->has_written);
	free(w);
}

static struct s3_piece *new_piece(struct s3_writer *w) {
	struct s3_piece *piece = mem_zalloc(sizeof *piece);

	piece->data = aligned_alloc(ALIGNMENT, S3_PIECE_SIZE);
	if (!piece->data) abort(); /* memory never fails: base/mem.h */
	piece->older = w->newest;
	w->newest = piece;
	w->count++;
	return piece;
}

/** True when pieces are being written, and then waits until one has been. */
static bool wait_for_one(struct s3_writer *w) {
	bool was_busy;

	(void)pthread_mutex_lock(&w->lock);
	was_busy = w->busy > 0 || w->written.first;
	while (w->busy > 0 && !w->written.first) (void)pthread_cond_wait(&w->has_written, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
	return was_busy;
}

struct s3_piece *s3_writer_take(struct s3_writer *w) {
	struct s3_piece *piece;

	/* All held by ranges that wait to be tried again: rare, and then memory is the smaller evil. */
	while (!w->free && w->count >= S3_PIECES_MAX && wait_for_one(w)) s3_writer_collect(w);
	piece = w->free ? w->free : new_piece(w);
	if (piece == w->free) w->free = piece->next;
	piece->len = 0;
	piece->rc = 0;
	err_clear(&piece->err);
	return piece;
}

void s3_writer_write(struct s3_writer *w, struct s3_piece *piece) {
	(void)pthread_mutex_lock(&w->lock);
	append(&w->work, piece);
	w->busy++;
	(void)pthread_cond_signal(&w->has_work);
	(void)pthread_mutex_unlock(&w->lock);
}

void s3_writer_give_back(struct s3_writer *w, struct s3_piece *piece) {
	piece->next = w->free;
	w->free = piece;
}

void s3_writer_collect(struct s3_writer *w) {
	struct list written;

	(void)pthread_mutex_lock(&w->lock);
	written = w->written;
	w->written = (struct list){0};
	(void)pthread_mutex_unlock(&w->lock);
	for (struct s3_piece *piece = written.first, *next; piece; piece = next) {
		next = piece->next;
		piece->on_written(piece);
		s3_writer_give_back(w, piece);
	}
}
