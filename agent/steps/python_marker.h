#pragma once
/*
 * Environment markers: the part behind ';' of a requirement (packaging.python.org, "Dependency specifiers").
 */
struct py_env;

enum py_marker { PY_MARKER_FALSE, PY_MARKER_TRUE, PY_MARKER_UNSURE, PY_MARKER_BAD };

/** Parentheses nest at most this deep. */
#define PY_MARKER_DEPTH_MAX 16

/** UNSURE when it depends on a variable that is not known here (platform_release, extra, …). */
enum py_marker py_marker_eval(const char *text, const struct py_env *env);
