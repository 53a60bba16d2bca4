#include "aws/s3_worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/fifo.h"
#include "base/mem.h"
#include "io/http_multi.h"

typedef FIFO(struct s3_job) job_list;

struct s3_worker {
	struct http_multi *multi;
	pthread_t threads[S3_WORKER_THREADS_MAX];
	unsigned count; /* of threads */
	pthread_mutex_t lock;
	pthread_cond_t has_work, has_done;
	job_list work, done; /* below the lock, like the next two */
	unsigned busy;	     /* with jobs that are in neither list */
	bool is_ending;
};

static void do_one(struct s3_worker *w) {
	struct s3_job *job = w->work.first;

	fifo_drop(&w->work);
	w->busy++;
	(void)pthread_mutex_unlock(&w->lock);
	job->rc = job->work(job, &job->err);
	(void)pthread_mutex_lock(&w->lock);
	w->busy--;
	if (!w->done.first) http_multi_wake(w->multi); /* else it was told, and takes all that it finds */
	fifo_push(&w->done, job);
	(void)pthread_cond_signal(&w->has_done);
}

static void *run(void *arg) {
	struct s3_worker *w = arg;

	(void)pthread_mutex_lock(&w->lock); /* fails only for a lock that is none */
	while (!w->is_ending) {
		if (w->work.first)
			do_one(w);
		else
			(void)pthread_cond_wait(&w->has_work, &w->lock);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/** Fewer than asked for do as well; 0 or the errno of the first. */
static int start_threads(struct s3_worker *w, unsigned count) {
	sigset_t all, before;
	int errnum = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	while (!errnum && w->count < count) {
		errnum = pthread_create(&w->threads[w->count], NULL, run, w);
		if (!errnum) w->count++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->count ? 0 : errnum;
}

int s3_worker_new(struct http_multi *multi, unsigned threads, struct s3_worker **ret_worker, struct err *err) {
	struct s3_worker *w = mem_zalloc(sizeof *w);
	int errnum;

	w->multi = multi;
	(void)pthread_mutex_init(&w->lock, NULL); /* these cannot fail with default attributes */
	(void)pthread_cond_init(&w->has_work, NULL);
	(void)pthread_cond_init(&w->has_done, NULL);
	errnum = start_threads(w, threads);
	if (errnum) {
		free(w);
		return err_set_errno(err, errnum, "cannot start a thread for files");
	}
	*ret_worker = w;
	return 0;
}

void s3_worker_free(struct s3_worker *w) {
	if (!w) return;
	(void)pthread_mutex_lock(&w->lock);
	w->is_ending = true;
	(void)pthread_cond_broadcast(&w->has_work);
	(void)pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->count; i++) (void)pthread_join(w->threads[i], NULL);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->has_work);
	(void)pthread_cond_destroy(&w->has_done);
	free(w);
}

void s3_worker_submit(struct s3_worker *w, struct s3_job *job) {
	(void)pthread_mutex_lock(&w->lock);
	fifo_push(&w->work, job);
	(void)pthread_cond_signal(&w->has_work);
	(void)pthread_mutex_unlock(&w->lock);
}

bool s3_worker_wait(struct s3_worker *w) {
	bool has_some;

	(void)pthread_mutex_lock(&w->lock);
	has_some = w->busy || w->work.first || w->done.first;
	while (has_some && !w->done.first) (void)pthread_cond_wait(&w->has_done, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
	return has_some;
}

void s3_worker_collect(struct s3_worker *w) {
	job_list done;

	if (!w) return;
	(void)pthread_mutex_lock(&w->lock);
	done = w->done;
	w->done = (job_list){0};
	(void)pthread_mutex_unlock(&w->lock);
	for (struct s3_job *job = done.first, *next; job; job = next) {
		next = job->next;
		job->on_done(job);
	}
}
