/* GetObject, HeadObject, PutObject. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "s3.h"
#include "sums.h"

struct range {
	int64_t from, len;
};

/* "bytes=0-9", "bytes=10-", "bytes=-5". 0: the whole; 206: a part; 416: outside. Several ranges are not done: whole. */
static int read_range(const char *text, int64_t size, struct range *ret) {
	char *end;

	*ret = (struct range){0, size};
	if (!text || !text_starts(text, "bytes=") || strchr(text, ',')) return 0;
	text += strlen("bytes=");
	if (*text == '-') {
		int64_t last = strtoll(text + 1, &end, 10);
		if (*end || end == text + 1) return 0;
		if (last == 0 || size == 0) return 416;
		ret->len = last < size ? last : size;
		ret->from = size - ret->len;
		return 206;
	}
	int64_t from = strtoll(text, &end, 10);
	if (end == text || *end != '-') return 0;
	const char *to_text = end + 1;
	int64_t to = *to_text ? strtoll(to_text, &end, 10) : size - 1;
	if ((*to_text && *end) || (*to_text && to < from)) return 0;
	if (from >= size) return 416;
	*ret = (struct range){from, (to < size ? to + 1 : size) - from};
	return 206;
}

static bool names_etag(const char *condition, const char *etag) {
	size_t len = strlen(etag);

	if (strcmp(condition, "*") == 0) return true;
	return strncmp(condition + (*condition == '"'), etag, len) == 0 &&
	       strchr("\"", condition[len + (*condition == '"')]);
}

static bool is_archived(const struct s3_object *o) {
	return strcmp(o->class, "GLACIER") == 0 || strcmp(o->class, "DEEP_ARCHIVE") == 0;
}

/* The lines that GET and HEAD have of an object. */
static void add_object_lines(const struct s3_conn *c, const struct s3_object *o, bool is_whole, struct out *out) {
	const char *mode = http_get_header(&c->request, "x-amz-checksum-mode");
	time_t at = (time_t)(o->modified_ms / 1000);
	char modified[64];
	struct tm tm;

	strftime(modified, sizeof modified, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
	out_print(out, "ETag: \"%s\"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n%s",
		  c->fault.etag[0] ? c->fault.etag : o->etag, modified,
		  o->headers ? o->headers : "Content-Type: application/octet-stream\r\n");
	if (mode && is_whole && o->checksum) out_adds(out, o->checksum);
	if (strcmp(o->class, "STANDARD") != 0) out_print(out, "x-amz-storage-class: %s\r\n", o->class);
}

static void send_object(struct s3_conn *c, struct s3_object *o, int status, struct range range) {
	struct out lines = {0};

	add_object_lines(c, o, status == 200, &lines);
	if (status == 206)
		out_print(&lines, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)range.from,
			  (long long)(range.from + range.len - 1), (long long)o->size);
	s3_head(c, status, lines.at);
	free(lines.at);
	out_print(&c->out, "Content-Length: %lld\r\n\r\n", (long long)range.len);
	if (c->kind == KIND_HEAD_OBJECT || range.len == 0) return;
	o->refs++;
	c->object = o;
	c->from = range.from;
	c->left = range.len;
}

void s3_get_object(struct world *w, struct s3_conn *c) {
	struct s3_object *o = s3_object_find(c->bucket, c->key);
	const char *match = http_get_header(&c->request, "if-match"),
		   *range_text = http_get_header(&c->request, "range");
	const char *none = http_get_header(&c->request, "if-none-match");
	struct range range;

	if (!o) return s3_error(c, 404, "NoSuchKey", "The specified key does not exist.");
	if (match && !names_etag(match, o->etag))
		return s3_error(c, 412, "PreconditionFailed",
				"At least one of the pre-conditions you specified did not hold");
	if (none && names_etag(none, o->etag)) return s3_answer(c, 304, "", "", "", 0);
	if (is_archived(o) && c->kind == KIND_GET_OBJECT)
		return s3_error(c, 403, "InvalidObjectState",
				"The operation is not valid for the object's storage class");
	if (o->is_dropped && c->kind == KIND_GET_OBJECT)
		return s3_error(c, 404, "NoSuchKey", "This bucket does not keep what is uploaded.");
	int status = read_range(c->fault.ignores_range ? NULL : range_text, o->size, &range);
	if (status == 416) return s3_error(c, 416, "InvalidRange", "The requested range is not satisfiable");
	send_object(c, o, status ? status : 200, range);
}

void s3_put_object(struct world *w, struct s3_conn *c) {
	const char *none = http_get_header(&c->request, "if-none-match"),
		   *match = http_get_header(&c->request, "if-match");
	struct s3_object *old = s3_object_find(c->bucket, c->key);
	char extra[256];

	if ((none && old && names_etag(none, old->etag)) || (match && (!old || !names_etag(match, old->etag))))
		return s3_error(c, 412, "PreconditionFailed",
				"At least one of the pre-conditions you specified did not hold");
	struct s3_object *o = s3_object_new(c->key, c->sink.len);
	o->headers = s3_kept_headers(&c->request);
	o->class = s3_told_class(&c->request);
	o->checksum = s3_told_checksum(&c->request);
	o->has_crc32c = true;
	o->crc32c = c->sink.crc32c;
	o->is_dropped = !c->bucket->keeps && o->size;
	o->data = c->sink.kept.at;
	c->sink.kept = (struct out){0};
	if (c->bucket->keeps)
		s3_etag_md5(c->sink.md5_value, o->etag);
	else /* of the shape that no client takes for a hash of the contents */
		snprintf(o->etag, sizeof o->etag, "%08x%024llx-1", o->crc32c, (long long)o->size);
	snprintf(extra, sizeof extra, "ETag: \"%s\"\r\n%s", o->etag, o->checksum ? o->checksum : "");
	s3_object_put(c->bucket, o);
	s3_answer(c, 200, extra, "", "", 0);
}
