#include "recipe/userdata.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/codec.h"
#include "fmt/mime.h"
#include "fmt/yml.h"

/* Shorter texts of base64 letters only are words, not encoded recipes. */
#define BASE64_LENGTH_MIN 16

struct decode {
	struct arena *arena;
	struct userdata_doc docs[MIME_PARTS_MAX];
	size_t count;
};

static const struct {
	const char *marker, *what;
} foreign[] = {
	{"#cloud-config", "cloud-config for cloud-init"},
	{"#cloud-boothook", "a boot hook for cloud-init"},
	{"#include", "an include list for cloud-init"},
	{"#part-handler", "a part handler for cloud-init"},
	{"#upstart-job", "an upstart job"},
	{"## template: jinja", "a template for cloud-init"},
	{"{\"ignition\"", "an Ignition file"},
};

/* What the text is when it is no recipe, or NULL. The marker is all there is: a recipe never begins like that. */
static const char *foreign_kind(const char *data, size_t len) {
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		size_t n = strlen(foreign[i].marker);
		if (len >= n && memcmp(data, foreign[i].marker, n) == 0) return foreign[i].what;
	}
	if (len < 2 || memcmp(data, "#!", 2) != 0) return NULL;
	const char *end = memchr(data, '\n', len);
	size_t line = end ? (size_t)(end - data) : len;
	return memmem(data, line, "dsagent", strlen("dsagent")) ? NULL : "a script";
}

static bool is_base64(const char *data, size_t len) {
	size_t letters = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		if (strchr(" \t\r\n", c) && c) continue;
		bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!is_letter && c != '+' && c != '/' && c != '=') return false;
		letters++;
	}
	return letters >= BASE64_LENGTH_MIN;
}

static int decode(struct decode *d, const char *data, size_t len, unsigned depth, struct err *err);

/* Keeps what was unpacked and looks into it. */
static int decode_inner(struct decode *d, const struct buf *unpacked, unsigned depth, struct err *err) {
	if (unpacked->len == 0) return err_set(err, ERR_INVALID, "nothing is in it once unpacked");
	return decode(d, arena_dup(d->arena, unpacked->data, unpacked->len), unpacked->len, depth + 1, err);
}

static int decode_gzip(struct decode *d, const char *data, size_t len, unsigned depth, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(YML_BYTES_MAX);
	int rc = codec_gunzip(data, len, &b, err);
	if (rc < 0) return rc;
	return decode_inner(d, &b, depth, err);
}

static int decode_base64(struct decode *d, const char *data, size_t len, unsigned depth, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(YML_BYTES_MAX);
	int rc = codec_unbase64(data, len, &b, err);
	if (rc < 0) return rc;
	return decode_inner(d, &b, depth, err);
}

/* Parts that are cloud-init's are passed over; a damaged recipe part is an error. */
static int decode_mime(struct decode *d, const char *data, size_t len, unsigned depth, struct err *err) {
	struct mime_part *parts;
	size_t count;
	int rc = mime_parse(data, len, d->arena, &parts, &count, err);
	if (rc < 0) return rc;
	for (size_t i = 0; i < count; i++) {
		const struct mime_part *part = &parts[i];
		if (part->len == 0 || str_eq(part->type, "text/cloud-config")) continue;
		if (foreign_kind(part->data, part->len)) continue;
		rc = decode(d, part->data, part->len, depth + 1, err);
		if (rc < 0) return err_wrap(err, "part %zu (%s)", i + 1, part->type);
	}
	return 0;
}

static int decode(struct decode *d, const char *data, size_t len, unsigned depth, struct err *err) {
	if (depth > USERDATA_DEPTH_MAX) {
		return err_set(err, ERR_LIMIT, "encoded more than %d times over", USERDATA_DEPTH_MAX);
	}
	if (codec_is_gzip(data, len)) return decode_gzip(d, data, len, depth, err);
	if (mime_is(data, len)) return decode_mime(d, data, len, depth, err);
	if (is_base64(data, len)) return decode_base64(d, data, len, depth, err);
	const char *kind = foreign_kind(data, len);
	if (kind) return err_set(err, ERR_INVALID, "this is %s, not a recipe", kind);
	if (d->count == MIME_PARTS_MAX) return err_set(err, ERR_LIMIT, "more than %d recipes in it", MIME_PARTS_MAX);
	d->docs[d->count++] = (struct userdata_doc){data, len};
	return 0;
}

int userdata_decode(const char *data, size_t len, struct arena *arena, struct userdata_doc **ret_docs,
		    size_t *ret_count, struct err *err) {
	struct decode d = {.arena = arena};
	int rc = decode(&d, data, len, 0, err);
	if (rc < 0) return rc;
	if (d.count == 0) return err_set(err, ERR_NOT_FOUND, "none of its MIME parts is a recipe");
	*ret_docs = arena_alloc(arena, d.count * sizeof **ret_docs);
	memcpy(*ret_docs, d.docs, d.count * sizeof **ret_docs);
	*ret_count = d.count;
	return 0;
}
