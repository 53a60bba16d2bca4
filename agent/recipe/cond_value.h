#pragma once
/*
 * Values of conditions and how they compare: the table of what goes with what.
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct err;

enum cond_kind { COND_TEXT, COND_NUMBER, COND_BOOL, COND_UNKNOWN };

struct cond_value {
	enum cond_kind kind; /* COND_UNKNOWN: no value in this run (validate); compares with anything */
	const char *text;    /* COND_TEXT; borrowed */
	double number;
	bool is_true; /* COND_BOOL */
};

enum cond_op { COND_EQ, COND_NE, COND_LT, COND_LE, COND_GT, COND_GE };

/** True for digits with an optional '-' in front and an optional fraction; their value. */
bool cond_number(const char *text, double *ret_number);

/** Truth of a value alone: false are false, 0, and the texts "", "false" and "0". */
bool cond_is_true(const struct cond_value *v);

/** ERR_INVALID when the two cannot be compared that way. */
CHECK_RESULT int cond_compare(const struct cond_value *a, enum cond_op op, const struct cond_value *b, bool *ret_result,
			      struct err *err);
