#include "steps/python_version.h"

#include <ctype.h>

#include "base/mem.h"

/** More digits would not fit 64 bits. */
#define DIGITS_MAX 18

struct reader {
	const char *at, *end;
};

static char peek(const struct reader *r) { return r->at < r->end ? (char)tolower((unsigned char)*r->at) : 0; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_separator(char c) { return c == '.' || c == '-' || c == '_'; }

static bool read_number(struct reader *r, int64_t *ret_n) {
	int64_t n = 0;
	int digits = 0;
	while (is_digit(peek(r))) {
		if (++digits > DIGITS_MAX) return false;
		n = n * 10 + (*r->at++ - '0');
	}
	*ret_n = n;
	return digits > 0;
}

/* One of the words (longest first) after an optional separator; its index, or -1 with nothing read. */
static int read_word(struct reader *r, const char *const *words) {
	struct reader try = *r;
	if (is_separator(peek(&try))) try.at++;
	for (int i = 0; words[i]; i++) {
		size_t len = strlen(words[i]);
		if ((size_t)(try.end - try.at) < len) continue;
		size_t same = 0;
		while (same < len && tolower((unsigned char)try.at[same]) == words[i][same]) same++;
		if (same < len) continue;
		r->at = try.at + len;
		return i;
	}
	return -1;
}

/* The number behind a word, which may be left out. */
static bool read_serial(struct reader *r, int64_t *ret_n) {
	struct reader try = *r;
	*ret_n = 0;
	if (is_separator(peek(&try))) try.at++;
	if (!is_digit(peek(&try))) return true;
	*r = try;
	return read_number(r, ret_n);
}

static bool read_release(struct reader *r, struct py_version *v) {
	if (peek(r) == 'v') r->at++;
	if (!read_number(r, &v->release[0])) return false;
	if (peek(r) == '!') {
		r->at++;
		v->epoch = v->release[0];
		if (!read_number(r, &v->release[0])) return false;
	}
	v->release_count = 1;
	while (peek(r) == '.' && r->at + 1 < r->end && is_digit(r->at[1])) {
		if (v->release_count == PY_RELEASE_MAX) return false;
		r->at++;
		if (!read_number(r, &v->release[v->release_count++])) return false;
	}
	return true;
}

static bool read_suffixes(struct reader *r, struct py_version *v) {
	static const char *const pre_words[] = {"preview", "alpha", "beta", "pre", "rc", "a", "b", "c", NULL};
	static const char pre_kinds[] = "cabccabc";
	static const char *const post_words[] = {"post", "rev", "r", NULL};
	static const char *const dev_words[] = {"dev", NULL};
	int word = read_word(r, pre_words);
	if (word >= 0) {
		v->pre_kind = pre_kinds[word];
		if (!read_serial(r, &v->pre)) return false;
	}
	if (peek(r) == '-' && r->at + 1 < r->end && is_digit(r->at[1])) {
		r->at++; /* "1.0-1" is 1.0.post1 */
		v->has_post = true;
		if (!read_number(r, &v->post)) return false;
	} else if (read_word(r, post_words) >= 0) {
		v->has_post = true;
		if (!read_serial(r, &v->post)) return false;
	}
	if (read_word(r, dev_words) >= 0) {
		v->has_dev = true;
		if (!read_serial(r, &v->dev)) return false;
	}
	return true;
}

static bool read_local(struct reader *r, struct py_version *v) {
	size_t len = 0;
	if (peek(r) != '+') return true;
	r->at++;
	while (r->at < r->end) {
		char c = peek(r);
		if (is_separator(c)) c = '.';
		if (c != '.' && !isalnum((unsigned char)c)) return false;
		if (len + 1 == sizeof v->local || (c == '.' && (!len || v->local[len - 1] == '.'))) return false;
		v->local[len++] = c;
		r->at++;
	}
	return len && v->local[len - 1] != '.';
}

bool py_version_parse(const char *text, size_t len, struct py_version *ret_version) {
	struct py_version v = {0};
	struct reader r = {text, text + len};
	while (r.at < r.end && isspace((unsigned char)*r.at)) r.at++;
	while (r.end > r.at && isspace((unsigned char)r.end[-1])) r.end--;
	if (!read_release(&r, &v) || !read_suffixes(&r, &v) || !read_local(&r, &v) || r.at != r.end) return false;
	*ret_version = v;
	return true;
}

static int order(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int64_t segment(const struct py_version *v, size_t i) { return i < v->release_count ? v->release[i] : 0; }

static int compare_release(const struct py_version *a, const struct py_version *b) {
	int c = order(a->epoch, b->epoch);
	for (size_t i = 0; !c && i < PY_RELEASE_MAX; i++) c = order(segment(a, i), segment(b, i));
	return c;
}

/* 1.0.dev1 < 1.0a1 < 1.0b1 < 1.0rc1 < 1.0. */
static int pre_rank(const struct py_version *v) {
	if (v->pre_kind) return v->pre_kind - 'a' + 1;
	return v->has_dev && !v->has_post ? 0 : 9;
}

/* Numeric segments sort above words, and by value among themselves. */
static int compare_local(const char *a, const char *b) {
	while (*a && *b) {
		size_t n = strcspn(a, "."), m = strcspn(b, ".");
		struct reader ra = {a, a + n}, rb = {b, b + m};
		int64_t x = 0, y = 0;
		bool is_number_a = read_number(&ra, &x) && ra.at == ra.end;
		bool is_number_b = read_number(&rb, &y) && rb.at == rb.end;
		int c = is_number_a != is_number_b ? (is_number_a ? 1 : -1) : order(x, y);
		if (!is_number_a && !is_number_b) {
			c = memcmp(a, b, n < m ? n : m);
			if (!c) c = order((int64_t)n, (int64_t)m);
		}
		if (c) return c;
		a += n + (a[n] == '.');
		b += m + (b[m] == '.');
	}
	return (*a != 0) - (*b != 0);
}

static int compare_public(const struct py_version *a, const struct py_version *b) {
	int c = compare_release(a, b);
	if (!c) c = order(pre_rank(a), pre_rank(b));
	if (!c) c = order(a->pre, b->pre);
	if (!c) c = order(a->has_post, b->has_post);
	if (!c) c = order(a->post, b->post);
	if (!c) c = order(b->has_dev, a->has_dev);
	if (!c) c = order(a->dev, b->dev);
	return c;
}

int py_version_compare(const struct py_version *a, const struct py_version *b) {
	int c = compare_public(a, b);
	return c ? c : compare_local(a->local, b->local);
}

/* The first count release segments are equal: "==1.2.*", and the second half of "~=". */
static bool has_prefix(const struct py_version *v, const struct py_version *prefix, size_t count) {
	if (v->epoch != prefix->epoch) return false;
	for (size_t i = 0; i < count; i++)
		if (segment(v, i) != segment(prefix, i)) return false;
	return true;
}

static bool is_equal(const struct py_version *v, const struct py_version *wanted) {
	/* A specifier without a local label is fulfilled by any of them: torch==2.7.0 by 2.7.0+cu128. */
	return wanted->local[0] ? !py_version_compare(v, wanted) : !compare_public(v, wanted);
}

static bool is_above(const struct py_version *v, const struct py_version *wanted) {
	if (compare_public(v, wanted) <= 0) return false;
	return !(v->has_post && !wanted->has_post && !compare_release(v, wanted));
}

static bool is_below(const struct py_version *v, const struct py_version *wanted) {
	if (compare_public(v, wanted) >= 0) return false;
	bool is_early = v->pre_kind || v->has_dev, wants_early = wanted->pre_kind || wanted->has_dev;
	return !(is_early && !wants_early && !compare_release(v, wanted));
}

enum operator{ OP_SAME, OP_EQ, OP_NE, OP_NEAR, OP_GE, OP_LE, OP_GT, OP_LT };

/* The operator that s begins with, taken off it. */
static bool take_operator(const char **s, size_t *len, enum operator* ret_op) {
	static const struct {
		const char *sign;
		enum operator op;
	} all[] = {{"===", OP_SAME}, {"==", OP_EQ}, {"!=", OP_NE}, {"~=", OP_NEAR},
		   {">=", OP_GE},    {"<=", OP_LE}, {">", OP_GT},  {"<", OP_LT}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		size_t n = strlen(all[i].sign);
		if (*len < n || memcmp(*s, all[i].sign, n) != 0) continue;
		*s += n;
		*len -= n;
		*ret_op = all[i].op;
		return true;
	}
	return false;
}

static bool fulfils(const struct py_version *v, enum operator op, const struct py_version *wanted) {
	switch (op) {
	case OP_SAME: break; /* compared as text */
	case OP_EQ: return is_equal(v, wanted);
	case OP_NE: return !is_equal(v, wanted);
	case OP_NEAR: return compare_public(v, wanted) >= 0 && has_prefix(v, wanted, wanted->release_count - 1);
	case OP_GE: return compare_public(v, wanted) >= 0;
	case OP_LE: return compare_public(v, wanted) <= 0;
	case OP_GT: return is_above(v, wanted);
	case OP_LT: return is_below(v, wanted);
	}
	return false;
}

static enum py_match match_one(const char *s, size_t len, const struct py_version *v, const char *version) {
	struct py_version wanted;
	enum operator op = OP_SAME;
	if (!take_operator(&s, &len, &op)) return PY_MATCH_BAD_SPECIFIER;
	while (len && isspace((unsigned char)*s)) s++, len--;
	while (len && isspace((unsigned char)s[len - 1])) len--;
	if (op == OP_SAME) return len == strlen(version) && !strncasecmp(s, version, len) ? PY_MATCH_YES : PY_MATCH_NO;
	bool has_star = (op == OP_EQ || op == OP_NE) && len > 2 && !memcmp(s + len - 2, ".*", 2);
	if (!py_version_parse(s, has_star ? len - 2 : len, &wanted)) return PY_MATCH_BAD_SPECIFIER;
	if (op == OP_NEAR && wanted.release_count < 2) return PY_MATCH_BAD_SPECIFIER;
	bool is_match =
		has_star ? has_prefix(v, &wanted, wanted.release_count) == (op == OP_EQ) : fulfils(v, op, &wanted);
	return is_match ? PY_MATCH_YES : PY_MATCH_NO;
}

enum py_match py_version_match(const char *specifiers, const char *version) {
	struct py_version v;
	bool is_version = py_version_parse(version, strlen(version), &v), is_match = true;
	if (!is_version) v = (struct py_version){.release_count = 1};
	for (const char *s = specifiers; *s;) {
		size_t len = strcspn(s, ",");
		size_t lead = strspn(s, " \t");
		if (lead < len) {
			enum py_match m = match_one(s + lead, len - lead, &v, version);
			if (m == PY_MATCH_BAD_SPECIFIER) return m;
			is_match = is_match && m == PY_MATCH_YES;
		}
		s += len + (s[len] == ',');
	}
	return is_match ? PY_MATCH_YES : PY_MATCH_NO;
}
