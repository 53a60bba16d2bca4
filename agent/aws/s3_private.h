#pragma once
/*
 * What the parts of aws/s3 share: the state of one bucket, and requests that are signed, sent, tried again and cured
 * whatever operation they belong to. An operation embeds struct s3_op and its requests.
 */
#include <stdbool.h>
#include <stdint.h>

#include "aws/call_private.h"
#include "aws/s3.h"
#include "aws/s3_pace.h"
#include "aws/s3_patience.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "io/http.h"

struct http_multi;
struct http_task;
struct s3_writer;
struct s3_worker;
struct s3_ranges;

/** An operation: known to struct s3 from s3_begin to s3_finish. */
struct s3_op {
	struct s3 *s3;
	struct s3_op *next, **at;
	void (*free)(struct s3_op *op);	  /* frees it with all it holds, calls nobody */
	void (*cancel)(struct s3_op *op); /* for one that has no request at work; may be NULL */
	void *owner;			  /* of the operation's requests, where that is not the operation itself */
};

void s3_begin(struct s3 *s3, struct s3_op *op);
void s3_finish(struct s3_op *op); /* unlinks and frees */

/** What is sent first; large transfers and small ones share what is left. */
enum s3_lane { S3_LANE_CONTROL, S3_LANE_BULK, S3_LANE_SMALL, S3_LANES };
enum s3_state { S3_IDLE, S3_QUEUED, S3_WAITING, S3_SENT };

#define S3_QUERY_MAX 8 /* parameters of one request */

/**
 * One request through all its tries. The operation fills the first part, zero the rest, and calls s3_send. Ends with
 * one on_end; may be sent anew then.
 */
struct s3_request {
	struct s3_op *op;
	enum s3_lane lane;
	const char *method;
	const char *key;			 /* NULL: the bucket itself; borrowed */
	const char *query[2 * S3_QUERY_MAX + 1]; /* name, value, …, NULL; raw, borrowed */
	bool is_last_will;			 /* is sent although all is cancelled: it cleans up */
	bool makes_something; /* once it is sent its answer is waited for, also when all is cancelled */
	/**
	 * Before each try: adds header lines, sets body, body_len, on_source and payload_hash. A failure ends the
	 * request.
	 */
	int (*on_prepare)(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err);
	const void *body;
	size_t body_len;
	http_source_fn on_source; /* called with the request as arg, as are the next two */
	const char *payload_hash; /* NULL: that of body */
	http_head_fn on_head;
	http_body_fn on_body; /* NULL: the answer's body of at most body_max bytes is kept for on_answer */
	size_t body_max;
	/** A whole 2xx answer; a failure is judged as that of the try. */
	int (*on_answer)(struct s3_request *r, const struct http_response *answer, struct err *err);
	/** Once, last; err NULL: done. r->failure says what the last answer was. May send, finish the operation. */
	void (*on_end)(struct s3_request *r, struct err *err);

	/* Kept by s3_request.c. */
	enum s3_state state;
	struct s3_request *next, *prev;
	struct arena arena; /* of one try */
	struct strs headers;
	struct http_request http;
	struct http_task *task;
	unsigned attempt, epoch;
	unsigned hurried;  /* sent again because the answer was slow to come */
	int64_t heard_ms;  /* when it was sent, or bytes last went or came */
	bool has_followed; /* it was sent again after another request's cure */
	int64_t began_ms, due_ms;
	int64_t progress; /* bytes of a body that on_body took: a try that got further is not counted */
	struct call_cures cures;
	struct call_failure failure;
};

void s3_send(struct s3_request *r);

/** Takes a request back without a call, wherever it is; frees what it holds. */
void s3_drop(struct s3_request *r);

struct s3_queue {
	struct s3_request *first, *last;
	size_t count;
};

struct s3 {
	struct aws *aws;
	struct s3_options options; /* its texts in arena */
	struct arena arena;
	struct http_multi *http;
	struct call_target target; /* of the bucket's root, in target_arena; origin NULL: not known yet */
	struct arena target_arena;
	bool is_https;		     /* of the last target */
	char region[CALL_WORD_SIZE]; /* where the bucket is, once learnt */
	unsigned epoch;		     /* raised by each cure: what was signed before it is worth another try */
	struct sigv4_signer *signer;
	struct s3_queue lanes[S3_LANES], waiting, sent;
	size_t sent_bulk;
	struct s3_pace pace;
	struct s3_patience patience[S3_LANES][2]; /* with answers that bring an object, and with the others */
	int64_t turn_ms, awake_ms;		  /* of the loop: its last turn, its last return from elsewhere */
	int64_t hurried_ms;			  /* the last look at what is slow */
	struct s3_stats stats;
	struct s3_op *ops;
	size_t active;
	unsigned tokens; /* tries again that all requests together may still make; successes give them back */
	int64_t limit_from_ms, limit_bytes; /* bytes_per_s: when counting began and what was moved then */
	bool is_cancelled;
	int64_t cancelled_ms;		/* when */
	struct s3_writer *writer;	/* NULL until a large file comes */
	struct s3_worker *readers;	/* NULL until one goes */
	struct s3_ranges *ready;	/* those of large files that something has happened to */
	uint64_t temp_first, temp_seed; /* marks of temporary names: the first, the next */
};

void s3_queue_put(struct s3_queue *q, struct s3_request *r, enum s3_state state);
/** Out of whichever list it is in. */
void s3_queue_leave(struct s3_request *r);

/** Fills s3->target; ERR_INVALID for a bucket, region or endpoint that cannot be. */
CHECK_RESULT int s3_aim(struct s3 *s3, struct err *err);
bool s3_is_https(const struct s3 *s3);
/** True when checksums are to be sent: AWS's own endpoints take them, others may refuse them. */
bool s3_sends_checksum(const struct s3 *s3);

/** Sends what the limits allow, wakes what has waited long enough, ends all when cancelled. */
void s3_dispatch(struct s3 *s3);
/** Milliseconds until a waiting request is due, at most max. */
int64_t s3_next_due_ms(const struct s3 *s3, int64_t max);

/** Goes on with large files whose ranges were received or written. */
void s3_ranges_look(struct s3 *s3);

/** Puts "s3://bucket/key: " in front; returns the code. */
int s3_wrap(const struct s3 *s3, const char *key, struct err *err);

/** What an answer's headers say of the object. */
struct s3_version {
	char etag[S3_ETAG_MAX];
	int64_t size;  /* of the whole object; -1: not said */
	int64_t start; /* of the body within it */
};
void s3_read_version(const struct http_response *answer, struct s3_version *ret_version);
/** A date in the headers ("Last-Modified", "Date") as epoch milliseconds; 0: not said. */
int64_t s3_read_date(const struct http_response *answer, const char *name);
