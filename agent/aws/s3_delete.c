/*
 * Many objects removed by one request. Reference: Amazon S3 API Reference, DeleteObjects, which demands Content-MD5 or
 * a checksum; DeleteObject for keys that XML 1.0 cannot hold (control characters).
 */
#include "aws/s3_private.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"
#include "fmt/codec.h"
#include "fmt/digest.h"
#include "fmt/xml.h"

/** 1,000 keys of 1,024 bytes, each of which may become six, and their elements. */
#define BODY_MAX (S3_DELETE_MAX * (6 * S3_KEY_MAX + 64))
#define MESSAGE_MAX 256

struct refusal {
	char *key, *code, *message;
};

struct s3_deleting {
	struct s3_op op;
	struct s3_request request;
	struct arena arena;
	struct s3_delete spec;	/* keys: those that XML can hold, then the others */
	size_t in_body;		/* keys of the first kind */
	size_t next;		/* of the others */
	char *body, *md5;	/* of DeleteObjects; body NULL: it is done */
	struct refusal refusal; /* that is being read */
	VEC(struct refusal) refusals;
};

static struct s3_deleting *deleting_of(void *request) {
	return (struct s3_deleting *)((struct s3_request *)request)->op;
}

static void forget_refusals(struct s3_deleting *d) {
	for (size_t i = 0; i < d->refusals.count; i++) {
		free(d->refusals.items[i].key);
		free(d->refusals.items[i].code);
		free(d->refusals.items[i].message);
	}
	vec_clear(&d->refusals);
}

static void free_deleting(struct s3_op *op) {
	struct s3_deleting *d = (struct s3_deleting *)op;

	s3_drop(&d->request);
	forget_refusals(d);
	free(d->body);
	arena_clear(&d->arena);
	free(d);
}

static bool fits_xml(const char *key) {
	for (const char *p = key; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r') return false;
	return str_is_utf8(key, strlen(key));
}

/** White space as references: a parser would make a line feed of a carriage return. */
static void add_escaped(struct buf *out, const char *key) {
	for (const char *p = key; *p; p++) {
		if (strchr("<>&\"'\t\n\r", *p))
			buf_addf(out, "&#%d;", *p);
		else
			buf_addc(out, *p);
	}
}

static void make_body(struct s3_deleting *d) {
	struct buf body = BUF_INIT(BODY_MAX), md5 = BUF_INIT(32);
	unsigned char digest[MD5_SIZE];

	buf_adds(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < d->in_body; i++) {
		buf_adds(&body, "<Object><Key>");
		add_escaped(&body, d->spec.keys[i]);
		buf_adds(&body, "</Key></Object>");
	}
	buf_adds(&body, "</Delete>");
	d->body = buf_take(&body);
	digest_md5(d->body, strlen(d->body), digest);
	codec_base64(digest, sizeof digest, &md5);
	d->md5 = arena_strdup(&d->arena, buf_str(&md5));
	buf_clear(&md5);
}

static int on_prepare(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	const struct s3_deleting *d = deleting_of(r);

	(void)err;
	if (!d->body) return 0;
	strs_add(headers, "Content-Type: application/xml");
	strs_add(headers, arena_printf(arena, "Content-MD5: %s", d->md5));
	return 0;
}

static int on_element(const char *path, const char *text, void *arg) {
	struct s3_deleting *d = arg;
	struct refusal *refusal = &d->refusal;

	if (str_eq(path, "/DeleteResult/Error/Key") && !refusal->key) refusal->key = mem_strdup(text);
	if (str_eq(path, "/DeleteResult/Error/Code") && !refusal->code) refusal->code = mem_strdup(text);
	if (str_eq(path, "/DeleteResult/Error/Message") && !refusal->message) refusal->message = mem_strdup(text);
	if (!str_eq(path, "/DeleteResult/Error")) return 0;
	vec_push(&d->refusals, *refusal);
	*refusal = (struct refusal){0};
	return d->refusals.count > S3_DELETE_MAX;
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_deleting *d = deleting_of(r);
	int rc;

	if (!d->body) return 0;
	forget_refusals(d);
	rc = xml_parse(buf_str(&answer->body), answer->body.len, on_element, d, err);
	free(d->refusal.key);
	free(d->refusal.code);
	free(d->refusal.message);
	d->refusal = (struct refusal){0};
	return rc ? err_wrap(err, "DeleteObjects") : 0;
}

static void tell_refusals(struct s3_deleting *d) {
	for (size_t i = 0; i < d->refusals.count; i++) {
		const struct refusal *refusal = &d->refusals.items[i];
		const char *code = refusal->code ? refusal->code : "", *key = refusal->key ? refusal->key : "";
		struct err err = {0};

		(void)err_set(&err, str_eq(code, "AccessDenied") ? ERR_DENIED : ERR_REMOTE, "%s%s%.*s", code,
			      refusal->message ? ": " : "", MESSAGE_MAX, refusal->message ? refusal->message : "");
		(void)s3_wrap(d->op.s3, key, &err);
		d->spec.on_refused(key, &err, d->spec.arg);
	}
}

static void finish(struct s3_deleting *d, struct err *err) {
	if (err) (void)err_wrap(err, "s3://%s", d->op.s3->options.bucket);
	d->spec.on_end(err, d->spec.arg);
	s3_finish(&d->op);
}

/** One of the keys that no XML can hold. */
static void delete_next(struct s3_deleting *d) {
	d->request.method = "DELETE";
	d->request.key = d->spec.keys[d->next];
	memset(d->request.query, 0, sizeof d->request.query);
	d->request.body = NULL;
	d->request.body_len = 0;
	s3_send(&d->request);
}

static void on_end(struct s3_request *r, struct err *err) {
	struct s3_deleting *d = deleting_of(r);

	if (d->body && err) {
		finish(d, err);
		return;
	}
	if (d->body) {
		tell_refusals(d);
		free(d->body);
		d->body = NULL;
	} else {
		const char *key = d->spec.keys[d->next++];

		if (err) (void)s3_wrap(d->op.s3, key, err);
		if (err) d->spec.on_refused(key, err, d->spec.arg);
	}
	if (d->next < d->spec.count)
		delete_next(d);
	else
		finish(d, NULL);
}

/** Copies the keys, those that XML can hold first. */
static void copy_keys(struct s3_deleting *d, const struct s3_delete *spec) {
	const char **keys = arena_alloc(&d->arena, spec->count * sizeof *keys);
	size_t last = spec->count;

	for (size_t i = 0; i < spec->count; i++) {
		char *key = arena_strdup(&d->arena, spec->keys[i]);

		if (fits_xml(key))
			keys[d->in_body++] = key;
		else
			keys[--last] = key;
	}
	d->spec.keys = keys;
	d->next = d->in_body;
}

void s3_delete(struct s3 *s3, const struct s3_delete *spec) {
	struct s3_deleting *d = mem_zalloc(sizeof *d);

	d->op.free = free_deleting;
	s3_begin(s3, &d->op);
	d->spec = *spec;
	copy_keys(d, spec);
	d->request = (struct s3_request){
		.op = &d->op,
		.lane = S3_LANE_CONTROL,
		.method = "POST",
		.query = {"delete", ""},
		.body_max = XML_BYTES_MAX,
		.on_prepare = on_prepare,
		.on_answer = on_answer,
		.on_end = on_end,
	};
	if (d->in_body == 0) {
		delete_next(d);
		return;
	}
	make_body(d);
	d->request.body = d->body;
	d->request.body_len = strlen(d->body);
	s3_send(&d->request);
}
