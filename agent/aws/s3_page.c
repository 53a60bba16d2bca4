/* Reference: Amazon S3 API Reference, ListObjectsV2 (`/ListBucketResult`). */
#include "aws/s3_page.h"

#include <ctype.h>

#include "base/err.h"
#include "base/parse.h"
#include "fmt/xml.h"

#define ROOT "/ListBucketResult/"
#define ROOT_LEN (sizeof ROOT - 1)

static int hex_value(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	return -1;
}

bool s3_url_decode(char *text, bool plus_is_space) {
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (*p == '%') {
			int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);

			if (low < 0 || (high == 0 && low == 0)) return false;
			*out++ = (char)(high << 4 | low);
			p += 2;
		} else {
			*out++ = (char)(*p == '+' && plus_is_space ? ' ' : *p);
		}
	}
	*out = '\0';
	return true;
}

/** "2026-11-20T13:00:00.123Z" */
static bool read_time(const char *text, int64_t *ret_ms) {
	const char *dot = strchr(text, '.');
	struct err ignored;
	int64_t seconds, ms = 0, unit = 100;

	if (parse_time(text, &seconds, &ignored) != 0) return false;
	for (const char *p = dot ? dot + 1 : ""; isdigit((unsigned char)*p) && unit > 0; p++, unit /= 10)
		ms += (*p - '0') * unit;
	*ret_ms = seconds * 1000 + ms;
	return true;
}

static const char *without_quotes(const char *text, struct arena *arena) {
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') return arena_dup(arena, text + 1, len - 2);
	return arena_strdup(arena, text);
}

static const char *key_text(struct s3_page_reader *page, const char *text) {
	if (!page->has_percent_20 && strstr(text, "%20")) page->has_percent_20 = true;
	return arena_strdup(&page->arena, text);
}

static void add_object(struct s3_page_reader *page) {
	struct s3_object *o = &page->object;

	if (!o->key || o->size < 0) page->has_bad_field = true;
	if (!o->etag) o->etag = "";
	if (!o->storage_class) o->storage_class = "STANDARD";
	o->is_archived = str_eq(o->storage_class, "GLACIER") || str_eq(o->storage_class, "DEEP_ARCHIVE");
	if (o->key) vec_push(&page->objects, *o);
	*o = (struct s3_object){.size = -1};
}

static void read_field(struct s3_page_reader *page, const char *name, const char *text) {
	struct s3_object *o = &page->object;
	struct err ignored;

	if (str_eq(name, "Key")) {
		o->key = key_text(page, text);
	} else if (str_eq(name, "LastModified")) {
		if (!read_time(text, &o->modified_at_ms)) page->has_bad_field = true;
	} else if (str_eq(name, "ETag")) {
		o->etag = without_quotes(text, &page->arena);
	} else if (str_eq(name, "Size")) {
		if (parse_i64(text, 0, INT64_MAX, &o->size, &ignored) != 0) page->has_bad_field = true;
	} else if (str_eq(name, "StorageClass") && !str_eq(text, "STANDARD")) {
		o->storage_class = arena_strdup(&page->arena, text);
	}
}

static int on_element(const char *path, const char *text, void *arg) {
	struct s3_page_reader *page = arg;

	if (strncmp(path, ROOT, ROOT_LEN) != 0) {
		page->is_listing = page->is_listing || str_eq(path, "/ListBucketResult");
		return 0;
	}
	path += ROOT_LEN;
	if (str_starts(path, "Contents/"))
		read_field(page, path + 9, text);
	else if (str_eq(path, "Contents"))
		add_object(page);
	else if (str_eq(path, "CommonPrefixes/Prefix"))
		strs_add(&page->prefixes, key_text(page, text));
	else if (str_eq(path, "IsTruncated"))
		page->is_truncated = str_eq(text, "true");
	else if (str_eq(path, "NextContinuationToken"))
		page->token = arena_strdup(&page->arena, text);
	else if (str_eq(path, "EncodingType"))
		page->is_encoded = str_eq(text, "url");
	page->has_too_many = page->objects.count + page->prefixes.count > S3_PAGE_KEYS_MAX;
	return page->has_too_many;
}

void s3_page_open(struct s3_page_reader *page) {
	page->object = (struct s3_object){.size = -1};
	page->xml = xml_new(on_element, page);
}

int s3_page_push(struct s3_page_reader *page, const void *data, size_t len, struct err *err) {
	return xml_push(page->xml, data, len, false, err);
}

/**
 * '+' is a space, as botocore reads it and AWS writes it, unless the page shows that its server writes spaces as %20.
 */
static int decode_keys(struct s3_page_reader *page, struct err *err) {
	bool is_good = true;

	if (!page->is_encoded) return 0;
	for (size_t i = 0; i < page->objects.count; i++)
		is_good = s3_url_decode((char *)page->objects.items[i].key, !page->has_percent_20) && is_good;
	for (size_t i = 0; i < page->prefixes.count; i++)
		is_good = s3_url_decode((char *)page->prefixes.items[i], !page->has_percent_20) && is_good;
	return is_good ? 0 : err_set(err, ERR_REMOTE, "the listing holds a key that is not percent-encoded as it says");
}

static int check_order(const struct s3_page_reader *page, struct err *err) {
	for (size_t i = 1; i < page->objects.count; i++)
		if (strcmp(page->objects.items[i - 1].key, page->objects.items[i].key) >= 0) goto bad;
	for (size_t i = 1; i < page->prefixes.count; i++)
		if (strcmp(page->prefixes.items[i - 1], page->prefixes.items[i]) >= 0) goto bad;
	return 0;
bad:
	return err_set(err, ERR_REMOTE, "the listing is not in the order of its keys");
}

int s3_page_end(struct s3_page_reader *page, struct err *err) {
	if (xml_push(page->xml, "", 0, true, err) != 0) return err_wrap(err, "the listing");
	if (page->has_too_many)
		return err_set(err, ERR_LIMIT, "the listing has more than %d keys in one page", S3_PAGE_KEYS_MAX);
	if (!page->is_listing)
		return err_set(err, ERR_REMOTE, "the answer is not a listing of S3: is the endpoint right?");
	if (page->has_bad_field)
		return err_set(err, ERR_REMOTE, "the listing holds an entry without a readable key, size and time");
	if (decode_keys(page, err) != 0 || check_order(page, err) != 0) return -(int)err->code;
	if (page->is_truncated && !page->token)
		return err_set(err, ERR_REMOTE,
			       "the listing is cut and names no continuation: the server does not know ListObjectsV2");
	return 0;
}

void s3_page_close(struct s3_page_reader *page) {
	arena_clear(&page->arena);
	vec_clear(&page->objects);
	strs_clear(&page->prefixes);
	xml_free(page->xml);
	*page = (struct s3_page_reader){0};
}
