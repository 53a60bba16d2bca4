/*
 * ListObjectsV2, ListBuckets. A page costs what it holds: objects are in order, so each begins by a binary search.
 * Tokens are opaque and hold "+", "/" and "=", which a client must encode.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "s3.h"

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XMLNS "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
#define TOKEN_HEAD "1+/"
#define TOKEN_TAIL "=="

struct listing {
	char *prefix, *delimiter, *start_after, *token;
	size_t page;
	bool is_encoded;
	const struct s3_bucket *bucket;
	struct out xml;
	size_t count;
	const char *last; /* key or common prefix */
	char *last_prefix;
};

static void add_name(struct listing *l, const char *tag, const char *text) {
	struct out *xml = &l->xml;

	out_print(xml, "<%s>", tag);
	if (!l->is_encoded) {
		out_add_xml(xml, text);
	} else {
		size_t from = xml->len;
		out_add_url(xml, text, true);
		if (l->bucket->encodes_plus) s3_spaces_to_plus(xml, from);
	}
	out_print(xml, "</%s>", tag);
}

void s3_spaces_to_plus(struct out *xml, size_t from) {
	char *out = xml->at + from;

	for (const char *p = out; *p;) {
		bool is_space = text_starts(p, "%20");
		*out++ = is_space ? '+' : *p;
		p += is_space ? 3 : 1;
	}
	*out = '\0';
	xml->len = (size_t)(out - xml->at);
}

void s3_add_time(struct out *xml, int64_t ms) {
	static char text[64];
	static time_t of;
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	if (at != of) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&at, &tm));
	of = at;
	out_adds(xml, text);
}

static void add_object(struct listing *l, const struct s3_object *o) {
	out_adds(&l->xml, "<Contents>");
	add_name(l, "Key", o->key);
	out_adds(&l->xml, "<LastModified>");
	s3_add_time(&l->xml, o->modified_ms);
	out_print(
		&l->xml,
		"</LastModified><ETag>&quot;%s&quot;</ETag><Size>%lld</Size><StorageClass>%s</StorageClass></Contents>",
		o->etag, (long long)o->size, o->class);
}

static char *token_of(const char *last) {
	struct out out = {0};

	out_adds(&out, TOKEN_HEAD);
	for (; *last; last++) out_print(&out, "%02x", (unsigned char)*last);
	out_adds(&out, TOKEN_TAIL);
	return out.at;
}

/* The key of a token; NULL if it is none of ours. */
static char *token_read(const char *token) {
	size_t len = strlen(token);
	struct out out = {0};
	unsigned byte;

	if (!text_starts(token, TOKEN_HEAD) || len < strlen(TOKEN_HEAD TOKEN_TAIL)) return NULL;
	out_adds(&out, "");
	for (const char *p = token + strlen(TOKEN_HEAD); sscanf(p, "%2x", &byte) == 1; p += 2)
		out_add(&out, &(char){(char)byte}, 1);
	return out.at;
}

/* The common prefix of a key, with its delimiter; NULL if it has none. */
static char *common_prefix(const struct listing *l, const char *key) {
	const char *rest = key + strlen(l->prefix), *found = *l->delimiter ? strstr(rest, l->delimiter) : NULL;

	return found ? must(strndup(key, (size_t)(found - key) + strlen(l->delimiter))) : NULL;
}

/* Past all keys that begin with the prefix: 0xFF is in no UTF-8. */
static size_t after_prefix(const struct s3_bucket *b, const char *prefix) {
	char *end = text_print("%s\xff\xff", prefix);
	size_t i = s3_lower(b, end, true);

	free(end);
	return i;
}

static size_t first_of(const struct listing *l, const char *after) {
	size_t i = s3_lower(l->bucket, l->prefix, false), len = strlen(after), k;

	if (!*after) return i;
	/* After a common prefix comes what is behind all of its keys. */
	bool is_prefix = *l->delimiter && len >= strlen(l->delimiter) &&
			 strcmp(after + len - strlen(l->delimiter), l->delimiter) == 0 && l->token;
	k = is_prefix ? after_prefix(l->bucket, after) : s3_lower(l->bucket, after, true);
	return k > i ? k : i;
}

/* True if more was there than fits a page. */
static bool add_page(struct listing *l, size_t i) {
	const struct s3_bucket *b = l->bucket;

	while (i < b->count && text_starts(b->objects[i]->key, l->prefix)) {
		if (l->count == l->page) return true;
		char *common = common_prefix(l, b->objects[i]->key);
		if (common) {
			free(l->last_prefix);
			l->last = l->last_prefix = common;
			out_adds(&l->xml, "<CommonPrefixes>");
			add_name(l, "Prefix", common);
			out_adds(&l->xml, "</CommonPrefixes>");
			i = after_prefix(b, common);
		} else {
			add_object(l, b->objects[i]);
			l->last = b->objects[i++]->key;
		}
		l->count++;
	}
	return false;
}

static char *parameter(const struct request *r, const char *name) {
	char *value = http_form_value(r->query, name);

	return value ? value : text_dup("");
}

static void add_tail(struct listing *l, const struct fault *fault, bool is_truncated) {
	out_adds(&l->xml, "<Name>");
	out_add_xml(&l->xml, l->bucket->name);
	out_adds(&l->xml, "</Name>");
	add_name(l, "Prefix", l->prefix);
	if (*l->delimiter) add_name(l, "Delimiter", l->delimiter);
	if (*l->start_after) add_name(l, "StartAfter", l->start_after);
	if (l->is_encoded) out_adds(&l->xml, "<EncodingType>url</EncodingType>");
	out_print(&l->xml, "<MaxKeys>%zu</MaxKeys><KeyCount>%zu</KeyCount><IsTruncated>%s</IsTruncated>", l->page,
		  l->count, is_truncated ? "true" : "false");
	if (is_truncated) {
		char *token = fault->repeats_token && l->token ? text_dup(l->token) : token_of(l->last);
		out_print(&l->xml, "<NextContinuationToken>%s</NextContinuationToken>", token);
		free(token);
	}
	out_adds(&l->xml, "</ListBucketResult>");
}

void s3_list_objects(struct world *w, struct s3_conn *c) {
	const struct request *r = &c->request;
	char *max = parameter(r, "max-keys"), *encoding = parameter(r, "encoding-type"), *after = NULL;
	struct listing l = {.prefix = parameter(r, "prefix"),
			    .delimiter = parameter(r, "delimiter"),
			    .start_after = parameter(r, "start-after"),
			    .token = http_form_value(r->query, "continuation-token"),
			    .page = S3_PAGE_MAX,
			    .is_encoded = strcmp(encoding, "url") == 0,
			    .bucket = c->bucket};

	if (*max && strtoul(max, NULL, 10) < S3_PAGE_MAX) l.page = strtoul(max, NULL, 10);
	after = l.token ? token_read(l.token) : text_dup(l.start_after);
	if (!after) {
		s3_error(c, 400, "InvalidArgument", "The continuation token provided is incorrect");
	} else {
		out_print(&l.xml, XML_HEAD "%s<ListBucketResult " XMLNS ">",
			  c->fault.has_doctype ? "<!DOCTYPE x [<!ENTITY e \"boom\">]>" : "");
		size_t first = first_of(&l, after);
		l.last = after;
		if (c->fault.is_empty_page) l.page = 0;
		bool is_truncated = add_page(&l, first) && (l.page || c->fault.is_empty_page);
		add_tail(&l, &c->fault, is_truncated);
		s3_answer_xml(c, &l.xml);
	}
	free(l.last_prefix);
	free(l.prefix);
	free(l.delimiter);
	free(l.start_after);
	free(l.token);
	free(l.xml.at);
	free(max);
	free(encoding);
	free(after);
}

void s3_list_buckets(struct world *w, struct s3_conn *c) {
	struct out xml = {0};

	out_adds(&xml, XML_HEAD "<ListAllMyBucketsResult " XMLNS "><Buckets>");
	for (size_t i = 0; i < w->s3->bucket_count; i++)
		out_print(&xml, "<Bucket><Name>%s</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>",
			  w->s3->buckets[i]->name);
	out_adds(&xml, "</Buckets></ListAllMyBucketsResult>");
	s3_answer_xml(c, &xml);
}
