#pragma once
/*
 * Requirements as pip reads them: one line (packaging.python.org, "Dependency specifiers", formerly PEP 508) and
 * requirements files (pip, "Requirements File Format"). Only what is needed to compare them with what is installed;
 * the resolver gets the original text. Limits: files of 1 MB, 5000 lines in all, `-r` 8 deep.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct err;
struct fs_root;

struct py_req {
	const char *name;  /* normalised ("scikit-learn"), "" when only the resolver can tell (a path, a URL, -e) */
	const char *text;  /* as written, without comment and pip options */
	const char *specs; /* ">=1.0,<2" or "" */
	bool is_needed;	   /* its marker is true here */
	bool is_unsure;	   /* its marker is beyond us: whether it is needed, only the resolver can tell */
	bool is_direct;	   /* `name @ url`: presence can be told, the version cannot */
};

struct py_reqs {
	struct py_req *items;
	size_t count, cap;
	bool has_absent_file; /* a requirements file that is not there (yet) */
};

/** What markers are about. Texts such as "3.11", "3.11.2", "x86_64". */
struct py_env {
	const char *version, *full_version, *machine;
};

#define PY_REQS_MAX 5000

/** Lower case, runs of "-", "_" and "." as one "-" (the simple repository API's "Normalized Names"). */
const char *py_normalise(const char *name, size_t len, struct arena *arena);

/** One requirement without comment. ERR_INVALID says where it goes wrong. */
CHECK_RESULT int py_req_parse(const char *text, const struct py_env *env, struct arena *arena, struct py_req *ret_req,
			      struct err *err);

/**
 * Adds all of a requirements text; `-r other` is read below root, relative to dir (NULL: refused). Everything that was
 * read is added to all_text, for hashing. A file that is absent sets has_absent_file.
 */
CHECK_RESULT int py_reqs_add_text(struct py_reqs *reqs, const char *label, const char *text, const char *dir,
				  const struct fs_root *root, const struct py_env *env, struct buf *all_text,
				  struct arena *arena, struct err *err);
CHECK_RESULT int py_reqs_add_file(struct py_reqs *reqs, const char *path, const struct fs_root *root,
				  const struct py_env *env, struct buf *all_text, struct arena *arena, struct err *err);
