#include "aws/s3.h"

#include <ctype.h>
#include <sys/resource.h>

#include "aws/call.h"
#include "aws/s3_file.h"
#include "aws/s3_private.h"
#include "aws/s3_writer.h"
#include "aws/sigv4.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/http_multi.h"

/** 256 KiB a receive: with less, system calls and writes begin to show; more gains nothing. */
#define RECEIVE_SIZE ((size_t)256 * 1024)
/** With a limit of bandwidth, pieces and turns are small, so that it is kept to within a fraction of a second. */
#define LIMITED_RECEIVE_SIZE ((size_t)16 * 1024)
#define LIMITED_EVENTS 4
#define LIMITED_JOBS 8
#define LIMIT_SLEEP_MAX_MS 100
#define LIMIT_DEBT_MAX_MS 1000 /* a pause does not earn more than so much */
#define TOKENS_FIRST 1000
#define FDS_PER_JOB 4 /* a connection, a file, and as many for the rest of the program */

static int check_bucket(const char *bucket, struct err *err) {
	if (str_starts(bucket, "arn:"))
		return err_set(err, ERR_UNSUPPORTED,
			       "'%.200s': access points are reached by their alias (…-s3alias), not by ARN", bucket);
	if (str_ends(bucket, "--x-s3"))
		return err_set(err, ERR_UNSUPPORTED,
			       "'%.200s' is a directory bucket (S3 Express One Zone): these are not supported", bucket);
	return 0;
}

/** As many as descriptors allow. */
static unsigned jobs_max(const struct s3_options *options) {
	struct rlimit files;
	unsigned max = options->bytes_per_s > 0 ? LIMITED_JOBS : S3_JOBS_MAX;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0) return max;
	if (files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0) return max; /* cannot fail below the hard limit */
	}
	if (files.rlim_cur / FDS_PER_JOB < max) max = (unsigned)(files.rlim_cur / FDS_PER_JOB);
	return max > 0 ? max : 1;
}

static void copy_options(struct s3 *s3, const struct s3_options *options) {
	s3->aws = options->aws;
	s3->options = *options;
	s3->options.bucket = arena_strdup(&s3->arena, options->bucket);
	s3->options.endpoint_url =
		arena_strdup(&s3->arena, aws_own_endpoint(s3->aws, "s3", options->endpoint_url, &s3->arena));
	s3->options.state_dir = arena_strdup(&s3->arena, options->state_dir);
}

int s3_open(const struct s3_options *options, struct s3 **ret_s3, struct err *err) {
	bool is_limited = options->bytes_per_s > 0;
	unsigned max = jobs_max(options);
	struct s3 *s3;
	int rc;

	if (check_bucket(options->bucket, err) != 0) return -(int)err->code;
	s3 = mem_zalloc(sizeof *s3);
	copy_options(s3, options);
	s3->signer = sigv4_signer_new();
	s3->tokens = TOKENS_FIRST;
	s3->temp_first = s3->temp_seed = clock_random(UINT64_MAX);
	s3->limit_from_ms = clock_mono_ms();
	s3_pace_init(&s3->pace, options->jobs, max, s3->limit_from_ms);
	for (size_t i = 0; i < S3_LANES; i++)
		for (size_t k = 0; k < 2; k++) s3_patience_init(&s3->patience[i][k]);
	rc = s3_aim(s3, err);
	if (!rc)
		rc = http_multi_open(
			&(struct http_multi_options){
				.connections = max,
				.receive_size = is_limited ? LIMITED_RECEIVE_SIZE : RECEIVE_SIZE,
				.events = is_limited ? LIMITED_EVENTS : 0,
				.ca_file = aws_env(s3->aws->env, "AWS_CA_BUNDLE"),
			},
			&s3->http, err);
	if (rc) {
		s3_close(s3);
		return rc;
	}
	*ret_s3 = s3;
	return 0;
}

void s3_close(struct s3 *s3) {
	if (!s3) return;
	s3_writer_free(s3->writer);
	s3->writer = NULL;
	s3_worker_free(s3->readers);
	while (s3->ops) s3_finish(s3->ops);
	http_multi_close(s3->http);
	sigv4_signer_free(s3->signer);
	arena_clear(&s3->target_arena);
	arena_clear(&s3->arena);
	free(s3);
}

void s3_close_p(struct s3 **s3) { s3_close(*s3); }

int s3_aim(struct s3 *s3, struct err *err) {
	const struct aws_request req = {
		.service = "s3",
		.bucket = s3->options.bucket,
		.endpoint_url = s3->options.endpoint_url,
		.uses_dualstack = s3->options.uses_dualstack,
	};

	if (s3->target.origin) return 0;
	arena_clear(&s3->target_arena);
	if (call_aim(s3->aws, &req, *s3->region ? s3->region : s3->aws->region, &s3->target_arena, &s3->target, err))
		return -(int)err->code;
	s3->is_https = str_starts(s3->target.origin, "https:");
	return 0;
}

bool s3_is_https(const struct s3 *s3) { return s3->is_https; }

bool s3_sends_checksum(const struct s3 *s3) { return !s3->options.skips_checksum && !s3->target.is_own; }

void s3_begin(struct s3 *s3, struct s3_op *op) {
	op->s3 = s3;
	op->next = s3->ops;
	op->at = &s3->ops;
	if (op->next) op->next->at = &op->next;
	s3->ops = op;
	s3->active++;
}

void s3_finish(struct s3_op *op) {
	*op->at = op->next;
	if (op->next) op->next->at = op->at;
	op->s3->active--;
	op->free(op);
}

int s3_wrap(const struct s3 *s3, const char *key, struct err *err) {
	char visible[S3_KEY_MAX + 1];
	size_t n = 0;

	for (; n < S3_KEY_MAX && key[n]; n++) visible[n] = key[n];
	visible[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)visible[i])) visible[i] = '?';
	return err_wrap(err, "s3://%s/%s", s3->options.bucket, visible);
}

const char *s3_endpoint(const struct s3 *s3) { return s3->options.endpoint_url; }

size_t s3_active(const struct s3 *s3) { return s3->active; }

bool s3_has_room(const struct s3 *s3) {
	size_t queued = s3->waiting.count;

	for (enum s3_lane lane = 0; lane < S3_LANES; lane++) queued += s3->lanes[lane].count;
	return queued < s3->pace.jobs;
}

bool s3_has_made(const struct s3 *s3, const char *name) {
	return s3_file_is_between(name, s3->temp_first, s3->temp_seed);
}

void s3_cancel(struct s3 *s3) {
	if (!s3->is_cancelled) s3->cancelled_ms = clock_mono_ms();
	s3->is_cancelled = true;
}

const struct s3_stats *s3_stats(const struct s3 *s3) { return &s3->stats; }

/** Milliseconds that nothing may be moved for, so that the limit of bandwidth is kept. */
static int64_t pause_of_limit_ms(struct s3 *s3) {
	int64_t limit = s3->options.bytes_per_s, now_ms, moved, ahead_ms;

	if (limit <= 0) return 0;
	now_ms = clock_mono_ms();
	moved = s3->stats.received_bytes + s3->stats.sent_bytes - s3->limit_bytes;
	ahead_ms = moved * 1000 / limit - (now_ms - s3->limit_from_ms);
	if (ahead_ms > 0) return ahead_ms < LIMIT_SLEEP_MAX_MS ? ahead_ms : LIMIT_SLEEP_MAX_MS;
	if (ahead_ms < -LIMIT_DEBT_MAX_MS) {
		s3->limit_from_ms = now_ms;
		s3->limit_bytes += moved;
	}
	return 0;
}

/** What was read or written meanwhile. */
static void look_at_files(struct s3 *s3) {
	s3_worker_collect(s3->readers);
	s3_ranges_look(s3);
}

int s3_run(struct s3 *s3, int64_t timeout_ms, struct err *err) {
	int64_t pause_ms = pause_of_limit_ms(s3);

	look_at_files(s3);
	s3_dispatch(s3);
	if (pause_ms > 0) {
		clock_sleep_ms(pause_ms < timeout_ms ? pause_ms : timeout_ms);
		return 0;
	}
	if (s3->active == 0) return 0; /* the last operation has just ended */
	if (http_multi_run(s3->http, s3_next_due_ms(s3, timeout_ms), err) != 0) return -(int)err->code;
	look_at_files(s3);
	s3_pace_turn(&s3->pace, clock_mono_ms());
	s3->stats.connections = http_multi_connections(s3->http);
	s3->stats.jobs = s3->pace.jobs;
	return 0;
}
