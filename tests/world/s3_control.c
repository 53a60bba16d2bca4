/*
 * The tests' door to S3, below /_world/s3/: PUT bucket/NAME (lines `name=value`), PUT objects/BUCKET (lines of words:
 * made-up objects), DELETE bucket/NAME, GET port, bytes, bucket/NAME, manifest/NAME, object/NAME?key=….
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "s3.h"

#define CLASS_MAX 32

static bool is_on(const char *value) { return strcmp(value, "on") == 0; }

static bool set_bucket(struct s3_bucket *b, const char *name, const char *value) {
	if (strcmp(name, "keep") == 0)
		b->keeps = is_on(value);
	else if (strcmp(name, "checksums") == 0)
		b->has_checksums = is_on(value);
	else if (strcmp(name, "plus") == 0)
		b->encodes_plus = is_on(value);
	else if (strcmp(name, "public") == 0)
		b->is_public = is_on(value);
	else if (strcmp(name, "region") == 0)
		snprintf(b->region, sizeof b->region, "%s", value);
	else if (strcmp(name, "redirect") == 0)
		b->redirect = (int)strtol(value, NULL, 10);
	else
		return false;
	return true;
}

/* Made-up objects, as a line has them. */
struct recipe {
	const char *prefix, *suffix, *class, *key, *seed;
	long count, dirs, first;
	double size, size_max;
	int64_t modified_ms;
};

static bool set_word(struct recipe *r, const char *name, const char *value) {
	const struct {
		const char *name;
		const char **slot;
	} texts[] = {{"prefix", &r->prefix},
		     {"suffix", &r->suffix},
		     {"class", &r->class},
		     {"key", &r->key},
		     {"seed", &r->seed}};
	const struct {
		const char *name;
		long *slot;
	} numbers[] = {{"count", &r->count}, {"dirs", &r->dirs}, {"first", &r->first}};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (strcmp(name, texts[i].name) != 0) continue;
		*texts[i].slot = value;
		return true;
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (strcmp(name, numbers[i].name) != 0) continue;
		*numbers[i].slot = strtol(value, NULL, 10);
		return true;
	}
	if (strcmp(name, "size") == 0)
		r->size = strtod(value, NULL);
	else if (strcmp(name, "size-max") == 0)
		r->size_max = strtod(value, NULL);
	else if (strcmp(name, "modified") == 0)
		r->modified_ms = strtoll(value, NULL, 10) * 1000;
	else
		return false;
	return true;
}

/* Between size and size_max, small ones oftener: the logarithm is about normal. */
static int64_t size_of(const struct recipe *r, long i) {
	uint64_t z = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15;
	double sum = 0;

	if (r->size_max <= r->size) return (int64_t)r->size;
	for (int k = 0; k < 4; k++) {
		z = (z ^ (z >> 29)) * 0xBF58476D1CE4E5B9;
		sum += (double)(z >> 40) / (double)(1 << 24);
	}
	return (int64_t)(r->size * pow(r->size_max / r->size, sum / 4));
}

static void make_objects(struct s3 *s3, struct s3_bucket *b, const struct recipe *r) {
	for (long i = r->first; i < r->first + r->count; i++) {
		char *key = r->key    ? text_url_decode(r->key, strlen(r->key), false)
			    : r->dirs ? text_print("%sd%03ld/%07ld%s", r->prefix, (i * r->dirs) / (r->first + r->count),
						   i, r->suffix)
				      : text_print("%s%07ld%s", r->prefix, i, r->suffix);
		struct s3_object *o = s3_object_new(key, size_of(r, i));
		static const char *const classes[] = {"GLACIER", "DEEP_ARCHIVE", "STANDARD_IA", "GLACIER_IR"};
		for (size_t k = 0; k < sizeof classes / sizeof *classes; k++)
			if (strcmp(r->class, classes[k]) == 0) o->class = classes[k];
		if (r->modified_ms) o->modified_ms = r->modified_ms;
		s3_object_invent(s3, o, r->seed, b->has_checksums);
		s3_object_put(b, o);
		free(key);
	}
}

/* Each line of `name=value` words. */
static bool add_objects(struct s3 *s3, struct s3_bucket *b, char *body) {
	char *save = NULL;

	for (char *line = strtok_r(body, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		struct recipe r = {.prefix = "", .suffix = "", .class = "STANDARD", .seed = "", .count = 1};
		char *rest = NULL;
		for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
			char *value = strchr(word, '=');
			if (value) *value++ = '\0';
			if (!value || !set_word(&r, word, value)) return false;
		}
		make_objects(s3, b, &r);
	}
	return true;
}

static bool serve_put(struct s3 *s3, const char *what, const char *name, const char *text) {
	struct s3_bucket *b = s3_bucket_add(s3, name);
	char *body = text_dup(text), *save = NULL;
	bool is_ok = b;

	if (b && strcmp(what, "objects") == 0) {
		is_ok = add_objects(s3, b, body);
	} else if (b && strcmp(what, "bucket") == 0) {
		for (char *line = strtok_r(body, "\r\n", &save); line && is_ok; line = strtok_r(NULL, "\r\n", &save)) {
			char *value = strchr(line, '=');
			if (value) *value++ = '\0';
			is_ok = value && set_bucket(b, line, value);
		}
	} else {
		is_ok = false;
	}
	free(body);
	return is_ok;
}

/* `CRC32C SIZE KEY`, a line an object: what build/tests/tree prints of a folder that is equal. */
static void print_manifest(struct s3 *s3, const struct s3_bucket *b, const char *prefix, FILE *out) {
	for (size_t i = 0; i < b->count; i++) {
		struct s3_object *o = b->objects[i];
		if (!text_starts(o->key, prefix)) continue;
		fprintf(out, "%08x %lld ", s3_object_crc32c(s3, o), (long long)o->size);
		for (const char *p = o->key + strlen(prefix); *p; p++)
			if (*p == '\n' || *p == '\\')
				fprintf(out, "\\x%02x", (unsigned char)*p);
			else
				fputc(*p, out);
		fputc('\n', out);
	}
}

static void print_bucket(const struct s3_bucket *b, FILE *out) {
	size_t uploads = 0;
	int64_t bytes = 0;

	for (const struct s3_upload *u = b->uploads; u; u = u->next) uploads++;
	for (size_t i = 0; i < b->count; i++) bytes += b->objects[i]->size;
	fprintf(out, "{\"objects\": %zu, \"bytes\": %lld, \"uploads\": %zu}\n", b->count, (long long)bytes, uploads);
}

static bool serve_get(struct world *w, const char *what, const char *name, const char *query, FILE *out) {
	struct s3_bucket *b = s3_bucket_find(w->s3, name);
	char *prefix = http_form_value(query, "prefix");
	bool is_known = true;

	if (strcmp(what, "port") == 0)
		fprintf(out, "%d\n", w->s3->port);
	else if (strcmp(what, "bytes") == 0)
		fprintf(out, "{\"in\": %llu, \"out\": %llu}\n", (unsigned long long)w->s3->bytes_in,
			(unsigned long long)w->s3->bytes_out);
	else if (b && strcmp(what, "bucket") == 0)
		print_bucket(b, out);
	else if (b && strcmp(what, "manifest") == 0)
		print_manifest(w->s3, b, prefix ? prefix : "", out);
	else
		is_known = false;
	free(prefix);
	return is_known;
}

void s3_control(struct world *w, const struct request *r, struct answer *answer) {
	char *what = text_dup(r->path + strlen("/_world/s3/")), *name = strchr(what, '/'), *text = NULL;
	size_t len = 0;
	FILE *out = must(open_memstream(&text, &len));
	bool is_ok = false;

	if (name) *name++ = '\0';
	if (strcmp(r->method, "PUT") == 0 && name) {
		is_ok = serve_put(w->s3, what, name, r->body);
	} else if (strcmp(r->method, "DELETE") == 0 && name) {
		struct s3_bucket *b = s3_bucket_find(w->s3, name);
		if ((is_ok = b)) s3_bucket_remove(w->s3, b);
	} else if (strcmp(r->method, "GET") == 0) {
		is_ok = serve_get(w, what, name ? name : "", r->query, out);
	}
	fputs(len || strcmp(r->method, "GET") == 0 ? "" : is_ok ? "ok\n" : "cannot read it\n", out);
	fclose(out);
	free(what);
	http_answer(answer, is_ok ? 200 : 400, "text/plain", text);
}
