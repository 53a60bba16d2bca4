/*
 *	or         = and { "||" and }
 *	and        = comparison { "&&" comparison }
 *	comparison = unary [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) unary | "in" "[" item { "," item } "]" ]
 *	unary      = "!" unary | "(" or ")" | item
 *	item       = string | number | "true" | "false" | name
 *
 * Evaluated while it is read. Where && or || has decided already, the rest is still read and its names looked up, so
 * that a mistake shows on every machine; only its comparisons are not made (`vars.n != "" && vars.n > 3`).
 */
#include "recipe/cond.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "recipe/cond_value.h"

struct cond {
	const char *text, *at;
	subst_lookup_fn lookup;
	void *arg;
	struct arena *arena;
	struct err *err;
	size_t offset; /* of the error */
	unsigned depth;
	unsigned dead; /* > 0: already decided, compare nothing */
	bool is_check; /* names may have no value */
};

static int read_or(struct cond *c, struct cond_value *ret);

static void skip_space(struct cond *c) {
	while (isspace((unsigned char)*c->at)) c->at++;
}

/* Marks where it went wrong; for use as `return fail(c, place, err_set(…))`. */
static int fail(struct cond *c, const char *place, int rc) {
	c->offset = (size_t)(place - c->text);
	return rc;
}

static bool take(struct cond *c, const char *token) {
	skip_space(c);
	if (!str_starts(c->at, token)) return false;
	c->at += strlen(token);
	return true;
}

static bool is_word_char(char ch) { return isalnum((unsigned char)ch) || ch == '_' || ch == '.' || ch == '-'; }

/* The length of the word at the current place. */
static size_t word_len(const struct cond *c) {
	size_t n = 0;
	while (is_word_char(c->at[n])) n++;
	return n;
}

static bool is_word(const struct cond *c, const char *word) {
	size_t n = word_len(c);
	return n == strlen(word) && memcmp(c->at, word, n) == 0;
}

static struct cond_value bool_value(bool is_true) { return (struct cond_value){.kind = COND_BOOL, .is_true = is_true}; }

static int read_string(struct cond *c, struct cond_value *ret) {
	const char *end = strchr(c->at + 1, *c->at);
	if (!end) return fail(c, c->at, err_set(c->err, ERR_INVALID, "the quote %c is never closed", *c->at));
	*ret = (struct cond_value){.text = arena_dup(c->arena, c->at + 1, (size_t)(end - c->at - 1))};
	c->at = end + 1;
	return 0;
}

static int read_name(struct cond *c, const char *name, struct cond_value *ret) {
	bool is_known_later = false;
	const char *text = c->lookup(name, c->arg, &is_known_later, c->err);
	if (text) {
		*ret = (struct cond_value){.text = arena_strdup(c->arena, text)};
		return 0;
	}
	if (!is_known_later) return fail(c, c->at, -(int)c->err->code);
	if (!c->is_check) return fail(c, c->at, err_set(c->err, ERR_INVALID, "'%s' has no value", name));
	*ret = (struct cond_value){.kind = COND_UNKNOWN};
	return 0;
}

/* What stands where a value should, in words that tell what to write instead. */
static int bad_item(struct cond *c) {
	size_t n = word_len(c);
	const char *message = "expected a value";
	if (str_starts(c->at, "${"))
		message = "a condition takes names as they are: vars.x, not ${vars.x}";
	else if (is_word(c, "not"))
		message = "'not' is written !";
	else if (!*c->at)
		message = "a value is missing at the end";
	else if (*c->at == '[')
		message = "a list can only stand after 'in'";
	else if (n > 0)
		return fail(c, c->at,
			    err_set(c->err, ERR_INVALID,
				    "'%.*s' is neither a name (vars.x, facts.x, env.X) nor a number; "
				    "put text in quotes",
				    (int)n, c->at));
	else
		return fail(c, c->at, err_set(c->err, ERR_INVALID, "expected a value, found '%c'", *c->at));
	return fail(c, c->at, err_set(c->err, ERR_INVALID, "%s", message));
}

static int read_item(struct cond *c, struct cond_value *ret) {
	skip_space(c);
	if (*c->at == '\'' || *c->at == '"') return read_string(c, ret);
	size_t n = word_len(c);
	const char *word = arena_dup(c->arena, c->at, n);
	double number;
	if (str_eq(word, "true") || str_eq(word, "false"))
		*ret = bool_value(*word == 't');
	else if (cond_number(word, &number))
		*ret = (struct cond_value){.kind = COND_NUMBER, .number = number};
	else if (isalpha((unsigned char)*word) && strchr(word, '.')) {
		int rc = read_name(c, word, ret);
		if (rc < 0) return rc;
	} else
		return bad_item(c);
	c->at += n;
	return 0;
}

static int read_unary(struct cond *c, struct cond_value *ret) {
	skip_space(c);
	const char *start = c->at;
	bool is_not = *c->at == '!' && c->at[1] != '=', is_group = *c->at == '(';
	if (!is_not && !is_group) return read_item(c, ret);
	if (c->depth == COND_DEPTH_MAX) {
		return fail(c, start, err_set(c->err, ERR_INVALID, "nested more than %d deep", COND_DEPTH_MAX));
	}
	c->at++;
	c->depth++;
	struct cond_value v;
	int rc = is_not ? read_unary(c, &v) : read_or(c, &v);
	if (rc < 0) return rc;
	c->depth--;
	if (is_group && !take(c, ")")) {
		return fail(c, start, err_set(c->err, ERR_INVALID, "the parenthesis '(' is never closed"));
	}
	*ret = is_not ? bool_value(!cond_is_true(&v)) : v;
	return 0;
}

/* The comparison sign at the current place, longest first. */
static bool take_op(struct cond *c, enum cond_op *ret_op) {
	static const struct {
		const char *sign;
		enum cond_op op;
	} ops[] = {{"==", COND_EQ}, {"!=", COND_NE}, {"<=", COND_LE}, {">=", COND_GE}, {"<", COND_LT}, {">", COND_GT}};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (!take(c, ops[i].sign)) continue;
		*ret_op = ops[i].op;
		return true;
	}
	return false;
}

static int compare(struct cond *c, const char *place, const struct cond_value *a, enum cond_op op,
		   const struct cond_value *b, bool *ret_result) {
	*ret_result = false;
	if (c->dead) return 0;
	int rc = cond_compare(a, op, b, ret_result, c->err);
	return rc < 0 ? fail(c, place, rc) : 0;
}

static int read_list(struct cond *c, const struct cond_value *needle, bool *ret_is_in) {
	if (!take(c, "[")) return fail(c, c->at, err_set(c->err, ERR_INVALID, "expected a list [a, b] after 'in'"));
	const char *start = c->at - 1;
	*ret_is_in = false;
	if (take(c, "]")) return 0;
	for (;;) {
		struct cond_value item;
		bool is_equal;
		int rc = read_item(c, &item);
		if (rc < 0) return rc;
		rc = compare(c, c->at, needle, COND_EQ, &item, &is_equal);
		if (rc < 0) return rc;
		*ret_is_in = *ret_is_in || is_equal;
		if (take(c, "]")) return 0;
		if (!*c->at) return fail(c, start, err_set(c->err, ERR_INVALID, "the list '[' is never closed"));
		if (!take(c, ","))
			return fail(c, c->at, err_set(c->err, ERR_INVALID, "expected ',' or ']' in the list"));
	}
}

static int read_comparison(struct cond *c, struct cond_value *ret) {
	struct cond_value left = {0}, right = {0};
	int rc = read_unary(c, &left);
	if (rc < 0) return rc;
	skip_space(c);
	const char *place = c->at;
	enum cond_op op = COND_EQ;
	bool result = false;
	if (is_word(c, "in")) {
		c->at += 2;
		rc = read_list(c, &left, &result);
	} else if (take_op(c, &op)) {
		rc = read_unary(c, &right);
		if (rc == 0) rc = compare(c, place, &left, op, &right, &result);
	} else {
		*ret = left;
		return 0;
	}
	if (rc < 0) return rc;
	skip_space(c);
	place = c->at;
	if (take_op(c, &op)) {
		return fail(c, place, err_set(c->err, ERR_INVALID, "comparisons do not chain: join them with &&"));
	}
	*ret = bool_value(result);
	return 0;
}

static int read_and(struct cond *c, struct cond_value *ret) {
	int rc = read_comparison(c, ret);
	unsigned dead = c->dead;
	while (rc == 0 && take(c, "&&")) {
		struct cond_value right;
		bool left = cond_is_true(ret);
		if (!left) c->dead = dead + 1;
		rc = read_comparison(c, &right);
		if (rc == 0) *ret = bool_value(left && cond_is_true(&right));
	}
	c->dead = dead;
	return rc;
}

static int read_or(struct cond *c, struct cond_value *ret) {
	int rc = read_and(c, ret);
	unsigned dead = c->dead;
	while (rc == 0 && take(c, "||")) {
		struct cond_value right;
		bool left = cond_is_true(ret);
		if (left) c->dead = dead + 1;
		rc = read_and(c, &right);
		if (rc == 0) *ret = bool_value(left || cond_is_true(&right));
	}
	c->dead = dead;
	return rc;
}

/* What is left over after a whole condition. */
static int bad_end(struct cond *c) {
	static const struct {
		const char *found, *message;
	} table[] = {
		{"=", "'=' is written =="},    {"&", "'&' is written &&"},
		{"|", "'|' is written ||"},    {"and ", "'and' is written &&"},
		{"or ", "'or' is written ||"}, {"not in ", "'a not in [b]' is written !(a in [b])"},
		{"is ", "'is' is written =="}, {")", "a ')' without its '('"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (!str_starts(c->at, table[i].found)) continue;
		return fail(c, c->at, err_set(c->err, ERR_INVALID, "%s", table[i].message));
	}
	return fail(c, c->at, err_set(c->err, ERR_INVALID, "expected an operator or the end, found '%s'", c->at));
}

static int run(struct cond *c, bool *ret_value) {
	size_t len = strlen(c->text);
	if (len > COND_LENGTH_MAX) {
		return err_set(c->err, ERR_INVALID, "a condition of %zu bytes: at most %d", len, COND_LENGTH_MAX);
	}
	skip_space(c);
	if (!*c->at) return err_set(c->err, ERR_INVALID, "the condition is empty");
	struct cond_value v;
	int rc = read_or(c, &v);
	if (rc < 0) return rc;
	skip_space(c);
	if (*c->at) return bad_end(c);
	*ret_value = cond_is_true(&v);
	return 0;
}

static int start(const char *text, subst_lookup_fn lookup, void *arg, bool is_check, bool *ret_value,
		 size_t *ret_offset, struct err *err) {
	struct arena arena AUTO_ARENA = {0};
	struct cond c = {.text = text, .at = text, .lookup = lookup, .arg = arg, .arena = &arena, .err = err};
	c.is_check = is_check;
	c.dead = is_check; /* values may be missing, so none are compared */
	int rc = run(&c, ret_value);
	if (rc < 0 && ret_offset) *ret_offset = c.offset;
	return rc;
}

int cond_check(const char *text, subst_lookup_fn lookup, void *arg, size_t *ret_offset, struct err *err) {
	bool value;
	return start(text, lookup, arg, true, &value, ret_offset, err);
}

int cond_eval(const char *text, subst_lookup_fn lookup, void *arg, bool *ret_value, size_t *ret_offset,
	      struct err *err) {
	return start(text, lookup, arg, false, ret_value, ret_offset, err);
}
