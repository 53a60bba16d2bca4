#pragma once
/*
 * `${scope.name}` in text. No nesting, no filters, no defaults; `$${` stands for a literal `${`; a `$` not before `{`
 * is itself.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;

/**
 * The value of name ("vars.bucket"), or NULL after filling err with why it is unknown. is_known_later: the name is fine
 * but has no value in this run (validate): subst_expand then leaves the reference as it stands.
 */
typedef const char *(*subst_lookup_fn)(const char *name, void *arg, bool *ret_is_known_later, struct err *err);

/** True if text holds a reference. */
bool subst_has(const char *text);

/** Expands into the arena. ERR_INVALID: "${vars.x": no closing brace, bad name, or the lookup's own reason; *ret_offset
 *  (may be NULL) is the byte where the offending reference starts. */
CHECK_RESULT int subst_expand(const char *text, subst_lookup_fn lookup, void *arg, struct arena *arena,
			      const char **ret_text, size_t *ret_offset, struct err *err);
