#pragma once
/*
 * Versions and version specifiers of Python packages (packaging.python.org, "Version specifiers", formerly PEP 440).
 * Pure; numbers are capped at 18 digits, release segments at PY_RELEASE_MAX.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PY_RELEASE_MAX 8
#define PY_LOCAL_MAX 64

struct py_version {
	int64_t epoch, release[PY_RELEASE_MAX], pre, post, dev;
	size_t release_count;
	char pre_kind; /* 'a', 'b', 'c' (rc), or 0: none */
	bool has_post, has_dev;
	char local[PY_LOCAL_MAX]; /* lower case, segments joined by '.', or "" */
};

/** Reads the len bytes as one version, in any of the spellings that are accepted ("1.0-rc.1", "v2", "1.0+cu128"). */
bool py_version_parse(const char *text, size_t len, struct py_version *ret_version);

/** Below 0, 0 or above 0 as a sorts before, with or after b; local labels count. */
int py_version_compare(const struct py_version *a, const struct py_version *b);

enum py_match { PY_MATCH_NO, PY_MATCH_YES, PY_MATCH_BAD_SPECIFIER };

/** Whether the version (as text) fulfils "…,…" specifiers such as ">=1.2,<2,!=1.5"; "" is fulfilled by any. */
enum py_match py_version_match(const char *specifiers, const char *version);
