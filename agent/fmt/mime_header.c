/* References: RFC 2045 (fields, sections 5 and 6), RFC 2183 (Content-Disposition), RFC 5322 2.2.3 (folded lines). */
#include <ctype.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/mime_impl.h"

/** Longest field with its folded lines: many times what cloud-init's make-mime writes. */
#define MIME_FIELD_MAX 4096
/** Most fields of one header. */
#define MIME_FIELDS_MAX 64

bool mime_line(struct mime_span *rest, struct mime_span *ret_line) {
	if (rest->len == 0) return false;
	const char *end = memchr(rest->data, '\n', rest->len);
	size_t n = end ? (size_t)(end - rest->data) : rest->len, used = end ? n + 1 : n;
	*ret_line = (struct mime_span){rest->data, n > 0 && rest->data[n - 1] == '\r' ? n - 1 : n};
	rest->data += used;
	rest->len -= used;
	return true;
}

bool mime_is_field(const struct mime_span *line, size_t *ret_name_len) {
	size_t n = 0;
	while (n < line->len && (isalnum((unsigned char)line->data[n]) || line->data[n] == '-')) n++;
	*ret_name_len = n;
	return n > 0 && n < line->len && line->data[n] == ':';
}

static char *lower(char *s) {
	for (char *c = s; *c; c++) *c = (char)tolower((unsigned char)*c);
	return s;
}

/* A parameter's value at s, a token or a quoted string (with backslash escapes); *ret_end is behind it. */
static const char *parameter_value(const char *s, struct arena *arena, const char **ret_end) {
	struct buf value AUTO_BUF = BUF_INIT(MIME_FIELD_MAX);
	bool is_quoted = *s == '"';
	if (is_quoted) s++;
	for (; *s && (is_quoted ? *s != '"' : *s != ';' && !isspace((unsigned char)*s)); s++) {
		if (is_quoted && *s == '\\' && s[1]) s++;
		buf_addc(&value, *s);
	}
	*ret_end = is_quoted && *s ? s + 1 : s;
	return arena_strdup(arena, buf_str(&value));
}

/* The value of `name=` among "; name=value" parameters, or NULL. */
static const char *parameter(const char *field, const char *name, struct arena *arena) {
	const char *s = strchr(field, ';');
	while (s) {
		s += 1 + strspn(s + 1, " \t");
		size_t n = strcspn(s, "=; \t");
		bool is_it = n == strlen(name) && strncasecmp(s, name, n) == 0;
		s += n + strspn(s + n, " \t");
		if (*s == '=') {
			s += 1 + strspn(s + 1, " \t");
			const char *value = parameter_value(s, arena, &s);
			if (is_it) return value;
		}
		s = strchr(s, ';');
	}
	return NULL;
}

/* What stands before the parameters, lower-cased. */
static const char *main_value(const char *field, struct arena *arena) {
	return lower(str_trim(arena_dup(arena, field, strcspn(field, ";"))));
}

static void take_field(const char *name, const char *value, struct arena *arena, struct mime_header *header) {
	if (strcasecmp(name, "Content-Type") == 0) {
		header->type = main_value(value, arena);
		header->boundary = parameter(value, "boundary", arena);
		if (!header->filename) header->filename = parameter(value, "name", arena);
	} else if (strcasecmp(name, "Content-Transfer-Encoding") == 0) {
		header->encoding = main_value(value, arena);
	} else if (strcasecmp(name, "Content-Disposition") == 0) {
		const char *filename = parameter(value, "filename", arena);
		if (filename) header->filename = filename;
	}
}

/* One field with its folded lines, unfolded into field, the ':' behind *ret_name_len bytes; or the header's end. */
static int next_field(struct mime_span *rest, struct buf *field, size_t *ret_name_len, bool *ret_is_end,
		      struct err *err) {
	struct mime_span line;
	*ret_is_end = !mime_line(rest, &line) || line.len == 0;
	if (*ret_is_end) return 0;
	if (!mime_is_field(&line, ret_name_len) || memchr(line.data, 0, line.len)) {
		return err_set(err, ERR_INVALID, "a line of its header is no 'Name: value'");
	}
	buf_add(field, line.data, line.len);
	while (rest->len > 0 && (*rest->data == ' ' || *rest->data == '\t') && mime_line(rest, &line)) {
		if (memchr(line.data, 0, line.len)) return err_set(err, ERR_INVALID, "a NUL byte in its header");
		buf_add(field, line.data, line.len);
	}
	return buf_check(field, "a field of its header", err);
}

int mime_read_header(struct mime_span *rest, struct arena *arena, struct mime_header *ret_header, struct err *err) {
	struct mime_header header = {.type = "text/plain", .encoding = "7bit"};
	for (size_t count = 0;; count++) {
		struct buf field AUTO_BUF = BUF_INIT(MIME_FIELD_MAX);
		size_t name_len = 0;
		bool is_end = false;
		int rc = next_field(rest, &field, &name_len, &is_end, err);
		if (rc < 0) return rc;
		if (is_end) break;
		if (count == MIME_FIELDS_MAX) {
			return err_set(err, ERR_LIMIT, "its header has more than %d fields", MIME_FIELDS_MAX);
		}
		const char *text = buf_str(&field);
		char *value = str_trim(arena_strdup(arena, text + name_len + 1));
		take_field(arena_dup(arena, text, name_len), value, arena, &header);
	}
	*ret_header = header;
	return 0;
}
