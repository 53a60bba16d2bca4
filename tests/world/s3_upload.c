/* Multipart uploads. S3 User Guide, "Amazon S3 multipart upload limits". */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "s3.h"
#include "sums.h"

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define PART_MIN (5 << 20) /* but for the last */

struct s3_upload **s3_upload_find(struct s3_bucket *b, const struct s3_conn *c) {
	char *id = http_form_value(c->request.query, "uploadId");
	struct s3_upload **at = &b->uploads;

	while (*at && (!id || strcmp((*at)->id, id) != 0 || strcmp((*at)->key, c->key) != 0)) at = &(*at)->next;
	free(id);
	return at;
}

void s3_no_such_upload(struct s3_conn *c) {
	s3_error(c, 404, "NoSuchUpload",
		 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
		 "aborted or "
		 "completed.");
}

void s3_create_upload(struct world *w, struct s3_conn *c) {
	struct s3_upload *u = must(calloc(1, sizeof *u)), **end = &c->bucket->uploads;
	struct out xml = {0};

	/* Ids are opaque and need encoding. */
	snprintf(u->id, sizeof u->id, "u%llu+/w%016llx==", (unsigned long long)++w->s3->next_id,
		 (unsigned long long)wall_ms());
	u->key = text_dup(c->key);
	u->headers = s3_kept_headers(&c->request);
	u->class = s3_told_class(&c->request);
	u->begun_ms = wall_ms();
	while (*end) end = &(*end)->next;
	*end = u;
	out_print(&xml, XML_HEAD "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>", c->bucket->name);
	out_add_xml(&xml, c->key);
	out_print(&xml, "</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", u->id);
	s3_answer_xml(c, &xml);
}

/* Its place in the order of numbers, made if there is none. */
static struct s3_part *part_at(struct s3_upload *u, int number) {
	size_t i = 0;

	while (i < u->count && u->parts[i].number < number) i++;
	if (i < u->count && u->parts[i].number == number) return &u->parts[i];
	u->parts = must(realloc(u->parts, (u->count + 1) * sizeof *u->parts));
	memmove(u->parts + i + 1, u->parts + i, (u->count - i) * sizeof *u->parts);
	u->count++;
	u->parts[i] = (struct s3_part){.number = number};
	return &u->parts[i];
}

void s3_upload_part(struct world *w, struct s3_conn *c) {
	struct s3_upload *u = *s3_upload_find(c->bucket, c);
	char *text = http_form_value(c->request.query, "partNumber"), *told = s3_told_checksum(&c->request);
	int number = text ? (int)strtol(text, NULL, 10) : 0;
	char extra[256];

	free(text);
	if (!u) {
		s3_no_such_upload(c);
	} else if (number < 1 || number > S3_PARTS_MAX) {
		s3_error(c, 400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
	} else {
		struct s3_part *p = part_at(u, number);
		free(p->data);
		*p = (struct s3_part){number, "", c->sink.len, wall_ms(), c->sink.crc32c, {0}, c->sink.kept.at};
		c->sink.kept = (struct out){0};
		memcpy(p->md5, c->sink.md5_value, sizeof p->md5);
		if (c->bucket->keeps)
			s3_etag_md5(p->md5, p->etag);
		else
			snprintf(p->etag, sizeof p->etag, "%08x%024llx-1", p->crc32c, (long long)p->size);
		snprintf(extra, sizeof extra, "ETag: \"%s\"\r\n%s", p->etag, told ? told : "");
		s3_answer(c, 200, extra, "", "", 0);
	}
	free(told);
}

/* The parts that the request names, in its order; NULL and a code when they are not as they must be. */
static struct s3_part **chosen(struct s3_conn *c, struct s3_upload *u, size_t *ret_count, const char **ret_code) {
	struct s3_part **parts = must(calloc(u->count + 1, sizeof(struct s3_part *)));
	const char *at = c->sink.kept.at ? c->sink.kept.at : "";
	char *item;
	size_t n = 0;

	*ret_code = NULL;
	for (; !*ret_code && (item = s3_xml_take(&at, "Part")); free(item)) {
		const char *in = item, *again = item;
		char *number = s3_xml_take(&in, "PartNumber"), *etag = s3_xml_take(&again, "ETag");
		size_t i = 0;
		while (number && i < u->count && u->parts[i].number != strtol(number, NULL, 10)) i++;
		if (!number || !etag || i == u->count || !strstr(etag, u->parts[i].etag))
			*ret_code = "InvalidPart";
		else if (n && parts[n - 1]->number >= u->parts[i].number)
			*ret_code = "InvalidPartOrder";
		else if (n && parts[n - 1]->size < PART_MIN)
			*ret_code = "EntityTooSmall";
		else
			parts[n++] = &u->parts[i];
		free(number);
		free(etag);
	}
	if (!n && !*ret_code) *ret_code = "MalformedXML";
	*ret_count = n;
	if (!*ret_code) return parts;
	free(parts);
	return NULL;
}

static struct s3_object *join(const struct s3_bucket *b, const struct s3_upload *u, struct s3_part **parts,
			      size_t count) {
	struct s3_object *o = s3_object_new(u->key, 0);
	unsigned char md5[EVP_MAX_MD_SIZE];
	struct out all = {0}, hashes = {0};

	for (size_t i = 0; i < count; i++) {
		o->crc32c = sum_crc32c_join(o->crc32c, parts[i]->crc32c, (uint64_t)parts[i]->size);
		o->size += parts[i]->size;
		out_add(&hashes, parts[i]->md5, 16);
		if (b->keeps) out_add(&all, parts[i]->data, (size_t)parts[i]->size);
	}
	if (!EVP_Digest(hashes.at, hashes.len, md5, NULL, EVP_md5(), NULL)) abort();
	free(hashes.at);
	s3_etag_md5(md5, o->etag);
	snprintf(o->etag + 32, sizeof o->etag - 32, "-%zu", count);
	o->has_crc32c = true;
	o->data = all.at;
	o->is_dropped = !b->keeps;
	o->class = u->class;
	o->headers = text_dup(u->headers);
	return o;
}

/* As S3 does it: 200 at once, the document's beginning, blanks while it works, then the outcome. */
static void answer_slowly(struct s3_conn *c, const struct out *xml) {
	static const char begin[] = XML_HEAD, blanks[] = "          \n";

	s3_head(c, 200, "Content-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n");
	out_print(&c->out, "%zx\r\n%s\r\n%zx\r\n%s\r\n%zx\r\n%s\r\n0\r\n\r\n", sizeof begin - 1, begin,
		  sizeof blanks - 1, blanks, xml->len, xml->at);
}

void s3_complete_upload(struct world *w, struct s3_conn *c) {
	struct s3_upload **at = s3_upload_find(c->bucket, c), *u = *at;
	const char *none = http_get_header(&c->request, "if-none-match"), *code;
	struct out xml = {0};
	size_t count;

	if (!u) return s3_no_such_upload(c);
	if (none && s3_object_find(c->bucket, c->key))
		return s3_error(c, 412, "PreconditionFailed",
				"At least one of the pre-conditions you specified did not hold");
	struct s3_part **parts = chosen(c, u, &count, &code);
	if (!parts)
		return s3_error(c, 400, code, "One or more of the specified parts could not be found or is too small.");
	if (c->fault.fails_late) {
		out_print(&xml,
			  "<Error><Code>%s</Code><Message>We encountered an internal error. Please try "
			  "again.</Message></Error>",
			  c->fault.code[0] ? c->fault.code : "InternalError");
	} else {
		struct s3_object *o = join(c->bucket, u, parts, count);
		out_print(&xml, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>", c->bucket->name);
		out_add_xml(&xml, c->key);
		out_print(&xml, "</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>", o->etag);
		s3_object_put(c->bucket, o);
		*at = u->next;
		s3_upload_free(u);
	}
	free(parts);
	answer_slowly(c, &xml);
	free(xml.at);
}

void s3_abort_upload(struct world *w, struct s3_conn *c) {
	struct s3_upload **at = s3_upload_find(c->bucket, c), *u = *at;

	if (!u) return s3_no_such_upload(c);
	*at = u->next;
	s3_upload_free(u);
	s3_answer(c, 204, "", "", "", 0);
}
