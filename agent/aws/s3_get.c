/*
 * One object by one GET; a large one that is to be a file goes on in s3_ranges.c. Reference: Amazon S3 API Reference,
 * GetObject. A body that breaks off is gone on with by a range; a server that ignores it sends all again, and what came
 * before is left out.
 */
#include <ctype.h>

#include "aws/call.h"
#include "aws/s3_get_private.h"
#include "aws/s3_window.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"

/** What is received before it is written. A smaller object is in memory as a whole, and verified, before its file is.
 */
#define PIECE_SIZE ((size_t)256 * 1024)
/** An object that changes more often than this while it is got is somebody's log. */
#define RESTARTS_MAX 5

static struct s3_getting *getting_of(void *request) { return (struct s3_getting *)((struct s3_request *)request)->op; }

static void free_getting(struct s3_op *op) {
	struct s3_getting *g = (struct s3_getting *)op;

	s3_ranges_free(g->ranges);
	s3_drop(&g->request);
	s3_check_clear(&g->check);
	s3_file_drop(&g->file);
	free(g->piece);
	arena_clear(&g->arena);
	free(g);
}

static bool read_number(const char *text, size_t len, int64_t *ret_value) {
	int64_t value = 0;

	if (len == 0 || len > 18) return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i])) return false;
		value = value * 10 + (text[i] - '0');
	}
	*ret_value = value;
	return true;
}

/** "bytes 0-9/443" (RFC 9110, Content-Range) */
static bool read_content_range(const char *text, size_t len, int64_t *ret_start, int64_t *ret_size) {
	const char *end = text + len, *dash, *slash;

	if (len < 6 || strncmp(text, "bytes ", 6) != 0) return false;
	text += 6;
	dash = memchr(text, '-', (size_t)(end - text));
	slash = memchr(text, '/', (size_t)(end - text));
	return dash && slash && dash < slash && read_number(text, (size_t)(dash - text), ret_start) &&
	       read_number(slash + 1, (size_t)(end - slash - 1), ret_size);
}

void s3_read_version(const struct http_response *answer, struct s3_version *ret_version) {
	struct s3_version v = {.size = -1};
	size_t len;
	const char *text = http_header_at(answer, "ETag", &len);

	if (text && len >= 2 && text[0] == '"' && text[len - 1] == '"') text++, len -= 2;
	if (text && len < sizeof v.etag) memcpy(v.etag, text, len);
	text = http_header_at(answer, answer->status == 206 ? "Content-Range" : "Content-Length", &len);
	if (text && answer->status == 206 && !read_content_range(text, len, &v.start, &v.size)) v.start = -1;
	if (text && answer->status != 206) (void)read_number(text, len, &v.size); /* else it stays unknown */
	*ret_version = v;
}

int64_t s3_read_date(const struct http_response *answer, const char *name) {
	AUTO_FREE char *text = http_header(answer, name);
	int64_t seconds;

	return http_parse_date(text, &seconds) ? seconds * 1000 : 0;
}

bool s3_is_same_version(struct s3_getting *g, const struct http_response *answer, const struct s3_version *version) {
	bool is_other = (*g->etag && *version->etag && !str_eq(g->etag, version->etag)) ||
			(g->size >= 0 && version->size >= 0 && g->size != version->size);

	if (is_other) {
		g->has_changed = true;
		return false;
	}
	if (!*g->etag) memcpy(g->etag, version->etag, sizeof g->etag);
	if (g->size < 0) g->size = version->size;
	if (g->modified_at_ms == 0) g->modified_at_ms = s3_read_date(answer, "Last-Modified");
	return true;
}

bool s3_verifies(const struct s3_getting *g) { return !g->op.s3->options.skips_checksum; }

void s3_add_condition(const struct s3_getting *g, struct arena *arena, struct strs *headers) {
	if (*g->etag) strs_add(headers, arena_printf(arena, "If-Match: \"%s\"", g->etag));
}

static int on_prepare(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_getting *g = getting_of(r);

	(void)err;
	g->has_head = false;
	g->skip = 0;
	s3_add_condition(g, arena, headers);
	if (g->received > 0)
		strs_add(headers, arena_printf(arena, "Range: bytes=%lld-", (long long)g->received));
	else if (s3_verifies(g))
		strs_add(headers, "x-amz-checksum-mode: ENABLED");
	return 0;
}

static bool wants_ranges(const struct s3_getting *g) {
	return g->spec.name && g->size > S3_WHOLE_MAX && !g->has_no_ranges;
}

static int other_version(struct err *err) { return err_set(err, ERR_CANCELLED, "the object was replaced meanwhile"); }

static int on_head(const struct http_response *head, void *arg, struct err *err) {
	struct s3_getting *g = getting_of(arg);
	struct s3_version version;

	g->has_head = true;
	s3_read_version(head, &version);
	if (!s3_is_same_version(g, head, &version)) return other_version(err);
	if (version.start < 0 || version.start > g->received)
		return err_set(err, ERR_REMOTE, "the server sent another range than it was asked for");
	g->skip = g->received - version.start;
	if (g->received == 0 && wants_ranges(g)) {
		g->wants_ranges = true;
		return err_set(err, ERR_CANCELLED, "got by ranges instead");
	}
	if (g->received == 0 && s3_verifies(g)) s3_check_begin(&g->check, head);
	return 0;
}

static int flush(struct s3_getting *g, struct err *err) {
	if (!g->file.is_open) {
		if (s3_file_create(&g->file, g->spec.dir_fd, g->spec.name, &g->op.s3->temp_seed, err) != 0)
			return -(int)err->code;
		if (g->piece_len == PIECE_SIZE) s3_file_hold(&g->file); /* a smaller one is complete in a moment */
	}
	if (s3_file_write(g->file.fd, g->piece, g->piece_len, g->written, err) != 0) return -(int)err->code;
	g->written += (int64_t)g->piece_len;
	g->piece_len = 0;
	return 0;
}

static int add_to_file(struct s3_getting *g, const char *data, size_t len, struct err *err) {
	if (!g->piece) {
		g->piece_size = g->size >= 0 && (uint64_t)g->size < PIECE_SIZE ? (size_t)g->size : PIECE_SIZE;
		g->piece = mem_resize(NULL, g->piece_size, 1);
	}
	while (len > 0) {
		size_t n = g->piece_size - g->piece_len;

		if (n > len) n = len;
		memcpy(g->piece + g->piece_len, data, n);
		g->piece_len += n;
		data += n;
		len -= n;
		/* A whole small object waits for its verification. */
		if (g->piece_len == g->piece_size && g->piece_size == PIECE_SIZE && flush(g, err) != 0)
			return -(int)err->code;
	}
	return 0;
}

static int on_body(const void *data, size_t len, void *arg, struct err *err) {
	struct s3_getting *g = getting_of(arg);
	const char *p = data;
	size_t skip = (uint64_t)g->skip < len ? (size_t)g->skip : len;

	g->skip -= (int64_t)skip;
	p += skip;
	len -= skip;
	if (g->size >= 0 && (int64_t)len > g->size - g->received) {
		g->has_changed = true;
		return other_version(err);
	}
	if (len == 0) return 0;
	s3_check_add(&g->check, p, len);
	if (!g->spec.name && g->spec.on_data(p, len, g->spec.arg, err) != 0)
		return err->code == ERR_NONE ? err_set(err, ERR_CANCELLED, "stopped by the receiver") : -(int)err->code;
	if (g->spec.name && add_to_file(g, p, len, err) != 0) return -(int)err->code;
	g->received += (int64_t)len;
	g->op.s3->stats.done_bytes += (int64_t)len;
	return 0;
}

/** Forgets what was received. */
static void reset(struct s3_getting *g) {
	g->op.s3->stats.done_bytes -= g->received;
	g->received = g->written = 0;
	g->piece_len = 0;
	free(g->piece); /* its size may be another */
	g->piece = NULL;
	s3_check_clear(&g->check);
	s3_file_drop(&g->file);
}

int s3_commit(struct s3_getting *g, struct err *err) {
	return s3_file_commit(&g->file,
			      &(struct s3_file_how){
				      .mode = g->spec.mode,
				      .uid = g->spec.uid,
				      .gid = g->spec.gid,
				      .modified_at_ms = g->modified_at_ms,
			      },
			      err);
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_getting *g = getting_of(r);
	bool has_check;

	if (!g->has_head && on_head(answer, r, err) != 0) return -(int)err->code; /* an empty body calls no on_head */
	if (g->size >= 0 && g->received != g->size) {
		(void)err_set(err, ERR_NET, "the answer ended after %lld of %lld bytes", (long long)g->received,
			      (long long)g->size);
		err->is_retryable = true;
		return -(int)err->code;
	}
	g->size = g->received;
	has_check = g->check.how != S3_CHECK_NONE;
	if (s3_check_end(&g->check, err) != 0) {
		if (!g->spec.name) err->is_retryable = false; /* it has gone out */
		if (g->spec.name) reset(g);
		return -(int)err->code;
	}
	g->is_verified = has_check;
	if (!g->spec.name) return 0;
	if ((g->piece_len > 0 || !g->file.is_open) && flush(g, err) != 0) return -(int)err->code;
	return s3_commit(g, err);
}

/** What a user can do about it. */
static void explain(const struct s3_getting *g, struct err *err) {
	if (str_eq(g->request.failure.code, "InvalidObjectState"))
		(void)err_wrap(err, "the object is archived and must be restored before it can be read "
				    "(aws s3api restore-object)");
	(void)s3_wrap(g->op.s3, g->spec.key, err);
}

void s3_got(struct s3_getting *g, struct err *err) {
	struct s3_done done = {
		.size = g->size,
		.modified_at_ms = g->modified_at_ms,
		.local_mtime_ns = g->modified_at_ms * 1000000,
		.is_verified = g->is_verified,
	};

	memcpy(done.etag, g->etag, sizeof done.etag);
	if (err) g->op.s3->stats.done_bytes -= g->received;
	if (err) explain(g, err);
	g->spec.on_end(err ? NULL : &done, err, g->spec.arg);
	s3_finish(&g->op);
}

bool s3_restart(struct s3_getting *g) {
	if (g->restarts == RESTARTS_MAX || (!g->spec.name && g->received > 0)) return false;
	g->restarts++;
	g->op.s3->stats.retries++;
	reset(g);
	*g->etag = '\0';
	g->size = -1;
	g->modified_at_ms = 0;
	g->has_changed = false;
	s3_send(&g->request);
	return true;
}

static void on_end(struct s3_request *r, struct err *err) {
	struct s3_getting *g = getting_of(r);
	int status = r->failure.status;

	if (g->wants_ranges) {
		g->wants_ranges = false;
		s3_ranges_begin(g);
		return;
	}
	if (err && (g->has_changed || status == 412 || (status == 416 && g->received > 0)) && s3_restart(g)) return;
	s3_got(g, err);
}

void s3_get(struct s3 *s3, const struct s3_get *spec) {
	struct s3_getting *g = mem_zalloc(sizeof *g);

	g->op.free = free_getting;
	s3_begin(s3, &g->op);
	g->spec = *spec;
	g->spec.key = arena_strdup(&g->arena, spec->key);
	g->spec.version_id = arena_strdup(&g->arena, spec->version_id);
	g->spec.name = arena_strdup(&g->arena, spec->name);
	g->size = spec->size;
	g->modified_at_ms = spec->modified_at_ms;
	if (spec->etag && strlen(spec->etag) < sizeof g->etag) memcpy(g->etag, spec->etag, strlen(spec->etag));
	g->request = (struct s3_request){
		.op = &g->op,
		.lane = S3_LANE_SMALL,
		.method = "GET",
		.key = g->spec.key,
		.query = {g->spec.version_id ? "versionId" : NULL, g->spec.version_id},
		.body_max = SIZE_MAX,
		.on_prepare = on_prepare,
		.on_head = on_head,
		.on_body = on_body,
		.on_answer = on_answer,
		.on_end = on_end,
	};
	if (wants_ranges(g))
		s3_ranges_begin(g);
	else
		s3_send(&g->request);
}
