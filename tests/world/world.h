#pragma once
/*
 * The fake outside: one loopback process that plays the instance metadata service (IMDSv2 only) and the EC2 query API,
 * with faults on request. It shares no code with the agent, so that an error made there is not made here again: the
 * HTTP parsing, the signature check and the XML are its own. One thread per connection; one lock over all state.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TOKEN_BYTES_MAX 2048 /* of a session: those of AWS have about a thousand */
#define HEADERS_MAX 64
#define HEAD_MAX (64 * 1024)   /* request line and headers */
#define BODY_MAX (1024 * 1024) /* EC2 query bodies are far smaller */
#define FAULTS_MAX 64
#define TAGS_MAX 50 /* EC2 User Guide, "Tag restrictions" */
#define HISTORY_MAX 20000
#define OVERRIDES_MAX 256
#define TOKENS_MAX 4096

struct header {
	char *name, *value; /* name in lower case */
};

struct request {
	char method[16];
	char *target; /* as sent */
	char *path;   /* as sent, without the query */
	char *query;  /* "" when there is none */
	struct header headers[HEADERS_MAX];
	size_t header_count;
	char *body;
	size_t body_len;
	char body_sha256[65]; /* of a body that was not kept; "": take it from body */
	bool wants_close;
};

struct answer {
	int status;
	const char *content_type;
	char *body; /* malloc */
	size_t len;
	char extra[256]; /* further header lines, each ending in CRLF */
};

/** What requests are told apart by: in faults, counters and the request log. */
enum kind {
	KIND_TOKEN,
	KIND_METADATA,
	KIND_CREDS,
	KIND_CREATE_TAGS,
	KIND_DESCRIBE_TAGS,
	KIND_OTHER,
	/* S3, by the operations' own names */
	KIND_LIST_BUCKETS,
	KIND_HEAD_BUCKET,
	KIND_LIST_OBJECTS,
	KIND_GET_OBJECT,
	KIND_HEAD_OBJECT,
	KIND_PUT_OBJECT,
	KIND_DELETE_OBJECT,
	KIND_DELETE_OBJECTS,
	KIND_CREATE_UPLOAD,
	KIND_UPLOAD_PART,
	KIND_COMPLETE_UPLOAD,
	KIND_ABORT_UPLOAD,
	KIND_LIST_PARTS,
	KIND_LIST_UPLOADS,
	KIND_S3_OTHER,
	KIND_CONTROL,
	KIND_COUNT,
	KIND_S3 /* in faults: all of S3 */
};

extern const char *const kind_names[KIND_COUNT];

enum fault_action { FAULT_NONE, FAULT_STATUS, FAULT_STALL, FAULT_RESET, FAULT_TRUNCATED, FAULT_GARBAGE, FAULT_HTML };

struct fault {
	enum kind kind; /* KIND_COUNT: any but control */
	char path[128]; /* only where the target contains this; "" any */
	/* A token bucket (EC2 API request throttling): only when it is empty; 0: there is none. */
	double bucket, refill_per_s, tokens;
	int64_t filled_at; /* mono ms */
	int after;	   /* let so many pass first */
	int count;	   /* times left; -1: for ever */
	int64_t until;	   /* mono ms; 0: no end */
	double rate;	   /* of those that fit, so many get it; 0: all */
	uint64_t seed;	   /* of that choice */
	bool is_used;
	int64_t delay_ms;
	enum fault_action action;
	int status;
	char code[64], message[128];
	long bytes;	 /* RESET: sent before it; TRUNCATED: left out at the end */
	bool is_expired; /* credentials that have expired */
	char creds_code[64];
	long skew_s; /* of our clock */
	/* S3 */
	char etag[64];	    /* in place of the true one */
	char refuses[64];   /* keys of DeleteObjects with this in them */
	bool ignores_range; /* the whole object, with 200 */
	bool is_wrong;	    /* the first byte of the body is another one */
	bool changes;	    /* the object is another one from now on, of the same size */
	bool rotates;	    /* the session token has expired, there is a new one */
	bool is_empty_page, repeats_token, has_doctype;
	bool fails_late; /* 200, blanks, then an <Error> */
};

struct override {
	char *path, *value; /* value NULL: absent */
};

struct tag {
	char *key, *value;
};

struct history_item {
	int64_t at_ms;
	char *resource;
	struct tag tags[TAGS_MAX];
	size_t count;
};

struct token {
	char text[64];
	int64_t expires_at; /* mono ms */
};

struct world {
	pthread_mutex_t lock;
	struct fault faults[FAULTS_MAX];
	size_t fault_count;
	struct override overrides[OVERRIDES_MAX];
	size_t override_count;
	struct token tokens[TOKENS_MAX];
	size_t token_next;
	struct tag tags[TAGS_MAX];
	size_t tag_count;
	struct history_item *history;
	size_t history_count;
	uint64_t counters[KIND_COUNT], faulted, connections;
	FILE *log; /* one line per request */
	char *log_text;
	size_t log_len;
	/* settings, by PUT /_world/config */
	char role[64], access_key[64], secret_key[64], session_token[TOKEN_BYTES_MAX], creds_code[64];
	char expired_token[TOKEN_BYTES_MAX]; /* the session token before the present one */
	long creds_live_s;
	bool is_metadata_off, has_metadata_tags;
	bool log_quiet;	     /* S3 requests are not logged */
	bool trusts_payload; /* the client's word is taken for the hash of a body: for measurements */
	struct s3 *s3;
};

/* A text that grows; out_free by free(out.at). */
struct out {
	char *at; /* NUL-terminated once something was added */
	size_t len, cap;
};
void out_add(struct out *out, const void *data, size_t len);
void out_adds(struct out *out, const char *s);
void out_print(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_add_xml(struct out *out, const char *s);
void out_add_url(struct out *out, const char *s, bool keeps_slash); /* RFC 3986, upper-case digits */

/* world.c */
/** A listening socket, or -1; port 0: any. */
int world_listen(const char *address, int port, int *ret_port);

/* world_text.c: small text tools */
void *must(void *p); /* ends the process when p is NULL */
char *text_dup(const char *s);
char *text_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool text_starts(const char *s, const char *prefix);
char *text_url_decode(const char *s, size_t len, bool plus_is_space);
char *text_url_encode(const char *s, bool keeps_slash);
void text_xml(FILE *out, const char *s);
void text_json(FILE *out, const char *s); /* with the quotes */
size_t text_characters(const char *s);	  /* code points of UTF-8 */
int64_t mono_ms(void);
int64_t wall_ms(void);

/* world_http.c */
/** Reads the next request of a connection; false at its end or when it is not HTTP. */
bool http_read(int fd, char **pending, size_t *pending_len, struct request *ret);
/** Takes a head, which ends with an empty line, apart; overwrites it; false when it is not HTTP. */
bool http_parse_head(char *head, struct request *ret);
void http_request_clear(struct request *request);
const char *http_get_header(const struct request *request, const char *name); /* NULL if absent */
/** The decoded value of a name in a query or form; the caller frees; NULL if absent. */
char *http_form_value(const char *form, const char *name);
void http_answer(struct answer *answer, int status, const char *content_type, char *body);
/** Sends the answer as the fault has it; false: the connection is over. */
bool http_send(int fd, const struct request *request, const struct answer *answer, const struct fault *fault);
/** The connection ends with RST instead of FIN. */
void http_arm_reset(int fd);

/* world_fault.c */
/** The fault for this request; all zero if none. Takes one off its count. Called with the lock held. */
struct fault fault_take(struct world *world, enum kind kind, const char *target);
/** Replaces all faults by those of the text; on an error false and *ret_error (malloc). */
bool fault_parse(struct world *world, const char *text, char **ret_error);

/* world_canonical.c */
/** The canonical request; NULL when a signed header is not there. */
char *sigv4_canonical(const struct request *request, const char *signed_headers, bool is_s3, const char *payload_hash);

/* world_sigv4.c */
struct refusal {
	int status;
	const char *code, *message;
};
/** True if the request is signed as it must be; else what the service says. Called with the lock held. */
bool sigv4_verify(const struct world *world, const struct request *request, const char *service, long skew_s,
		  struct refusal *ret);
/** The region that the request was signed for; false if it is not signed. */
bool sigv4_region(const struct request *request, char *out, size_t size);

/* the services; called with the lock held */
enum kind imds_kind(const struct request *request);
void imds_serve(struct world *world, const struct request *request, const struct fault *fault, struct answer *answer);
const char *imds_instance_id(const struct world *world);
enum kind ec2_kind(const struct request *request);
void ec2_serve(struct world *world, const struct request *request, const struct fault *fault, struct answer *answer);
void ec2_error(struct answer *answer, int status, const char *code, const char *message);
void control_serve(struct world *world, const struct request *request, struct answer *answer);

/* world_tags.c */
void tags_set(struct world *world, const char *key, const char *value);
void tags_print_json(const struct world *world, FILE *out);
void tags_print_table(const struct world *world, FILE *out);
void tags_print_history(const struct world *world, FILE *out);
void tags_forget(struct world *world);
