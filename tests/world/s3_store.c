#include <stdlib.h>
#include <string.h>

#include "s3.h"

struct s3_bucket *s3_bucket_find(const struct s3 *s3, const char *name) {
	for (size_t i = 0; i < s3->bucket_count; i++)
		if (strcmp(s3->buckets[i]->name, name) == 0) return s3->buckets[i];
	return NULL;
}

struct s3_bucket *s3_bucket_add(struct s3 *s3, const char *name) {
	struct s3_bucket *b = s3_bucket_find(s3, name);

	if (b) return b;
	if (s3->bucket_count == S3_BUCKETS_MAX || strlen(name) >= sizeof b->name) return NULL;
	b = must(calloc(1, sizeof *b));
	snprintf(b->name, sizeof b->name, "%s", name);
	snprintf(b->region, sizeof b->region, "us-east-1");
	b->keeps = b->has_checksums = true;
	b->redirect = 400;
	s3->buckets[s3->bucket_count++] = b;
	return b;
}

void s3_bucket_empty(struct s3_bucket *b) {
	for (size_t i = 0; i < b->count; i++) s3_object_release(b->objects[i]);
	b->count = 0;
	while (b->uploads) {
		struct s3_upload *next = b->uploads->next;
		s3_upload_free(b->uploads);
		b->uploads = next;
	}
}

void s3_bucket_remove(struct s3 *s3, struct s3_bucket *b) {
	size_t i = 0;

	while (s3->buckets[i] != b) i++;
	s3->buckets[i] = s3->buckets[--s3->bucket_count];
	s3_bucket_empty(b);
	free(b->objects);
	free(b);
}

size_t s3_lower(const struct s3_bucket *b, const char *key, bool is_after) {
	size_t low = 0, high = b->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(b->objects[middle]->key, key);
		if (order < 0 || (is_after && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct s3_object *s3_object_find(const struct s3_bucket *b, const char *key) {
	size_t i = s3_lower(b, key, false);

	return i < b->count && strcmp(b->objects[i]->key, key) == 0 ? b->objects[i] : NULL;
}

struct s3_object *s3_object_new(const char *key, int64_t size) {
	struct s3_object *o = must(calloc(1, sizeof *o));

	o->refs = 1;
	o->key = text_dup(key);
	o->size = size;
	o->class = "STANDARD";
	/* Whole seconds: Last-Modified of GET and HEAD has no more, and S3's own listings end in .000Z. */
	o->modified_ms = wall_ms() / 1000 * 1000;
	return o;
}

void s3_object_put(struct s3_bucket *b, struct s3_object *o) {
	size_t i =
		b->count && strcmp(b->objects[b->count - 1]->key, o->key) < 0 ? b->count : s3_lower(b, o->key, false);

	if (i < b->count && strcmp(b->objects[i]->key, o->key) == 0) {
		s3_object_release(b->objects[i]);
		b->objects[i] = o;
		return;
	}
	if (b->count == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 64;
		b->objects = must(realloc(b->objects, b->cap * sizeof(struct s3_object *)));
	}
	memmove(b->objects + i + 1, b->objects + i, (b->count - i) * sizeof(struct s3_object *));
	b->objects[i] = o;
	b->count++;
}

bool s3_object_remove(struct s3_bucket *b, const char *key) {
	size_t i = s3_lower(b, key, false);

	if (i == b->count || strcmp(b->objects[i]->key, key) != 0) return false;
	s3_object_release(b->objects[i]);
	b->count--;
	memmove(b->objects + i, b->objects + i + 1, (b->count - i) * sizeof(struct s3_object *));
	return true;
}

void s3_object_release(struct s3_object *o) {
	if (!o || --o->refs) return;
	free(o->key);
	free(o->data);
	free(o->headers);
	free(o->checksum);
	free(o);
}

void s3_upload_free(struct s3_upload *u) {
	for (size_t i = 0; i < u->count; i++) free(u->parts[i].data);
	free(u->parts);
	free(u->key);
	free(u->headers);
	free(u);
}
