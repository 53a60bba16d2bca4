#include "steps/python_req.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "steps/python_marker.h"
#include "steps/python_version.h"

#define FILE_MAX (1024 * 1024)
#define DEPTH_MAX 8

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.'; }

const char *py_normalise(const char *name, size_t len, struct arena *arena) {
	char *out = arena_alloc(arena, len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool is_separator = c == '-' || c == '_' || c == '.';
		if (is_separator && n && out[n - 1] == '-') continue;
		out[n++] = is_separator ? '-' : (char)tolower((unsigned char)c);
	}
	return out;
}

/* A path, a URL without a name or an archive: pip takes them, we cannot tell their name. */
static bool is_opaque(const char *text) {
	size_t len = strcspn(text, " \t;[<>=!~@(");
	if (text[0] == '.' || text[0] == '/' || memchr(text, '/', len) || strstr(text, "://") == text + len)
		return true;
	const char *name = text + len;
	return len > 4 &&
	       (!strncmp(name - 4, ".whl", 4) || !strncmp(name - 4, ".zip", 4) || !strncmp(name - 3, ".gz", 3));
}

static int bad(const char *text, const char *why, struct err *err) {
	return err_set(err, ERR_INVALID, "requirement '%s': %s", text, why);
}

static int parse_marker(const char *marker, const struct py_env *env, struct py_req *req, struct err *err) {
	switch (py_marker_eval(marker, env)) {
	case PY_MARKER_TRUE: return 0;
	case PY_MARKER_FALSE: req->is_needed = false; return 0;
	case PY_MARKER_UNSURE: req->is_unsure = true; return 0;
	case PY_MARKER_BAD: break;
	}
	return bad(req->text, "the condition behind ';' is not understood", err);
}

static int parse_specs(const char *at, struct arena *arena, struct py_req *req, struct err *err) {
	size_t len = strcspn(at, ";");
	char *specs = str_trim(arena_dup(arena, at, len));
	size_t n = strlen(specs);
	if (n > 1 && specs[0] == '(' && specs[n - 1] == ')') {
		specs[n - 1] = 0;
		specs++;
	}
	if (specs[0] && py_version_match(specs, "1") == PY_MATCH_BAD_SPECIFIER)
		return bad(req->text,
			   specs[0] == '=' && specs[1] != '=' ? "a version is asked for by '==', not '='"
							      : "the version part is not understood",
			   err);
	req->specs = specs;
	return 0;
}

int py_req_parse(const char *text, const struct py_env *env, struct arena *arena, struct py_req *ret_req,
		 struct err *err) {
	char *copy = str_trim(arena_strdup(arena, text));
	struct py_req req = {.name = "", .text = copy, .specs = "", .is_needed = true};
	if (!copy[0]) return bad(text, "it is empty", err);
	if (is_opaque(copy)) {
		*ret_req = req;
		return 0;
	}
	size_t len = 0;
	while (is_name_char(copy[len])) len++;
	if (!len || !isalnum((unsigned char)copy[0]) || !isalnum((unsigned char)copy[len - 1]))
		return bad(copy, "a package name begins and ends with a letter or digit", err);
	req.name = py_normalise(copy, len, arena);
	const char *at = copy + len + strspn(copy + len, " \t");
	if (*at == '[') {
		const char *end = strchr(at, ']');
		if (!end) return bad(copy, "']' is missing behind the extras", err);
		at = end + 1 + strspn(end + 1, " \t");
	}
	const char *marker = strchr(at, ';');
	if (*at == '@') {
		req.is_direct = true;
		marker = strstr(at, " ;");
		if (marker) marker++;
	} else {
		int r = parse_specs(at, arena, &req, err);
		if (r < 0) return r;
	}
	int r = marker ? parse_marker(marker + 1, env, &req, err) : 0;
	if (r == 0) *ret_req = req;
	return r;
}

static void push(struct py_reqs *reqs, const struct py_req *req, struct arena *arena) {
	reqs->items = arena_grow(arena, reqs->items, reqs->count, &reqs->cap, sizeof *reqs->items);
	reqs->items[reqs->count++] = *req;
}

struct source {
	const char *label, *dir;
	const struct fs_root *root;
	const struct py_env *env;
	struct buf *all_text;
	struct arena *arena;
	int depth;
};

static int add_file(struct py_reqs *reqs, const struct source *from, const char *path, struct err *err);

/* An option line: only those that bring further requirements matter here. */
static int add_option(struct py_reqs *reqs, const struct source *s, char *line, struct err *err) {
	static const char *const nested[] = {"-r", "--requirement", NULL};
	static const char *const editable[] = {"-e", "--editable", NULL};
	size_t len = strcspn(line, " \t=");
	char *value = str_trim(line + len + (line[len] == '='));
	if (len > 2 && line[0] == '-' && line[1] != '-') { /* -rfile */
		len = 2;
		value = str_trim(line + 2);
	}
	const char *option = arena_dup(s->arena, line, len);
	for (int i = 0; editable[i]; i++)
		if (str_eq(option, editable[i])) {
			struct py_req req = {.name = "", .text = value, .specs = "", .is_needed = true};
			push(reqs, &req, s->arena);
			return 0;
		}
	for (int i = 0; nested[i]; i++) {
		if (!str_eq(option, nested[i])) continue;
		if (strstr(value, "://")) return 0; /* hashed by its address */
		if (value[0] != '/' && !s->dir)
			return err_set(err, ERR_INVALID, "%s: '%s' is not an absolute path", s->label, value);
		return add_file(reqs, s, value[0] == '/' ? value : arena_printf(s->arena, "%s/%s", s->dir, value), err);
	}
	return 0; /* --index-url, -c, --hash and the like are the resolver's */
}

/* The line without comment and pip's per-requirement options. */
static void strip(char *line) {
	for (char *at = line; *at; at++) {
		bool is_start = at == line || at[-1] == ' ' || at[-1] == '\t';
		if (is_start && (*at == '#' || (at != line && !strncmp(at, "--", 2) && at[2]))) {
			*at = 0;
			return;
		}
	}
}

static int add_line(struct py_reqs *reqs, const struct source *s, char *line, unsigned number, struct err *err) {
	struct py_req req;
	strip(line);
	line = str_trim(line);
	if (!line[0]) return 0;
	if (reqs->count >= PY_REQS_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %d requirements", s->label, PY_REQS_MAX);
	int r = line[0] == '-' ? add_option(reqs, s, line, err) : py_req_parse(line, s->env, s->arena, &req, err);
	if (r < 0) return err_wrap(err, "%s:%u", s->label, number);
	if (line[0] != '-') push(reqs, &req, s->arena);
	return 0;
}

static int add_text(struct py_reqs *reqs, const struct source *s, const char *text, struct err *err) {
	char *copy = arena_strdup(s->arena, text);
	unsigned number = 1;
	buf_addf(s->all_text, "%s\n", text);
	for (char *at = copy; *at;) {
		unsigned first = number;
		char *line = at;
		for (;;) { /* a backslash at the end goes on in the next line */
			at += strcspn(at, "\n");
			bool goes_on = at > line && at[-1] == '\\' && *at;
			if (*at) number++;
			if (!goes_on) break;
			at[-1] = ' ';
			*at++ = ' ';
		}
		if (*at) *at++ = 0;
		int r = add_line(reqs, s, line, first, err);
		if (r < 0) return r;
	}
	return 0;
}

static int add_file(struct py_reqs *reqs, const struct source *from, const char *path, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX);
	struct source s = *from;
	s.label = path;
	s.depth++;
	const char *slash = strrchr(path, '/');
	s.dir = arena_dup(s.arena, path, slash ? (size_t)(slash - path) : 0);
	if (s.depth > DEPTH_MAX)
		return err_set(err, ERR_LIMIT, "%s: requirements files nest deeper than %d", path, DEPTH_MAX);
	int r = fs_read(s.root, path, &text, err);
	if (r < 0 && err->code == ERR_NOT_FOUND) {
		err_clear(err);
		reqs->has_absent_file = true;
		return 0;
	}
	if (r < 0) return r;
	if (text.len && memchr(text.data, 0, text.len)) return err_set(err, ERR_INVALID, "%s holds a NUL byte", path);
	return add_text(reqs, &s, buf_str(&text), err);
}

int py_reqs_add_text(struct py_reqs *reqs, const char *label, const char *text, const char *dir,
		     const struct fs_root *root, const struct py_env *env, struct buf *all_text, struct arena *arena,
		     struct err *err) {
	struct source s = {.label = label, .dir = dir, .root = root, .env = env, .all_text = all_text, .arena = arena};
	return add_text(reqs, &s, text, err);
}

int py_reqs_add_file(struct py_reqs *reqs, const char *path, const struct fs_root *root, const struct py_env *env,
		     struct buf *all_text, struct arena *arena, struct err *err) {
	struct source s = {.root = root, .env = env, .all_text = all_text, .arena = arena};
	return add_file(reqs, &s, path, err);
}
