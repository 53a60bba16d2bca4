#pragma once
/*
 * S3 on a port of its own: path style and virtual-host style, ListObjectsV2, GET with ranges and conditions, PUT,
 * multipart uploads, deletes, checksums. One thread, one epoll loop, sendfile for bodies: fast enough that the client
 * is what a measurement shows. Objects are made up (contents from a pattern by key and offset, no disk) or were
 * uploaded (kept in memory, or only summed up). All state is below the world's lock.
 *
 * Amazon S3 API Reference: the operations by their names, "Error responses", "Authenticating Requests".
 */
#include "world.h"

/* A prime near 16 MiB: no two ranges of an object that begin at multiples of a power of two look the same. */
#define S3_PATTERN_SIZE 16777213
#define S3_PAGE_MAX 1000
#define S3_BUCKETS_MAX 64
#define S3_PARTS_MAX 10000
#define S3_DOCUMENT_MAX (4 * 1024 * 1024) /* bodies of DeleteObjects and CompleteMultipartUpload */
#define S3_KEY_MAX 1024
/* Up to here ETags are MD5, as of one PUT, and checksums are known. */
#define S3_ONE_PUT_MAX (8 << 20)

struct s3_object {
	unsigned refs;
	char *key;
	char etag[64]; /* without quotes */
	int64_t size, modified_ms;
	char *data; /* kept bytes; NULL: the pattern from pattern_at on, or is_dropped */
	size_t pattern_at;
	bool is_dropped; /* uploaded to a bucket that does not keep */
	bool has_crc32c;
	uint32_t crc32c;
	char *headers;	   /* lines that GET and HEAD give back: content-type, x-amz-meta-… */
	char *checksum;	   /* line "x-amz-checksum-…: value"; NULL: none */
	const char *class; /* STANDARD, GLACIER, … */
};

struct s3_part {
	int number;
	char etag[64];
	int64_t size, modified_ms;
	uint32_t crc32c;
	unsigned char md5[16];
	char *data; /* NULL: dropped */
};

struct s3_upload {
	struct s3_upload *next;
	char id[72];
	char *key, *headers;
	const char *class;
	int64_t begun_ms;
	struct s3_part *parts; /* by number */
	size_t count;
};

struct s3_bucket {
	char name[64], region[32];
	struct s3_object **objects; /* in byte order of their keys */
	size_t count, cap;
	struct s3_upload *uploads; /* newest last */
	bool keeps;		   /* uploaded bytes stay, and their ETags are MD5 */
	bool has_checksums;	   /* CRC64NVME of made-up objects */
	bool is_public;		   /* unsigned requests are served */
	bool encodes_plus;	   /* listings give a space as "+", as some servers do */
	int redirect;		   /* for another region: 400, 301 or 307 */
};

struct s3 {
	int port, listen_fd, epoll_fd, pattern_fd;
	const char *pattern; /* mapped */
	struct s3_bucket *buckets[S3_BUCKETS_MAX];
	size_t bucket_count;
	uint64_t connections, bytes_in, bytes_out, next_id;
	struct s3_conn *conns; /* all */
	size_t waiting;	       /* of these: until their wake_ms */
};

/* What a body that is received goes through. */
struct s3_sink {
	struct evp_md_ctx_st *sha256, *sha1, *md5; /* NULL: not asked for */
	bool has_crc32, has_crc64;
	uint32_t crc32, crc32c;
	uint64_t crc64;
	struct out kept;
	bool keeps;
	int64_t len;
	unsigned char md5_value[16]; /* after s3_sink_end */
	bool is_as_told;
};

enum s3_state { S3_HEAD, S3_BODY, S3_WAIT, S3_WRITE, S3_STALL };

/* One connection, with its request and the answer. */
struct s3_conn {
	struct s3_conn *next, *prev;
	int fd;
	uint32_t events; /* as epoll has them */
	enum s3_state state;
	struct out in; /* received, not yet used */
	struct request request;
	enum kind kind;
	struct fault fault;
	struct s3_bucket *bucket; /* NULL: there is none of that name */
	char *bucket_name, *key;  /* decoded; "" */
	int64_t body_left;
	struct s3_sink sink;
	int64_t wake_ms;
	/* the answer: out, then a piece of an object */
	int status;
	struct out out;
	size_t out_at;
	struct s3_object *object; /* a reference; NULL: no piece */
	int64_t from, left;
	int64_t send_limit; /* bytes after which the connection is cut; -1: none */
	bool closes, resets;
};

/* s3_loop.c */
/** Listens and starts the thread; the port is in ret->port. NULL on failure. */
struct s3 *s3_start(struct world *world, const char *address, int port);

/* s3_serve.c */
enum kind s3_kind(const struct request *request, bool has_bucket, bool has_key);
/** Bucket and key of a request out of its path and Host. */
void s3_address(struct s3 *s3, struct s3_conn *conn);
/** Answers a request whose body is there. */
void s3_serve(struct world *world, struct s3_conn *conn);
void s3_error(struct s3_conn *conn, int status, const char *code, const char *message);
/** Status line and headers, then the body (copied); extra lines end in CRLF. */
void s3_answer(struct s3_conn *conn, int status, const char *extra, const char *type, const char *body, size_t len);
void s3_answer_xml(struct s3_conn *conn, struct out *document); /* frees it */
void s3_head(struct s3_conn *conn, int status, const char *extra);

/* s3_object.c, s3_upload.c, s3_list.c, s3_delete.c: the operations */
void s3_get_object(struct world *world, struct s3_conn *conn);
void s3_put_object(struct world *world, struct s3_conn *conn);
void s3_create_upload(struct world *world, struct s3_conn *conn);
void s3_upload_part(struct world *world, struct s3_conn *conn);
void s3_complete_upload(struct world *world, struct s3_conn *conn);
void s3_abort_upload(struct world *world, struct s3_conn *conn);
/** Where the upload of the request hangs; *it is NULL: there is none. */
struct s3_upload **s3_upload_find(struct s3_bucket *bucket, const struct s3_conn *conn);
void s3_no_such_upload(struct s3_conn *conn);
void s3_list_parts(struct world *world, struct s3_conn *conn);
void s3_list_uploads(struct world *world, struct s3_conn *conn);
void s3_list_objects(struct world *world, struct s3_conn *conn);
void s3_list_buckets(struct world *world, struct s3_conn *conn);
void s3_delete_object(struct world *world, struct s3_conn *conn);
void s3_delete_objects(struct world *world, struct s3_conn *conn);
void s3_add_time(struct out *xml, int64_t ms); /* "2026-01-31T00:00:00.000Z" */
void s3_spaces_to_plus(struct out *text, size_t from);
/** The text of the next element of that name, entities resolved; malloc. NULL and *at as it was: there is none. */
char *s3_xml_take(const char **at, const char *tag);

/* s3_fault.c */
/** What changes the world before the answer: an object replaced, a session token that expires. */
void s3_fault_before(struct world *world, struct s3_conn *conn);
/** True when another answer takes the place of the true one. */
bool s3_is_false(const struct fault *fault);
void s3_answer_falsely(struct s3_conn *conn);
/** After so many bytes of the answer the connection ends; -1: none such. */
int64_t s3_send_limit(struct s3_conn *conn);
void s3_log(struct world *world, const struct s3_conn *conn);

/* s3_body.c */
void s3_sink_begin(struct s3_sink *sink, const struct request *request, bool keeps, bool checks_payload);
void s3_sink_add(struct s3_sink *sink, const void *data, size_t len);
/** Takes the digests and holds them against those that the request told. */
void s3_sink_end(struct s3_sink *sink, struct request *request);
void s3_sink_clear(struct s3_sink *sink);
/** The checksum line of a request that told one, else NULL; malloc. */
char *s3_told_checksum(const struct request *request);
/** The lines of an upload that GET gives back; malloc. */
char *s3_kept_headers(const struct request *request);
const char *s3_told_class(const struct request *request);
void s3_etag_md5(const unsigned char md5[16], char out[33]);

/* s3_store.c */
struct s3_bucket *s3_bucket_find(const struct s3 *s3, const char *name);
struct s3_bucket *s3_bucket_add(struct s3 *s3, const char *name);
void s3_bucket_empty(struct s3_bucket *bucket);
void s3_bucket_remove(struct s3 *s3, struct s3_bucket *bucket);
/** Index of the first object whose key is not less than key (is_after: greater than). */
size_t s3_lower(const struct s3_bucket *bucket, const char *key, bool is_after);
struct s3_object *s3_object_find(const struct s3_bucket *bucket, const char *key);
struct s3_object *s3_object_new(const char *key, int64_t size);
/** Takes the object over; another of the same key goes. */
void s3_object_put(struct s3_bucket *bucket, struct s3_object *object);
bool s3_object_remove(struct s3_bucket *bucket, const char *key);
void s3_object_release(struct s3_object *object);
void s3_upload_free(struct s3_upload *upload);

/* s3_pattern.c: made-up contents */
void s3_pattern_make(struct s3 *s3);
void s3_pattern_copy(const struct s3 *s3, size_t at, char *out, size_t len);
/** ETag, checksum and pattern_at for a made-up object. */
void s3_object_invent(const struct s3 *s3, struct s3_object *object, const char *seed, bool has_checksum);
uint32_t s3_object_crc32c(const struct s3 *s3, struct s3_object *object);

/* s3_control.c: below /_world/s3/ */
void s3_control(struct world *world, const struct request *request, struct answer *answer);
