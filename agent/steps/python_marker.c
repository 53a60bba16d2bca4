#include "steps/python_marker.h"

#include <stdbool.h>

#include "base/str.h"
#include "steps/python_req.h"
#include "steps/python_version.h"

#define VALUE_MAX 128

struct marker {
	const char *at;
	const struct py_env *env;
	int depth;
};

struct value {
	char text[VALUE_MAX];
	bool is_known, is_version;
};

static void skip(struct marker *m) { m->at += strspn(m->at, " \t"); }

static bool take(struct marker *m, const char *word) {
	skip(m);
	size_t len = strlen(word);
	if (strncmp(m->at, word, len) != 0) return false;
	bool is_name = word[0] >= 'a' && word[0] <= 'z';
	char next = m->at[len];
	if (is_name && ((next >= 'a' && next <= 'z') || next == '_')) return false;
	m->at += len;
	return true;
}

static void set_known(struct value *v, const char *text, bool is_version) {
	(void)snprintf(v->text, sizeof v->text, "%s", text); /* values of ours are short */
	v->is_known = true;
	v->is_version = is_version;
}

static bool read_variable(struct marker *m, struct value *v) {
	const struct {
		const char *name, *value;
		bool is_version;
	} known[] = {
		{"python_version", m->env->version, true},
		{"python_full_version", m->env->full_version, true},
		{"implementation_version", m->env->full_version, true},
		{"sys_platform", "linux", false},
		{"platform_system", "Linux", false},
		{"platform_machine", m->env->machine, false},
		{"os_name", "posix", false},
		{"implementation_name", "cpython", false},
		{"platform_python_implementation", "CPython", false},
		{"platform_release", NULL, false},
		{"platform_version", NULL, false},
		{"extra", NULL, false},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!take(m, known[i].name)) continue;
		if (known[i].value && known[i].value[0]) set_known(v, known[i].value, known[i].is_version);
		return true;
	}
	return false;
}

static bool read_value(struct marker *m, struct value *v) {
	*v = (struct value){0};
	skip(m);
	char quote = *m->at;
	if (quote != '\'' && quote != '"') return read_variable(m, v);
	const char *end = strchr(m->at + 1, quote);
	if (!end || (size_t)(end - m->at) >= sizeof v->text) return false;
	memcpy(v->text, m->at + 1, (size_t)(end - m->at - 1));
	v->is_known = true;
	m->at = end + 1;
	return true;
}

static bool read_operator(struct marker *m, const char **ret_op) {
	static const char *const operators[] = {"===", "==", "!=", "~=", ">=", "<=", ">", "<", "in", NULL};
	for (int i = 0; operators[i]; i++)
		if (take(m, operators[i])) {
			*ret_op = operators[i];
			return true;
		}
	*ret_op = "not in";
	return take(m, "not") && take(m, "in");
}

static enum py_marker from_bool(bool b) { return b ? PY_MARKER_TRUE : PY_MARKER_FALSE; }

static enum py_marker compare(const struct value *left, const char *op, const struct value *right) {
	if (!left->is_known || !right->is_known) return PY_MARKER_UNSURE;
	if (str_eq(op, "in")) return from_bool(strstr(right->text, left->text));
	if (str_eq(op, "not in")) return from_bool(!strstr(right->text, left->text));
	if (left->is_version) {
		char spec[VALUE_MAX + 4];
		(void)snprintf(spec, sizeof spec, "%s%s", op, right->text); /* fits by its size */
		enum py_match match = py_version_match(spec, left->text);
		return match == PY_MATCH_BAD_SPECIFIER ? PY_MARKER_UNSURE : from_bool(match == PY_MATCH_YES);
	}
	if (right->is_version) return PY_MARKER_UNSURE; /* '3.8' <= python_version: legal, and nobody writes it */
	int c = strcmp(left->text, right->text);
	if (str_eq(op, "==") || str_eq(op, "===")) return from_bool(c == 0);
	if (str_eq(op, "!=")) return from_bool(c != 0);
	if (str_eq(op, "<")) return from_bool(c < 0);
	if (str_eq(op, ">")) return from_bool(c > 0);
	if (str_eq(op, "<=")) return from_bool(c <= 0);
	return str_eq(op, ">=") ? from_bool(c >= 0) : PY_MARKER_BAD;
}

static enum py_marker eval_or(struct marker *m);

static enum py_marker eval_one(struct marker *m) {
	struct value left, right;
	const char *op;
	if (take(m, "(")) {
		if (++m->depth > PY_MARKER_DEPTH_MAX) return PY_MARKER_BAD;
		enum py_marker inner = eval_or(m);
		m->depth--;
		return take(m, ")") ? inner : PY_MARKER_BAD;
	}
	if (!read_value(m, &left) || !read_operator(m, &op) || !read_value(m, &right)) return PY_MARKER_BAD;
	return compare(&left, op, &right);
}

static enum py_marker eval_and(struct marker *m) {
	enum py_marker all = eval_one(m);
	while (all != PY_MARKER_BAD && take(m, "and")) {
		enum py_marker next = eval_one(m);
		if (next == PY_MARKER_BAD) return next;
		if (next == PY_MARKER_FALSE || all == PY_MARKER_TRUE)
			all = next;
		else if (all != PY_MARKER_FALSE)
			all = PY_MARKER_UNSURE;
	}
	return all;
}

static enum py_marker eval_or(struct marker *m) {
	enum py_marker any = eval_and(m);
	while (any != PY_MARKER_BAD && take(m, "or")) {
		enum py_marker next = eval_and(m);
		if (next == PY_MARKER_BAD) return next;
		if (next == PY_MARKER_TRUE || any == PY_MARKER_FALSE)
			any = next;
		else if (any != PY_MARKER_TRUE)
			any = PY_MARKER_UNSURE;
	}
	return any;
}

enum py_marker py_marker_eval(const char *text, const struct py_env *env) {
	struct marker m = {.at = text, .env = env};
	enum py_marker result = eval_or(&m);
	skip(&m);
	return *m.at ? PY_MARKER_BAD : result;
}
