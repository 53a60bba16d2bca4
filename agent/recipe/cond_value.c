#include "recipe/cond_value.h"

#include <ctype.h>

#include "base/err.h"
#include "base/str.h"

/** Longest text taken for a number: more digits than a double can tell apart. */
#define COND_NUMBER_MAX 32

bool cond_number(const char *text, double *ret_number) {
	const char *s = *text == '-' ? text + 1 : text;
	size_t whole = strspn(s, "0123456789"), fraction = 0;
	if (s[whole] == '.') fraction = strspn(s + whole + 1, "0123456789");
	size_t len = whole + (s[whole] == '.' ? 1 + fraction : 0);
	if (whole == 0 || (s[whole] == '.' && fraction == 0) || s[len] || len > COND_NUMBER_MAX) return false;
	*ret_number = strtod(text, NULL); /* base/parse has whole numbers only; the form was checked above */
	return true;
}

bool cond_is_true(const struct cond_value *v) {
	switch (v->kind) {
	case COND_TEXT: return *v->text && !str_eq(v->text, "false") && !str_eq(v->text, "0");
	case COND_NUMBER: return v->number < 0 || v->number > 0;
	case COND_BOOL: return v->is_true;
	case COND_UNKNOWN: break;
	}
	return false;
}

/* Like strcmp without leading zeros, so that 09 is 9 and digits of any length compare by value. */
static int compare_digits(const char *a, size_t a_len, const char *b, size_t b_len) {
	for (; a_len > 1 && *a == '0'; a_len--) a++;
	for (; b_len > 1 && *b == '0'; b_len--) b++;
	if (a_len != b_len) return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len) {
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	if (order || a_len == b_len) return order;
	return a_len < b_len ? -1 : 1;
}

/* Dotted versions, field by field: both of digits by value, else by bytes; the shorter one first. */
static int compare_versions(const char *a, const char *b) {
	for (;;) {
		size_t a_len = strcspn(a, "."), b_len = strcspn(b, ".");
		bool is_numeric =
			a_len && b_len && strspn(a, "0123456789") == a_len && strspn(b, "0123456789") == b_len;
		int order = is_numeric ? compare_digits(a, a_len, b, b_len) : compare_bytes(a, a_len, b, b_len);
		if (order) return order;
		a += a_len;
		b += b_len;
		if (!*a || !*b) return *a ? 1 : *b ? -1 : 0;
		a++;
		b++;
	}
}

static bool holds(enum cond_op op, int order) {
	switch (op) {
	case COND_EQ: return order == 0;
	case COND_NE: return order != 0;
	case COND_LT: return order < 0;
	case COND_LE: return order <= 0;
	case COND_GT: return order > 0;
	case COND_GE: return order >= 0;
	}
	return false;
}

static bool is_equality(enum cond_op op) { return op == COND_EQ || op == COND_NE; }

/* The value as the message shows it. */
static const char *shown(const struct cond_value *v, char *buffer, size_t size) {
	if (v->kind == COND_TEXT)
		snprintf(buffer, size, "the text '%s'", v->text);
	else if (v->kind == COND_NUMBER)
		snprintf(buffer, size, "the number %.15g", v->number);
	else
		snprintf(buffer, size, "%s", v->is_true ? "true" : "false");
	return buffer;
}

static int mismatch(const struct cond_value *a, const struct cond_value *b, struct err *err) {
	char left[200], right[200];
	return err_set(err, ERR_INVALID, "%s and %s cannot be compared that way", shown(a, left, sizeof left),
		       shown(b, right, sizeof right));
}

/* A number with a number or with text that looks like one; other text is merely not equal. */
static int compare_numbers(const struct cond_value *a, enum cond_op op, const struct cond_value *b, bool *ret_result,
			   struct err *err) {
	double x = a->number, y = b->number;
	bool fits = a->kind != COND_TEXT || cond_number(a->text, &x);
	fits = (b->kind != COND_TEXT || cond_number(b->text, &y)) && fits;
	if (!fits && !is_equality(op)) return mismatch(a, b, err);
	*ret_result = fits ? holds(op, (x > y) - (x < y)) : op == COND_NE;
	return 0;
}

static int compare_bools(const struct cond_value *a, enum cond_op op, const struct cond_value *b, bool *ret_result,
			 struct err *err) {
	if (!is_equality(op) || a->kind == COND_NUMBER || b->kind == COND_NUMBER) return mismatch(a, b, err);
	const char *x = a->kind == COND_TEXT ? a->text : a->is_true ? "true" : "false";
	const char *y = b->kind == COND_TEXT ? b->text : b->is_true ? "true" : "false";
	*ret_result = str_eq(x, y) == (op == COND_EQ);
	return 0;
}

int cond_compare(const struct cond_value *a, enum cond_op op, const struct cond_value *b, bool *ret_result,
		 struct err *err) {
	if (a->kind == COND_UNKNOWN || b->kind == COND_UNKNOWN) {
		*ret_result = false; /* not looked at: cond_eval has no unknown values, cond_check no result */
		return 0;
	}
	if (a->kind == COND_BOOL || b->kind == COND_BOOL) return compare_bools(a, op, b, ret_result, err);
	if (a->kind == COND_NUMBER || b->kind == COND_NUMBER) return compare_numbers(a, op, b, ret_result, err);
	int order = is_equality(op) ? strcmp(a->text, b->text) : compare_versions(a->text, b->text);
	*ret_result = holds(op, order);
	return 0;
}
