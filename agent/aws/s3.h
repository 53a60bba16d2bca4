#pragma once
/*
 * S3, many requests at once: one bucket, one thread, one event loop. Operations are started and call back from s3_run;
 * each does its own retries (full jitter, a budget), re-signing (fresh credentials, the service's clock, the bucket's
 * region) and verification, and ends exactly once. Memory does not depend on the number or size of objects.
 *
 * Sources: Amazon S3 API Reference (ListObjectsV2, GetObject, PutObject, CreateMultipartUpload, UploadPart,
 * CompleteMultipartUpload, ListParts, ListMultipartUploads, DeleteObjects); S3 User Guide, "Best practices design
 * patterns", "Checking object integrity", "Virtual hosting of buckets".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct aws;
struct err;

/** S3 User Guide, "Creating object key names": 1 to 1,024 bytes of UTF-8. */
#define S3_KEY_MAX 1024
/** An ETag without its quotes: MD5 in hex, "-" and a part count; others keep below this. */
#define S3_ETAG_MAX 128

struct s3;

struct s3_options {
	struct aws *aws;	  /* borrowed; its clock_skew_s is corrected here */
	const char *bucket;	  /* copied */
	const char *endpoint_url; /* NULL: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS's own */
	bool uses_dualstack;
	bool pays_requests;    /* x-amz-request-payer: requester */
	bool skips_checksum;   /* neither send nor verify checksums: for servers that cannot */
	unsigned jobs;	       /* most requests in flight; 0: adaptive up to S3_JOBS_MAX */
	int64_t bytes_per_s;   /* over all transfers; 0: no limit */
	const char *state_dir; /* where unfinished multipart uploads are noted, to be gone on with; NULL: they are not;
				  copied */
};

#define S3_JOBS_MAX 256

CHECK_RESULT int s3_open(const struct s3_options *options, struct s3 **ret_s3, struct err *err);

/** Ends what is in flight without calling back; removes temporary files; aborts no multipart upload (see s3_cancel). */
void s3_close(struct s3 *s3); /* NULL is fine */
void s3_close_p(struct s3 **s3);
#define AUTO_S3 AUTO(s3_close_p)

/**
 * One turn: sends, receives, writes, calls back; waits at most timeout_ms for something to happen. 0, or an error of
 * the loop itself. Operations report their own errors.
 */
CHECK_RESULT int s3_run(struct s3 *s3, int64_t timeout_ms, struct err *err);

/** The URL that the user set, by option or environment; NULL: AWS's own. */
const char *s3_endpoint(const struct s3 *s3);

/** Operations begun and not ended. */
size_t s3_active(const struct s3 *s3);

/** True while few enough operations wait for a connection: start more only then, and memory stays bounded. */
bool s3_has_room(const struct s3 *s3);

/**
 * All operations end soon with ERR_CANCELLED; multipart uploads are aborted, or noted where S3 does not answer any
 * more. Then s3_run until s3_active is 0.
 */
void s3_cancel(struct s3 *s3);

struct s3_stats {
	int64_t received_bytes, sent_bytes; /* of bodies, also of tries that failed */
	int64_t done_bytes;		    /* of objects, as progress shows them; falls when a try is thrown away */
	int64_t requests, retries, throttled, connections;
	unsigned jobs; /* requests in flight that the adaptive limit allows now */
};
const struct s3_stats *s3_stats(const struct s3 *s3);

/** One object of a listing. Texts live until the callback returns. */
struct s3_object {
	const char *key; /* raw bytes, decoded; no NUL in it */
	int64_t size;
	int64_t modified_at_ms; /* LastModified */
	const char *etag;	/* without quotes; opaque */
	const char *storage_class;
	bool is_archived; /* cannot be read without a restore: GLACIER, DEEP_ARCHIVE */
};

struct s3_page {
	const struct s3_object *objects;
	size_t count;
	const char *const *prefixes; /* common prefixes, with a delimiter */
	size_t prefix_count;
};

struct s3_list {
	const char *prefix;	 /* "" for all; copied, like the next three */
	const char *delimiter;	 /* NULL, or "/" */
	const char *start_after; /* NULL: from the beginning */
	const char *stop_after;	 /* NULL: to the end; else keys greater than this are dropped, and no further page is
				    asked for once it or one of them was seen */
	unsigned page_size;	 /* 0: 1,000 */
	/** One page, in key order. Return false to pause: no further page is asked for before s3_list_resume. */
	bool (*on_page)(const struct s3_page *page, void *arg);
	/** Once, last. err NULL: the listing was complete. */
	void (*on_end)(const struct err *err, void *arg);
	void *arg;
};

struct s3_listing; /* valid until on_end */
struct s3_listing *s3_list(struct s3 *s3, const struct s3_list *spec);
void s3_list_resume(struct s3 *s3, struct s3_listing *listing);

/**
 * True for names that s3_get leaves behind when it is killed: ".NAME.dsagent.XXXXXX" and the journal of such a file. A
 * walk leaves them out; one that is older than the run, or whose journal is missing, may be removed.
 */
bool s3_is_temporary(const char *name);

/** True for one without a journal that this s3 has begun: it may be at work on it. */
bool s3_has_made(const struct s3 *s3, const char *name);
#define S3_JOURNAL_SUFFIX ".journal"

/** What is known of a file or object once it was transferred. */
struct s3_done {
	int64_t size, modified_at_ms;
	char etag[S3_ETAG_MAX]; /* of the object as it is in the bucket */
	int64_t local_mtime_ns; /* of the file as it is on disk */
	bool is_verified;	/* a checksum of the service was compared */
};

struct s3_get {
	const char *key;	/* copied */
	const char *version_id; /* NULL: the current one; copied */
	int64_t size;		/* from the listing; -1: unknown, found out by the first GET */
	const char *etag;	/* sent as If-Match; NULL: the first answer's, for all ranges */
	int64_t modified_at_ms; /* becomes the file's mtime; 0: the answer's Last-Modified */
	/*
	 * Either a file: written below dir_fd under a temporary name ".NAME.dsagent.XXXXXX" of mode 0600, verified,
	 * given mode, owner and mtime, renamed to name. dir_fd is borrowed until on_end. An unfinished large file is
	 * kept with its journal and gone on with by the next get of the same key, size and ETag.
	 */
	int dir_fd;
	const char *name; /* copied; NULL: to on_data */
	mode_t mode;
	uid_t uid; /* (uid_t)-1: ours */
	gid_t gid;
	/* Or a stream: in order, each piece once; non-zero stops with ERR_CANCELLED unless it filled err. */
	int (*on_data)(const void *data, size_t len, void *arg, struct err *err);
	/**
	 * Once, last. err NULL: done. An object that changed meanwhile is got anew as it is now, and done says what it
	 * was.
	 */
	void (*on_end)(const struct s3_done *done, const struct err *err, void *arg);
	void *arg;
};
void s3_get(struct s3 *s3, const struct s3_get *spec);

/**
 * Small files in one PUT, larger ones in parts. An unfinished multipart upload that this program began for the same key
 * and the same file is gone on with (ListParts); another of its own for that key is aborted; no other is touched.
 */
struct s3_put {
	const char *key; /* copied */
	/* Either a regular file, opened below dir_fd without following links; borrowed until on_end. */
	int dir_fd;
	const char *name; /* copied; NULL: from on_read */
	bool follows_link;
	/*
	 * Or a stream of unknown length: fills at most size bytes, *ret_len 0 at its end. May block: `cp - s3://…`.
	 */
	int (*on_read)(void *data, size_t size, size_t *ret_len, void *arg, struct err *err);
	const char *content_type;  /* NULL: by the name's suffix, else application/octet-stream; copied */
	const char *storage_class; /* NULL: the bucket's; copied */
	const char *sse_kms_key;   /* NULL: the bucket's; "" KMS with its own key; copied */
	/** Once, last. A file that changed while it was sent fails with ERR_BUSY. */
	void (*on_end)(const struct s3_done *done, const struct err *err, void *arg);
	void *arg;
};
void s3_put(struct s3 *s3, const struct s3_put *spec);

/** DeleteObjects keeps at most so many keys a request. */
#define S3_DELETE_MAX 1000

struct s3_delete {
	const char *const *keys; /* copied */
	size_t count;		 /* 1 to S3_DELETE_MAX */
	/** For each key that was refused, before on_end. */
	void (*on_refused)(const char *key, const struct err *err, void *arg);
	void (*on_end)(const struct err *err, void *arg);
	void *arg;
};
void s3_delete(struct s3 *s3, const struct s3_delete *spec);
