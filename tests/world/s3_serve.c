/* From a request to its operation: bucket and key, signature, region, and the shapes of answers. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "s3.h"

static bool has_parameter(const char *query, const char *name) {
	size_t len = strlen(name);

	for (const char *p = query; *p;) {
		size_t item = strcspn(p, "&");
		if (strncmp(p, name, len) == 0 && (item == len || p[len] == '=')) return true;
		p += item + (p[item] == '&');
	}
	return false;
}

enum kind s3_kind(const struct request *r, bool has_bucket, bool has_key) {
	const char *m = r->method, *q = r->query;
	bool is_get = strcmp(m, "GET") == 0, is_put = strcmp(m, "PUT") == 0, is_post = strcmp(m, "POST") == 0;

	if (!has_bucket) return is_get ? KIND_LIST_BUCKETS : KIND_S3_OTHER;
	if (!has_key) {
		if (is_get && has_parameter(q, "uploads")) return KIND_LIST_UPLOADS;
		if (is_get && has_parameter(q, "list-type")) return KIND_LIST_OBJECTS;
		if (is_post && has_parameter(q, "delete")) return KIND_DELETE_OBJECTS;
		return strcmp(m, "HEAD") == 0 ? KIND_HEAD_BUCKET : KIND_S3_OTHER;
	}
	if (has_parameter(q, "uploadId")) {
		if (is_put) return KIND_UPLOAD_PART;
		if (is_post) return KIND_COMPLETE_UPLOAD;
		return is_get ? KIND_LIST_PARTS : KIND_ABORT_UPLOAD;
	}
	if (is_post && has_parameter(q, "uploads")) return KIND_CREATE_UPLOAD;
	if (is_get && (has_parameter(q, "tagging") || has_parameter(q, "acl"))) return KIND_S3_OTHER;
	if (is_get) return KIND_GET_OBJECT;
	if (is_put) return http_get_header(r, "x-amz-copy-source") ? KIND_S3_OTHER : KIND_PUT_OBJECT;
	if (strcmp(m, "HEAD") == 0) return KIND_HEAD_OBJECT;
	return strcmp(m, "DELETE") == 0 ? KIND_DELETE_OBJECT : KIND_S3_OTHER;
}

/* The bucket of "bucket.s3.REGION.amazonaws.com" and "bucket.localhost"; NULL for path style. */
static char *host_bucket(const char *host) {
	const char *end = strstr(host, ".s3.");

	if (!end) end = strstr(host, ".s3-");
	if (!end) end = strstr(host, ".localhost");
	return end ? must(strndup(host, (size_t)(end - host))) : NULL;
}

void s3_address(struct s3 *s3, struct s3_conn *c) {
	const char *host = http_get_header(&c->request, "host"), *path = c->request.path;

	path += *path == '/';
	c->bucket_name = host_bucket(host ? host : "");
	if (!c->bucket_name) {
		size_t len = strcspn(path, "/");
		c->bucket_name = text_url_decode(path, len, false);
		path += len + (path[len] == '/');
	}
	c->key = text_url_decode(path, strlen(path), false);
	c->bucket = s3_bucket_find(s3, c->bucket_name);
}

static const char *reason(int status) {
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 304: return "Not Modified";
	case 307: return "Temporary Redirect";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 409: return "Conflict";
	case 411: return "Length Required";
	case 412: return "Precondition Failed";
	case 416: return "Requested Range Not Satisfiable";
	case 501: return "Not Implemented";
	case 503: return "Slow Down";
	default: return "Status";
	}
}

void s3_head(struct s3_conn *c, int status, const char *extra) {
	static char date[64];
	static time_t of;
	time_t now = time(NULL) + c->fault.skew_s;

	if (now != of) {
		struct tm tm;
		strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
		of = now;
	}
	c->status = status;
	out_print(&c->out, "HTTP/1.1 %d %s\r\nServer: AmazonS3\r\nDate: %s\r\nx-amz-request-id: %016X\r\n%s%s", status,
		  reason(status), date, (unsigned)c->body_left, c->request.wants_close ? "Connection: close\r\n" : "",
		  extra);
}

void s3_answer(struct s3_conn *c, int status, const char *extra, const char *type, const char *body, size_t len) {
	s3_head(c, status, extra);
	if (len) out_print(&c->out, "Content-Type: %s\r\n", type);
	/* RFC 9110, 8.6: no Content-Length in a 204. */
	if (status != 204) out_print(&c->out, "Content-Length: %zu\r\n", len);
	out_adds(&c->out, "\r\n");
	if (strcmp(c->request.method, "HEAD") != 0) out_add(&c->out, body, len);
}

void s3_answer_xml(struct s3_conn *c, struct out *document) {
	s3_answer(c, 200, "", "application/xml", document->at, document->len);
	free(document->at);
	*document = (struct out){0};
}

static void error_with(struct s3_conn *c, int status, const char *code, const char *message, const char *extra,
		       const char *more) {
	struct out xml = {0};

	out_print(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>", code);
	out_add_xml(&xml, message);
	out_print(&xml, "</Message>%s<RequestId>WORLD0000EXAMPLE</RequestId></Error>", more);
	s3_answer(c, status, extra, "application/xml", xml.at, xml.len);
	free(xml.at);
}

void s3_error(struct s3_conn *c, int status, const char *code, const char *message) {
	error_with(c, status, code, message, "", "");
}

/* Asked in another region: each of the three ways in which S3 says so. */
static bool is_misplaced(struct s3_conn *c) {
	char region[64], extra[128], more[256];

	if (!c->bucket || !sigv4_region(&c->request, region, sizeof region) || strcmp(region, c->bucket->region) == 0)
		return false;
	snprintf(extra, sizeof extra, "x-amz-bucket-region: %s\r\n", c->bucket->region);
	if (c->bucket->redirect == 400) {
		snprintf(more, sizeof more, "<Region>%s</Region>", c->bucket->region);
		error_with(c, 400, "AuthorizationHeaderMalformed",
			   "The authorization header is malformed; the region is wrong", extra, more);
		return true;
	}
	snprintf(more, sizeof more, "<Endpoint>%s.s3.%s.amazonaws.com</Endpoint><Bucket>%s</Bucket>", c->bucket->name,
		 c->bucket->region, c->bucket->name);
	error_with(c, c->bucket->redirect, c->bucket->redirect == 301 ? "PermanentRedirect" : "TemporaryRedirect",
		   "The bucket you are attempting to access must be addressed using the specified endpoint.", extra,
		   more);
	return true;
}

static void serve_bucket(struct world *w, struct s3_conn *c) {
	char extra[128];

	if (strcmp(c->request.method, "PUT") == 0 && !*c->key && !*c->request.query) {
		if (!s3_bucket_add(w->s3, c->bucket_name)) return s3_error(c, 400, "TooManyBuckets", c->bucket_name);
		return s3_answer(c, 200, "", "", "", 0);
	}
	if (c->kind == KIND_HEAD_BUCKET) {
		snprintf(extra, sizeof extra, "x-amz-bucket-region: %s\r\n", c->bucket->region);
		return s3_answer(c, 200, extra, "", "", 0);
	}
	if (has_parameter(c->request.query, "location")) {
		struct out xml = {0};
		out_print(&xml,
			  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint>%s</LocationConstraint>",
			  c->bucket->region);
		return s3_answer_xml(c, &xml);
	}
	s3_error(c, 501, "NotImplemented",
		 "A header or query you provided implies functionality that is not implemented");
}

static void (*operation(enum kind kind))(struct world *, struct s3_conn *) {
	switch ((int)kind) {
	case KIND_LIST_BUCKETS: return s3_list_buckets;
	case KIND_LIST_OBJECTS: return s3_list_objects;
	case KIND_LIST_UPLOADS: return s3_list_uploads;
	case KIND_LIST_PARTS: return s3_list_parts;
	case KIND_GET_OBJECT:
	case KIND_HEAD_OBJECT: return s3_get_object;
	case KIND_PUT_OBJECT: return s3_put_object;
	case KIND_CREATE_UPLOAD: return s3_create_upload;
	case KIND_UPLOAD_PART: return s3_upload_part;
	case KIND_COMPLETE_UPLOAD: return s3_complete_upload;
	case KIND_ABORT_UPLOAD: return s3_abort_upload;
	case KIND_DELETE_OBJECT: return s3_delete_object;
	case KIND_DELETE_OBJECTS: return s3_delete_objects;
	default: return serve_bucket;
	}
}

void s3_serve(struct world *w, struct s3_conn *c) {
	const char *told = http_get_header(&c->request, "x-amz-content-sha256");
	struct refusal refusal;

	s3_sink_end(&c->sink, &c->request);
	bool is_open = c->bucket && c->bucket->is_public && !http_get_header(&c->request, "authorization") &&
		       !strstr(c->request.query, "X-Amz-Signature=");
	if (!is_open && !sigv4_verify(w, &c->request, "s3", c->fault.skew_s, &refusal))
		return s3_error(c, refusal.status, refusal.code, refusal.message);
	if (is_misplaced(c)) return;
	if (!c->bucket && c->kind != KIND_LIST_BUCKETS && c->kind != KIND_S3_OTHER)
		return s3_error(c, 404, "NoSuchBucket", "The specified bucket does not exist");
	if (!c->bucket && c->kind == KIND_S3_OTHER && strcmp(c->request.method, "PUT") != 0)
		return s3_error(c, 404, "NoSuchBucket", "The specified bucket does not exist");
	if (strlen(c->key) > S3_KEY_MAX) return s3_error(c, 400, "KeyTooLongError", "Your key is too long");
	if (strstr(told ? told : "", "STREAMING-"))
		return s3_error(c, 501, "NotImplemented", "Bodies in signed chunks are not implemented");
	if (!c->sink.is_as_told)
		return s3_error(c, 400, "BadDigest", "The digest you specified did not match what we received.");
	operation(c->kind)(w, c);
}
