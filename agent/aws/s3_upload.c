/*
 * A multipart upload's beginning and end. References: Amazon S3 API Reference, CreateMultipartUpload, ListParts,
 * CompleteMultipartUpload (which may answer 200 and an <Error>), AbortMultipartUpload, HeadObject.
 */
#include "aws/s3_check.h"
#include "aws/s3_parts.h"
#include "base/mem.h"
#include "base/parse.h"
#include "fmt/xml.h"

#define BODY_MAX (4 * 1024 * 1024) /* 10,000 parts with ETag and CRC */

struct s3_parts *s3_parts_of(void *request) {
	return ((struct s3_request *)request)->op->owner;
}

struct s3_request *s3_upload_ask(struct s3_parts *parts, const char *method,
				 void (*on_end)(struct s3_request *r, struct err *err)) {
	struct s3_request *r = &parts->control;

	s3_drop(r);
	*r = (struct s3_request){
		.op = &parts->op,
		.lane = S3_LANE_CONTROL,
		.method = method,
		.key = parts->p->spec.key,
		.query = {parts->upload_id ? "uploadId" : NULL, parts->upload_id},
		.body_max = XML_BYTES_MAX,
		.on_end = on_end,
	};
	return r;
}

/* CreateMultipartUpload */

static int prepare_create(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	const struct s3_putting *p = s3_parts_of(r)->p;

	(void)err;
	s3_add_object_headers(p, arena, headers);
	if (!s3_sends_checksum(p->op.s3)) return 0;
	strs_add(headers, "x-amz-checksum-algorithm: CRC64NVME");
	strs_add(headers, "x-amz-checksum-type: FULL_OBJECT");
	return 0;
}

static int on_created_element(const char *path, const char *text, void *arg) {
	struct s3_parts *parts = arg;

	if (!str_eq(path, "/InitiateMultipartUploadResult/UploadId")) return 0;
	free(parts->upload_id);
	parts->upload_id = mem_strdup(text);
	return 0;
}

static int on_created_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);

	if (xml_parse(buf_str(&answer->body), answer->body.len, on_created_element, parts, err) != 0)
		return err_wrap(err, "CreateMultipartUpload");
	if (str_is_empty(parts->upload_id))
		return err_set(err, ERR_REMOTE, "the answer to CreateMultipartUpload has no UploadId");
	return 0;
}

static void on_created(struct s3_request *r, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);

	if (err) {
		if (!err->is_retryable) s3_note_remove(parts); /* it was refused, or never asked for: there is none */
		s3_put_ended(parts->p, err);
		return;
	}
	s3_note_write(parts);
	s3_parts_go(parts);
}

/** Once it is sent its answer is waited for, whatever happens: nobody else knows what is to be aborted. */
void s3_upload_create(struct s3_parts *parts) {
	struct s3_request *r;

	free(parts->upload_id);
	parts->upload_id = NULL;
	r = s3_upload_ask(parts, "POST", on_created);
	r->query[0] = "uploads";
	r->query[1] = "";
	r->on_prepare = prepare_create;
	r->on_answer = on_created_answer;
	r->makes_something = true;
	s3_note_write(parts);
	s3_send(r);
}

/* ListParts */

/** A part counts when it has the size that it is to have: the note says that the file is the same. */
static void take_listed(struct s3_parts *parts) {
	size_t index = (size_t)parts->listed_number - 1;
	struct s3_part *part = index < parts->parts.count ? &parts->parts.items[index] : NULL;

	if (part && parts->listed.etag && part->size == parts->listed.size && !part->is_begun) {
		*part = parts->listed;
		part->is_begun = true;
		parts->listed.etag = NULL;
		parts->done++;
		parts->p->op.s3->stats.done_bytes += part->size;
	}
	free(parts->listed.etag);
	parts->listed = (struct s3_part){0};
	parts->listed_number = 0;
}

static char *without_quotes(const char *text) {
	size_t len = strlen(text);

	return len >= 2 && *text == '"' ? mem_dup(text + 1, len - 2) : mem_strdup(text);
}

static int on_listed_element(const char *path, const char *text, void *arg) {
	struct s3_parts *parts = arg;
	struct err ignored;

	if (!str_starts(path, "/ListPartsResult/")) return 0;
	path += strlen("/ListPartsResult/");
	if (str_eq(path, "Part/PartNumber") && parse_i64(text, 1, S3_PARTS_MAX, &parts->listed_number, &ignored) != 0)
		parts->listed_number = 0;
	if (str_eq(path, "Part/Size") && parse_i64(text, 0, INT64_MAX, &parts->listed.size, &ignored) != 0)
		parts->listed.size = 0;
	if (str_eq(path, "Part/ETag") && !parts->listed.etag) parts->listed.etag = without_quotes(text);
	if (str_eq(path, "Part/ChecksumCRC64NVME"))
		parts->listed.has_crc = s3_crc_parse(CRC_64NVME, text, &parts->listed.crc);
	if (str_eq(path, "Part")) take_listed(parts);
	if (str_eq(path, "IsTruncated") && !str_eq(text, "true")) *parts->marker = '\0';
	if (str_eq(path, "NextPartNumberMarker"))
		(void)snprintf(parts->marker, sizeof parts->marker, "%.*s", (int)sizeof parts->marker - 1, text);
	return 0;
}

static int on_listed_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);
	char before[sizeof parts->marker];

	memcpy(before, parts->marker, sizeof before);
	*parts->marker = '\0';
	if (xml_parse(buf_str(&answer->body), answer->body.len, on_listed_element, parts, err) != 0)
		return err_wrap(err, "ListParts");
	if (*parts->marker && str_eq(before, parts->marker)) *parts->marker = '\0'; /* it would never end */
	return 0;
}

/** What was taken over counts for that upload alone. */
static void forget_listed(struct s3_parts *parts) {
	for (size_t i = 0; i < parts->parts.count; i++) {
		struct s3_part *part = &parts->parts.items[i];

		if (part->etag) parts->p->op.s3->stats.done_bytes -= part->size;
		free(part->etag);
		*part = (struct s3_part){.size = part->size};
	}
	parts->done = 0;
}

static void list(struct s3_parts *parts);

static void on_listed(struct s3_request *r, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);

	if (err) {
		forget_listed(parts);
		s3_upload_create(parts); /* it has expired or was aborted */
	} else if (*parts->marker) {
		list(parts);
	} else {
		s3_parts_go(parts);
	}
}

static void list(struct s3_parts *parts) {
	struct s3_request *r = s3_upload_ask(parts, "GET", on_listed);

	if (*parts->marker) r->query[2] = "part-number-marker", r->query[3] = parts->marker;
	r->on_answer = on_listed_answer;
	s3_send(r);
}

/* AbortMultipartUpload */

static void on_stale_aborted(struct s3_request *r, struct err *err) {
	(void)err; /* it was of another version of the file; what remains of it is the bucket's lifecycle rule's */
	s3_upload_create(s3_parts_of(r));
}

static void on_aborted(struct s3_request *r, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);
	struct err why = parts->err; /* what went wrong before is what matters */

	if (!err || r->failure.status == 404) s3_note_remove(parts); /* else the next run sees to it */
	for (size_t i = 0; i < parts->parts.count; i++)
		if (parts->parts.items[i].etag) parts->p->op.s3->stats.done_bytes -= parts->parts.items[i].size;
	s3_put_ended(parts->p, &why);
}

void s3_upload_abort(struct s3_parts *parts) {
	struct s3_request *r = s3_upload_ask(parts, "DELETE", on_aborted);

	r->is_last_will = true;
	s3_send(r);
}

void s3_upload_open(struct s3_parts *parts) {
	bool is_same = s3_note_read(parts);

	if (is_same)
		list(parts);
	else if (parts->upload_id)
		s3_send(s3_upload_ask(parts, "DELETE", on_stale_aborted));
	else if (parts->asked_at)
		s3_stale_abort(parts);
	else
		s3_upload_create(parts);
}

/* CompleteMultipartUpload */

static bool make_body(struct s3_parts *parts, uint64_t *ret_crc) {
	bool has_crcs = s3_sends_checksum(parts->p->op.s3);
	char text[S3_CRC_TEXT_SIZE];

	*ret_crc = CRC_INIT;
	parts->body = BUF_INIT(BODY_MAX);
	buf_adds(&parts->body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < parts->parts.count; i++) {
		const struct s3_part *part = &parts->parts.items[i];

		buf_addf(&parts->body, "<Part><PartNumber>%zu</PartNumber><ETag>&quot;%s&quot;</ETag>", i + 1,
			 part->etag);
		if (part->has_crc)
			buf_addf(&parts->body, "<ChecksumCRC64NVME>%s</ChecksumCRC64NVME>",
				 s3_crc_text(CRC_64NVME, part->crc, text));
		buf_adds(&parts->body, "</Part>");
		has_crcs = has_crcs && part->has_crc;
		*ret_crc = crc_join(CRC_64NVME, *ret_crc, part->crc, (uint64_t)part->size);
	}
	buf_adds(&parts->body, "</CompleteMultipartUpload>");
	return has_crcs;
}

static int prepare_complete(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);
	uint64_t crc;

	(void)err;
	buf_clear(&parts->body);
	strs_add(headers, "Content-Type: application/xml");
	if (make_body(parts, &crc)) {
		s3_add_checksum_header(parts->p, crc, arena, headers);
		strs_add(headers, "x-amz-checksum-type: FULL_OBJECT");
	}
	r->body = parts->body.data;
	r->body_len = parts->body.len;
	return 0;
}

static int on_completed_element(const char *path, const char *text, void *arg) {
	struct s3_parts *parts = arg;
	struct s3_done *done = &parts->p->done;

	if (str_eq(path, "/CompleteMultipartUploadResult/ETag")) {
		AUTO_FREE char *etag = without_quotes(text);

		if (strlen(etag) < sizeof done->etag) memcpy(done->etag, etag, strlen(etag) + 1);
	}
	if (str_eq(path, "/CompleteMultipartUploadResult")) parts->has_result = true;
	if (str_eq(path, "/Error/Code")) (void)snprintf(parts->error_code, sizeof parts->error_code, "%.63s", text);
	if (str_eq(path, "/Error/Message"))
		(void)snprintf(parts->error_message, sizeof parts->error_message, "%.255s", text);
	return 0;
}

static int on_completed_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);
	struct err ignored;

	parts->has_result = false;
	*parts->error_code = *parts->error_message = '\0';
	s3_read_done(answer, &parts->p->done);
	if (xml_parse(buf_str(&answer->body), answer->body.len, on_completed_element, parts, &ignored) == 0 &&
	    parts->has_result)
		return 0;
	(void)err_set(err, ERR_REMOTE, "CompleteMultipartUpload: HTTP 200 %s%s%s",
		      *parts->error_code ? parts->error_code : "with an answer that was cut",
		      *parts->error_message ? ": " : "", parts->error_message);
	err->is_retryable = !*parts->error_code || str_eq(parts->error_code, "InternalError") ||
			    str_eq(parts->error_code, "SlowDown") || str_eq(parts->error_code, "ServiceUnavailable");
	return -(int)err->code;
}

static void finished(struct s3_parts *parts) {
	s3_note_remove(parts);
	parts->p->op.s3->stats.done_bytes -= parts->p->size; /* s3_put_ended counts the whole */
	s3_put_ended(parts->p, NULL);
}

static int on_found_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);
	struct s3_version version;
	char etag[S3_ETAG_MAX];

	s3_read_version(answer, &version);
	if (version.size != parts->p->size || !s3_parts_etag(parts, etag) || !str_eq(etag, version.etag))
		return err_set(err, ERR_REMOTE, "the object is not what was sent");
	s3_read_done(answer, &parts->p->done);
	parts->p->done.modified_at_ms = s3_read_date(answer, "Last-Modified");
	return 0;
}

static void on_found(struct s3_request *r, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);

	if (err)
		s3_parts_fail(parts, &parts->err);
	else
		finished(parts);
}

/** The answer to a completion may have been lost: then the upload is gone and the object is there. */
static void look_for_object(struct s3_parts *parts) {
	struct s3_request *r = s3_upload_ask(parts, "HEAD", on_found);

	r->query[0] = NULL;
	r->on_answer = on_found_answer;
	s3_send(r);
}

static void on_completed(struct s3_request *r, struct err *err) {
	struct s3_parts *parts = s3_parts_of(r);

	if (!err) {
		finished(parts);
		return;
	}
	parts->err = *err;
	if (str_eq(r->failure.code, "NoSuchUpload") || str_eq(parts->error_code, "NoSuchUpload"))
		look_for_object(parts);
	else
		s3_parts_fail(parts, err);
}

void s3_upload_complete(struct s3_parts *parts) {
	struct s3_request *r = s3_upload_ask(parts, "POST", on_completed);

	r->on_prepare = prepare_complete;
	r->on_answer = on_completed_answer;
	s3_send(r);
}
