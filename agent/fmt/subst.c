#include "fmt/subst.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/** Longest result: a file's content with its references expanded, as large as a whole recipe may be. */
#define SUBST_BYTES_MAX (1024 * 1024)
/** Longest name, "vars.some_long_name". */
#define SUBST_NAME_MAX 128

bool subst_has(const char *text) {
	for (const char *s = text; *s; s++) {
		if (str_starts(s, "$${"))
			s += 2;
		else if (str_starts(s, "${"))
			return true;
	}
	return false;
}

/* scope.name: the scope in lower case, the name as variables of recipes and of the environment are written. */
static bool is_name(const char *s, size_t n) {
	size_t dot = 0;
	while (dot < n && islower((unsigned char)s[dot])) dot++;
	if (dot == 0 || dot + 1 >= n || s[dot] != '.') return false;
	for (size_t i = dot + 1; i < n; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '-') return false;
	}
	return true;
}

/* The reference at s ("${…"): its value goes to out, *ret_len is its length. */
static int expand_one(const char *s, subst_lookup_fn lookup, void *arg, struct buf *out, size_t *ret_len,
		      struct err *err) {
	size_t n = strcspn(s + 2, "}\n");
	const char *name = s + 2;
	int shown = (int)(n > SUBST_NAME_MAX ? str_utf8_prefix(name, SUBST_NAME_MAX) : n);
	if (name[n] != '}') {
		return err_set(err, ERR_INVALID, "'${%.*s' has no closing brace; write $${ for a literal ${", shown,
			       name);
	}
	if (n > SUBST_NAME_MAX || !is_name(name, n)) {
		return err_set(err, ERR_INVALID,
			       "'${%.*s}' is not a reference such as ${vars.x}, ${facts.x} or ${env.X}; "
			       "write $${%.*s} to leave it to the shell",
			       shown, name, shown, name);
	}
	char copy[SUBST_NAME_MAX + 1];
	memcpy(copy, name, n);
	copy[n] = '\0';
	bool is_known_later = false;
	const char *value = lookup(copy, arg, &is_known_later, err);
	*ret_len = n + 3;
	if (value)
		buf_adds(out, value);
	else if (is_known_later)
		buf_add(out, s, *ret_len);
	else
		return -(int)err->code;
	return 0;
}

int subst_expand(const char *text, subst_lookup_fn lookup, void *arg, struct arena *arena, const char **ret_text,
		 size_t *ret_offset, struct err *err) {
	struct buf out AUTO_BUF = BUF_INIT(SUBST_BYTES_MAX);
	for (const char *s = text; *s;) {
		if (str_starts(s, "$${")) {
			buf_adds(&out, "${");
			s += 3;
		} else if (str_starts(s, "${")) {
			size_t len = 0;
			int rc = expand_one(s, lookup, arg, &out, &len, err);
			if (rc < 0 && ret_offset) *ret_offset = (size_t)(s - text);
			if (rc < 0) return rc;
			s += len;
		} else {
			/* A whole run up to the next '$' at once, itself included when it stands for itself. */
			size_t run = *s == '$' ? 1 : strcspn(s, "$");
			buf_add(&out, s, run);
			s += run;
		}
	}
	int rc = buf_check(&out, "the text with its references expanded", err);
	if (rc < 0 && ret_offset) *ret_offset = 0;
	if (rc < 0) return rc;
	*ret_text = arena_dup(arena, buf_str(&out), out.len);
	return 0;
}
