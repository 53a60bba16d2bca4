/* References: RFC 2045 (6.7 quoted-printable), RFC 2046 (5.1 multipart); cloud-init, "User-data formats". */
#include "fmt/mime.h"

#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/codec.h"
#include "fmt/mime_impl.h"

/** Longest boundary (RFC 2046, 5.1.1). */
#define MIME_BOUNDARY_MAX 70

bool mime_is(const char *data, size_t len) {
	struct mime_span rest = {data, len}, line;
	size_t name_len;
	while (mime_line(&rest, &line)) {
		bool is_folded = line.len > 0 && (*line.data == ' ' || *line.data == '\t') && line.data != data;
		if (is_folded) continue;
		if (!mime_is_field(&line, &name_len)) return false;
		if (name_len == 12 && strncasecmp(line.data, "Content-Type", 12) == 0) return true;
		if (name_len == 12 && strncasecmp(line.data, "MIME-Version", 12) == 0) return true;
	}
	return false;
}

/* One line of quoted-printable; white space at its end is transport's, "=" there joins it to the next. */
static int unquote_line(struct mime_span line, bool has_end, struct buf *out, struct err *err) {
	while (line.len > 0 && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t')) line.len--;
	bool is_soft = line.len > 0 && line.data[line.len - 1] == '=';
	if (is_soft) line.len--;
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] != '=') {
			buf_addc(out, line.data[i]);
			continue;
		}
		char hex[3] = "";
		if (line.len - i > 2) memcpy(hex, line.data + i + 1, 2);
		unsigned char byte;
		if (parse_hex(hex, &byte, 1, err) < 0) {
			return err_set(err, ERR_INVALID,
				       "quoted-printable is damaged: '=' without two hexadecimal digits");
		}
		buf_addc(out, (char)byte);
		i += 2;
	}
	if (has_end && !is_soft) buf_addc(out, '\n');
	return 0;
}

static int unquote(struct mime_span body, struct buf *out, struct err *err) {
	struct mime_span line;
	while (mime_line(&body, &line)) {
		bool has_end = line.data + line.len < body.data;
		int rc = unquote_line(line, has_end, out, err);
		if (rc < 0) return rc;
	}
	return 0;
}

/* Undoes a transfer encoding into the arena. ERR_INVALID. */
static int decode(const struct mime_span *body, const char *encoding, struct arena *arena, struct mime_span *ret_data,
		  struct err *err) {
	static const char *const plain[] = {"7bit", "8bit", "binary"};
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		if (!str_eq(encoding, plain[i])) continue;
		*ret_data = (struct mime_span){arena_dup(arena, body->data, body->len), body->len};
		return 0;
	}
	struct buf out AUTO_BUF = BUF_INIT(body->len); /* no encoding here makes more of less */
	int rc;
	if (str_eq(encoding, "base64"))
		rc = codec_unbase64(body->data, body->len, &out, err);
	else if (str_eq(encoding, "quoted-printable"))
		rc = unquote(*body, &out, err);
	else
		return err_set(err, ERR_INVALID, "transfer encoding '%s' is not known", encoding);
	if (rc < 0) return rc;
	*ret_data = (struct mime_span){arena_dup(arena, buf_str(&out), out.len), out.len};
	return 0;
}

/* The part that begins at rest: header and decoded body. */
static int read_part(struct mime_span rest, struct arena *arena, struct mime_part *ret_part, struct err *err) {
	struct mime_header header;
	int rc = mime_read_header(&rest, arena, &header, err);
	if (rc < 0) return rc;
	struct mime_span data = {0};
	rc = decode(&rest, header.encoding, arena, &data, err);
	if (rc < 0) return rc;
	*ret_part = (struct mime_part){header.type, header.filename, data.data, data.len};
	return 0;
}

enum delimiter { NO_DELIMITER, NEXT_PART, LAST_PART };

static enum delimiter delimiter_kind(const struct mime_span *line, const char *boundary) {
	size_t n = strlen(boundary), at = n + 2;
	if (line->len < at || memcmp(line->data, "--", 2) != 0 || memcmp(line->data + 2, boundary, n) != 0) {
		return NO_DELIMITER;
	}
	bool is_last = line->len >= at + 2 && memcmp(line->data + at, "--", 2) == 0;
	if (is_last) at += 2;
	while (at < line->len && (line->data[at] == ' ' || line->data[at] == '\t')) at++;
	if (at < line->len) return NO_DELIMITER; /* a longer boundary that begins alike */
	return is_last ? LAST_PART : NEXT_PART;
}

/* What lies between two delimiters: the line end before the second belongs to it (RFC 2046, 5.1.1). */
static struct mime_span between(const char *start, const char *delimiter) {
	size_t n = (size_t)(delimiter - start);
	if (n > 0 && start[n - 1] == '\n') n--;
	if (n > 0 && start[n - 1] == '\r') n--;
	return (struct mime_span){start, n};
}

static int read_parts(struct mime_span rest, const char *boundary, struct arena *arena, struct mime_part *parts,
		      size_t *ret_count, struct err *err) {
	const char *start = NULL;
	size_t count = 0;
	struct mime_span line;
	while (mime_line(&rest, &line)) {
		enum delimiter kind = delimiter_kind(&line, boundary);
		if (kind == NO_DELIMITER) continue;
		if (start && count == MIME_PARTS_MAX) {
			return err_set(err, ERR_LIMIT, "the MIME document has more than %d parts", MIME_PARTS_MAX);
		}
		if (start) {
			int rc = read_part(between(start, line.data), arena, &parts[count], err);
			if (rc < 0) return err_wrap(err, "MIME part %zu", count + 1);
			count++;
		}
		start = rest.data;
		*ret_count = count;
		if (kind == LAST_PART) return 0;
	}
	return err_set(err, ERR_INVALID, "the MIME document is cut: its last line '--%s--' is missing", boundary);
}

int mime_parse(const char *data, size_t len, struct arena *arena, struct mime_part **ret_parts, size_t *ret_count,
	       struct err *err) {
	struct mime_span rest = {data, len};
	struct mime_header header;
	int rc = mime_read_header(&rest, arena, &header, err);
	if (rc < 0) return err_wrap(err, "the MIME document");
	struct mime_part parts[MIME_PARTS_MAX];
	size_t count = 1;
	if (!str_starts(header.type, "multipart/")) {
		rc = read_part((struct mime_span){data, len}, arena, parts, err);
		if (rc < 0) return err_wrap(err, "the MIME document");
	} else {
		if (str_is_empty(header.boundary) || strlen(header.boundary) > MIME_BOUNDARY_MAX) {
			return err_set(err, ERR_INVALID,
				       "the MIME document is '%s' without a boundary of 1 to %d characters",
				       header.type, MIME_BOUNDARY_MAX);
		}
		rc = read_parts(rest, header.boundary, arena, parts, &count, err);
		if (rc < 0) return rc;
	}
	*ret_parts = arena_alloc(arena, count * sizeof **ret_parts);
	memcpy(*ret_parts, parts, count * sizeof **ret_parts);
	*ret_count = count;
	return 0;
}
