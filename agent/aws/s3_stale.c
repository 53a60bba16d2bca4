/*
 * An upload whose id nobody knows: its run was killed between the request and the answer. Reference: Amazon S3 API
 * Reference, ListMultipartUploads. Only uploads of this very key count, and only those begun since the note was
 * written.
 */
#include "aws/s3_parts.h"
#include "base/mem.h"
#include "base/parse.h"
#include "fmt/xml.h"

/** Two clocks, of S3 and of its servers, are not quite one. */
#define SLACK_S 60

struct listing {
	struct s3_parts *parts;
	char *id;
	int64_t initiated_at;
	bool is_key;
};

static void take(struct listing *l) {
	struct s3_parts *parts = l->parts;

	if (l->id && l->is_key && l->initiated_at >= parts->asked_at - SLACK_S)
		strs_add(&parts->stale, arena_strdup(&parts->p->arena, l->id));
	free(l->id);
	*l = (struct listing){.parts = parts};
}

static int on_element(const char *path, const char *text, void *arg) {
	struct listing *l = arg;
	struct err ignored;

	if (!str_starts(path, "/ListMultipartUploadsResult/Upload")) return 0;
	path += strlen("/ListMultipartUploadsResult/Upload");
	if (str_eq(path, "/Key")) l->is_key = str_eq(text, l->parts->p->spec.key);
	if (str_eq(path, "/UploadId")) {
		free(l->id);
		l->id = mem_strdup(text);
	}
	if (str_eq(path, "/Initiated") && parse_time(text, &l->initiated_at, &ignored) != 0) l->initiated_at = 0;
	if (!*path) take(l);
	return 0;
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct listing l = {.parts = s3_parts_of(r)};
	int rc = xml_parse(buf_str(&answer->body), answer->body.len, on_element, &l, err);

	free(l.id);
	return rc ? err_wrap(err, "ListMultipartUploads") : 0;
}

static void abort_next(struct s3_parts *parts);

static void on_aborted(struct s3_request *r, struct err *err) {
	(void)err; /* gone already, or the bucket's lifecycle rule will see to it */
	abort_next(s3_parts_of(r));
}

static void abort_next(struct s3_parts *parts) {
	free(parts->upload_id);
	parts->upload_id = NULL;
	if (!parts->stale.count) {
		s3_upload_create(parts);
		return;
	}
	parts->upload_id = mem_strdup(parts->stale.items[--parts->stale.count]);
	s3_send(s3_upload_ask(parts, "DELETE", on_aborted));
}

static void on_listed(struct s3_request *r, struct err *err) {
	(void)err; /* the role may not list uploads: what is left over is the bucket's lifecycle rule's */
	abort_next(s3_parts_of(r));
}

void s3_stale_abort(struct s3_parts *parts) {
	struct s3_request *r = s3_upload_ask(parts, "GET", on_listed);

	/* Keys are sorted: this one is the first of those that begin with it. */
	r->key = NULL;
	r->query[0] = "uploads", r->query[1] = "";
	r->query[2] = "prefix", r->query[3] = parts->p->spec.key;
	r->on_answer = on_answer;
	s3_send(r);
}
