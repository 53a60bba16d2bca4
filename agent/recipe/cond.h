#pragma once
/*
 * `when`: == != < <= > >= && || ! in ( ), strings in single or double quotes, numbers, true, false, lists `[a, b]`
 * after `in`, and names (vars.x, facts.x, env.X) from a closed set. Text that looks like a number compares as one with
 * a number; two texts compare with == and != by bytes, with < and > as dotted versions ("22.04" < "24.04"). No
 * functions.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "fmt/subst.h"

struct arena;
struct err;

#define COND_LENGTH_MAX 1000
#define COND_DEPTH_MAX 32

/** Syntax and names. ERR_INVALID; *ret_offset is the byte in text where it goes wrong. */
CHECK_RESULT int cond_check(const char *text, subst_lookup_fn lookup, void *arg, size_t *ret_offset, struct err *err);

/** The value. Names are looked up as for ${…}. */
CHECK_RESULT int cond_eval(const char *text, subst_lookup_fn lookup, void *arg, bool *ret_value, size_t *ret_offset,
			   struct err *err);
