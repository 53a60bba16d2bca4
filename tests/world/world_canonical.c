/*
 * The canonical request of Signature Version 4, from the wire: whatever the client encoded is decoded and encoded anew,
 * so that only what it means counts. S3 paths once and never normalised, others twice.
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define QUERY_MAX 256 /* parameters; more are not looked at and the signature differs */

/* One parameter of a query, encoded; value lies behind name in one piece of memory. */
struct parameter {
	char *name, *value;
};

static int compare_parameters(const void *a, const void *b) {
	const struct parameter *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->value, y->value);
}

static void add_decoded(struct out *out, const char *text, size_t len) {
	char *decoded = text_url_decode(text, len, false);

	out_add_url(out, decoded, false);
	free(decoded);
}

/*
 * Decoded and encoded anew: the client's own encoding must not matter, only what it means. Sorted by name, then value,
 * never by the text of both: "a-b=" comes after "a=".
 */
static void add_query(struct out *out, const char *query) {
	struct parameter items[QUERY_MAX];
	size_t count = 0;

	for (const char *p = query; *p && count < QUERY_MAX;) {
		size_t item = strcspn(p, "&"), name_len = strcspn(p, "=&");
		struct out name = {0}, value = {0};
		add_decoded(&name, p, name_len);
		if (name_len < item)
			add_decoded(&value, p + name_len + 1, item - name_len - 1);
		else
			out_adds(&value, "");
		/* A URL's signature is not part of what it signs. */
		if (item && strcmp(name.at, "X-Amz-Signature") != 0) {
			items[count++] = (struct parameter){name.at, value.at};
		} else {
			free(name.at);
			free(value.at);
		}
		p += item + (p[item] == '&');
	}
	qsort(items, count, sizeof *items, compare_parameters);
	for (size_t i = 0; i < count; i++) {
		out_print(out, "%s%s=%s", i ? "&" : "", items[i].name, items[i].value);
		free(items[i].name);
		free(items[i].value);
	}
}

/* A header's value with runs of blanks made one. */
static void add_value(struct out *out, const char *value) {
	for (const char *p = value; *p; p++)
		if (*p != ' ' || p[1] != ' ') out_add(out, p, 1);
}

/* The path as it is signed: encoded once for S3, twice for others. */
static void add_path(struct out *out, const struct request *r, bool is_s3) {
	char *decoded = text_url_decode(r->path, strlen(r->path), false);

	if (is_s3) {
		out_add_url(out, decoded, true);
	} else {
		char *path = text_url_encode(decoded, true);
		out_add_url(out, path, true);
		free(path);
	}
	free(decoded);
}

char *sigv4_canonical(const struct request *r, const char *signed_headers, bool is_s3, const char *payload_hash) {
	struct out out = {0};
	bool is_complete = true;

	out_print(&out, "%s\n", r->method);
	add_path(&out, r, is_s3);
	out_adds(&out, "\n");
	add_query(&out, r->query);
	out_adds(&out, "\n");
	for (const char *p = signed_headers; *p;) {
		size_t item = strcspn(p, ";");
		char *name = must(strndup(p, item));
		const char *value = http_get_header(r, name);
		out_print(&out, "%s:", name);
		if (value) add_value(&out, value);
		out_adds(&out, "\n");
		is_complete = is_complete && value;
		free(name);
		p += item + (p[item] == ';');
	}
	out_print(&out, "\n%s\n%s", signed_headers, payload_hash);
	if (is_complete) return out.at;
	free(out.at);
	return NULL;
}
