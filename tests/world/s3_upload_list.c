/* ListParts, ListMultipartUploads. */
#include <stdlib.h>
#include <string.h>

#include "s3.h"

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

void s3_list_parts(struct world *w, struct s3_conn *c) {
	struct s3_upload *u = *s3_upload_find(c->bucket, c);
	char *after = http_form_value(c->request.query, "part-number-marker"),
	     *max = http_form_value(c->request.query, "max-parts");
	size_t i = 0, shown = 0,
	       page = max && strtoul(max, NULL, 10) < S3_PAGE_MAX ? strtoul(max, NULL, 10) : S3_PAGE_MAX;
	struct out xml = {0};

	if (u) {
		while (after && i < u->count && u->parts[i].number <= strtol(after, NULL, 10)) i++;
		out_print(&xml, XML_HEAD "<ListPartsResult><Bucket>%s</Bucket><UploadId>%s</UploadId><Key>",
			  c->bucket->name, u->id);
		out_add_xml(&xml, c->key);
		out_adds(&xml, "</Key>");
		for (; i < u->count && shown < page; i++, shown++) {
			out_print(&xml, "<Part><PartNumber>%d</PartNumber><LastModified>", u->parts[i].number);
			s3_add_time(&xml, u->parts[i].modified_ms);
			out_print(&xml, "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%lld</Size></Part>",
				  u->parts[i].etag, (long long)u->parts[i].size);
		}
		out_print(&xml,
			  "<NextPartNumberMarker>%d</NextPartNumberMarker><IsTruncated>%s</IsTruncated></"
			  "ListPartsResult>",
			  i ? u->parts[i - 1].number : 0, i < u->count ? "true" : "false");
		s3_answer_xml(c, &xml);
	} else {
		s3_no_such_upload(c);
	}
	free(after);
	free(max);
}

static int compare_uploads(const void *a, const void *b) {
	const struct s3_upload *x = *(struct s3_upload *const *)a, *y = *(struct s3_upload *const *)b;
	int order = strcmp(x->key, y->key);

	return order ? order : (x->begun_ms > y->begun_ms) - (x->begun_ms < y->begun_ms);
}

/* Those below the prefix and after the marker, by key. */
static struct s3_upload **collect(const struct s3_bucket *b, const char *prefix, const char *after, size_t *ret_count) {
	struct s3_upload **all = NULL;
	size_t n = 0;

	for (struct s3_upload *u = b->uploads; u; u = u->next) {
		if (!text_starts(u->key, prefix) || (*after && strcmp(u->key, after) <= 0)) continue;
		all = must(realloc(all, (n + 1) * sizeof(struct s3_upload *)));
		all[n++] = u;
	}
	if (n) qsort(all, n, sizeof(struct s3_upload *), compare_uploads);
	*ret_count = n;
	return all;
}

void s3_list_uploads(struct world *w, struct s3_conn *c) {
	const char *query = c->request.query;
	char *prefix = http_form_value(query, "prefix"), *after = http_form_value(query, "key-marker");
	char *encoding = http_form_value(query, "encoding-type");
	bool is_encoded = encoding && strcmp(encoding, "url") == 0;
	size_t count;
	struct s3_upload **all = collect(c->bucket, prefix ? prefix : "", after ? after : "", &count);
	struct out xml = {0};

	out_print(&xml, XML_HEAD "<ListMultipartUploadsResult><Bucket>%s</Bucket><IsTruncated>%s</IsTruncated>",
		  c->bucket->name, count > S3_PAGE_MAX ? "true" : "false");
	for (size_t i = 0; i < count && i < S3_PAGE_MAX; i++) {
		out_adds(&xml, "<Upload><Key>");
		if (is_encoded)
			out_add_url(&xml, all[i]->key, true);
		else
			out_add_xml(&xml, all[i]->key);
		out_print(&xml, "</Key><UploadId>%s</UploadId><Initiated>", all[i]->id);
		s3_add_time(&xml, all[i]->begun_ms);
		out_adds(&xml, "</Initiated></Upload>");
	}
	out_adds(&xml, "</ListMultipartUploadsResult>");
	s3_answer_xml(c, &xml);
	free(all);
	free(prefix);
	free(after);
	free(encoding);
}
