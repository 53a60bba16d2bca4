#pragma once
/*
 * Threads that read or write files while the loop sends and receives. A disk that is slow holds up nothing but what
 * waits for it, and one that is far away (EBS: a millisecond) has several blocks under way.
 */
#include "base/cleanup.h"
#include "base/err.h"

#define S3_WORKER_THREADS_MAX 8

struct http_multi;
struct s3_worker;

/** Something to be done; a member of what it is about, which lives until on_done or the worker's end. */
struct s3_job {
	struct s3_job *next;
	int (*work)(struct s3_job *job, struct err *err); /* by a thread; touches nothing that others do */
	void (*on_done)(struct s3_job *job);		  /* by the loop's thread; rc and err say how it went */
	int rc;
	struct err err;
};

/** At most S3_WORKER_THREADS_MAX threads; multi is woken when jobs are done. */
CHECK_RESULT int s3_worker_new(struct http_multi *multi, unsigned threads, struct s3_worker **ret_worker,
			       struct err *err);
/** Ends each thread after the job that it is at; the others are not done, and no one is told. NULL is fine. */
void s3_worker_free(struct s3_worker *worker);

/** Begun in the order of submission. */
void s3_worker_submit(struct s3_worker *worker, struct s3_job *job);

/** Calls on_done of all that are done. NULL is fine. */
void s3_worker_collect(struct s3_worker *worker);

/** Waits until a job is done; false at once when there is none. */
bool s3_worker_wait(struct s3_worker *worker);
