#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "aws/s3_worker.h"
#include "io/http_multi.h"

#define THREADS 4
#define JOBS 1000

/** What the jobs share; their threads below the lock, the rest by the loop's alone. */
struct office {
	pthread_mutex_t lock;
	pthread_cond_t has_come;
	unsigned inside;
	struct http_multi *multi;
	struct s3_worker *worker;
	unsigned done, failed;
};

struct task {
	struct s3_job job;
	struct office *office;
	unsigned number, times;
};

static void open_office(struct office *o, unsigned threads) {
	const struct http_multi_options options = {.connections = 1, .receive_size = 4096};
	struct err err = {0};

	*o = (struct office){.lock = PTHREAD_MUTEX_INITIALIZER, .has_come = PTHREAD_COND_INITIALIZER};
	if (http_multi_open(&options, &o->multi, &err) != 0) fail_msg("%s", err.msg);
	if (s3_worker_new(o->multi, threads, &o->worker, &err) != 0) fail_msg("%s", err.msg);
}

static void close_office(struct office *o) {
	s3_worker_free(o->worker);
	http_multi_close(o->multi);
}

static void on_done(struct s3_job *job) {
	struct task *t = (struct task *)job;

	t->times++;
	t->office->done++;
	if (job->rc) t->office->failed++;
}

/** Each third fails. */
static int work(struct s3_job *job, struct err *err) {
	const struct task *t = (struct task *)job;

	return t->number % 3 ? 0 : err_set(err, ERR_STATE, "job %u", t->number);
}

/** Stays until as many as there are threads have come, or for far too long. */
static int meet(struct s3_job *job, struct err *err) {
	struct office *o = ((struct task *)job)->office;
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	(void)pthread_mutex_lock(&o->lock);
	o->inside++;
	(void)pthread_cond_broadcast(&o->has_come);
	while (!rc && o->inside < THREADS) rc = pthread_cond_timedwait(&o->has_come, &o->lock, &until);
	(void)pthread_mutex_unlock(&o->lock);
	return rc ? err_set_errno(err, rc, "alone") : 0;
}

static void submit(struct office *o, struct task *tasks, unsigned count, int (*fn)(struct s3_job *, struct err *)) {
	for (unsigned i = 0; i < count; i++) {
		tasks[i] = (struct task){.job = {.work = fn, .on_done = on_done}, .office = o, .number = i};
		s3_worker_submit(o->worker, &tasks[i].job);
	}
}

static void does_each_job_once(void **state) {
	static struct task tasks[JOBS];
	struct office o;
	char want[32];

	(void)state;
	open_office(&o, THREADS);
	submit(&o, tasks, JOBS, work);
	while (s3_worker_wait(o.worker)) s3_worker_collect(o.worker);
	assert_int_equal(o.done, JOBS);
	assert_int_equal(o.failed, (JOBS + 2) / 3);
	for (unsigned i = 0; i < JOBS; i++) {
		assert_int_equal(tasks[i].times, 1);
		(void)snprintf(want, sizeof want, "job %u", i);
		if (i % 3 == 0) assert_string_equal(tasks[i].job.err.msg, want);
	}
	close_office(&o);
}

static void does_several_at_once(void **state) {
	struct task tasks[THREADS];
	struct office o;

	(void)state;
	open_office(&o, THREADS);
	submit(&o, tasks, THREADS, meet);
	while (s3_worker_wait(o.worker)) s3_worker_collect(o.worker);
	assert_int_equal(o.done, THREADS);
	assert_int_equal(o.failed, 0);
	close_office(&o);
}

/** The loop sleeps in http_multi_run until a job is done. */
static void wakes_the_loop(void **state) {
	struct task task;
	struct err err = {0};
	struct office o;

	(void)state;
	open_office(&o, 1);
	submit(&o, &task, 1, work);
	assert_int_equal(http_multi_run(o.multi, INT32_MAX, &err), 0);
	s3_worker_collect(o.worker);
	assert_int_equal(o.done, 1);
	close_office(&o);
}

static void ends_with_jobs_waiting(void **state) {
	static struct task tasks[JOBS];
	struct office o;

	(void)state;
	open_office(&o, THREADS);
	submit(&o, tasks, JOBS, work);
	close_office(&o);
	assert_int_equal(o.done, 0); /* nobody is told */
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_each_job_once),
		cmocka_unit_test(does_several_at_once),
		cmocka_unit_test(wakes_the_loop),
		cmocka_unit_test(ends_with_jobs_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
