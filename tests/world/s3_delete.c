/* DeleteObject, DeleteObjects. */
#include <stdlib.h>
#include <string.h>

#include "s3.h"

char *s3_xml_take(const char **at, const char *tag) {
	char *open = text_print("<%s>", tag), *close = text_print("</%s>", tag), *text = NULL;
	const char *from = strstr(*at, open), *to = from ? strstr(from, close) : NULL;

	if (to) {
		from += strlen(open);
		struct out out = {0};
		out_adds(&out, "");
		while (from < to) {
			static const struct {
				const char *name, *text;
			} entities[] = {
				{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}};
			size_t i = 0, count = sizeof entities / sizeof *entities;
			while (i < count && !text_starts(from, entities[i].name)) i++;
			char *end = NULL;
			long code = i == count && text_starts(from, "&#x")  ? strtol(from + 3, &end, 16)
				    : i == count && text_starts(from, "&#") ? strtol(from + 2, &end, 10)
									    : 0;
			if (i < count) {
				out_adds(&out, entities[i].text);
				from += strlen(entities[i].name);
			} else if (end && *end == ';' && code > 0 && code < 128) {
				out_add(&out, &(char){(char)code}, 1);
				from = end + 1;
			} else {
				out_add(&out, from++, 1);
			}
		}
		text = out.at;
		*at = to + strlen(close);
	}
	free(open);
	free(close);
	return text;
}

void s3_delete_object(struct world *w, struct s3_conn *c) {
	(void)s3_object_remove(c->bucket, c->key);
	s3_answer(c, 204, "", "", "", 0);
}

static void delete_one(struct s3_conn *c, const char *key, bool is_quiet, struct out *xml) {
	if (c->fault.refuses[0] && strstr(key, c->fault.refuses)) {
		out_adds(xml, "<Error><Key>");
		out_add_xml(xml, key);
		out_adds(xml, "</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
		return;
	}
	(void)s3_object_remove(c->bucket, key);
	if (is_quiet) return;
	out_adds(xml, "<Deleted><Key>");
	out_add_xml(xml, key);
	out_adds(xml, "</Key></Deleted>");
}

void s3_delete_objects(struct world *w, struct s3_conn *c) {
	char *told = s3_told_checksum(&c->request), *key;
	struct out xml = {0};
	size_t count = 0;

	bool has_digest = told || http_get_header(&c->request, "content-md5");
	free(told);
	if (!has_digest)
		return s3_error(c, 400, "InvalidRequest", "Missing required header for this request: Content-MD5");
	const char *at = c->sink.kept.at ? c->sink.kept.at : "";
	bool is_quiet = strstr(at, "<Quiet>true</Quiet>");
	out_adds(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult>");
	while ((key = s3_xml_take(&at, "Key"))) {
		if (++count <= 1000) delete_one(c, key, is_quiet, &xml);
		free(key);
	}
	out_adds(&xml, "</DeleteResult>");
	if (count > 0 && count <= 1000) return s3_answer_xml(c, &xml);
	free(xml.at);
	s3_error(c, 400, "MalformedXML",
		 "The XML you provided was not well-formed or did not validate against our published schema");
}
