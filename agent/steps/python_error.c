/*
 * What pip and uv print when they fail, and what it means. pip says "No matching distribution" for a refused connection
 * too (testing.md 5), so trouble with the network is looked for first.
 */
#include "base/err.h"
#include "base/mem.h"
#include "recipe/step.h"
#include "steps/python.h"

struct match {
	const char *text; /* white space runs made one blank */
	const struct py_failure *f;
	struct arena *arena;
};

/* uv breaks its sentences at the width of a terminal. */
static const char *one_line(const char *output, struct arena *arena) {
	char *text = arena_strdup(arena, output), *to = text;
	for (const char *from = text; *from; from++) {
		bool is_space = strchr(" \t\r\n", *from);
		if (is_space && to > text && to[-1] == ' ') continue;
		*to++ = is_space ? ' ' : *from;
	}
	*to = 0;
	return text;
}

/* The word between prefix and the first of the ends, or NULL. The last such place counts. */
static const char *between(const char *text, const char *prefix, const char *ends, struct arena *arena) {
	const char *found = NULL;
	for (const char *at = text; (at = strstr(at, prefix)); at += strlen(prefix)) found = at + strlen(prefix);
	if (!found) return NULL;
	size_t len = strcspn(found, ends);
	return len && len < 200 ? arena_dup(arena, found, len) : NULL;
}

/* The line that holds word, trimmed and cut. */
static const char *line_with(const char *output, const char *word, struct arena *arena) {
	const char *at = strstr(output, word);
	if (!at) return "";
	while (at > output && at[-1] != '\n') at--;
	size_t len = strcspn(at, "\n");
	return str_trim(arena_dup(arena, at, len < 300 ? len : 300));
}

static int explain_space(const struct match *m, struct err *err) {
	static const char *const signs[] = {"No space left on device", "os error 28", "Disk quota exceeded", NULL};
	bool is_full = err->code == ERR_NO_SPACE;
	for (int i = 0; signs[i] && !is_full; i++) is_full = strstr(m->text, signs[i]);
	if (!is_full) return 0;
	const char *left =
		m->f->free_bytes >= 0 ? str_bytes((unsigned long long)m->f->free_bytes, m->arena) : "no room";
	return err_set(err, ERR_NO_SPACE, "the disk of %s is full (%s free): make room or use a larger volume",
		       m->f->venv, left);
}

static int explain_memory(const struct match *m, struct err *err) {
	if (err->code != ERR_NO_MEMORY && !strstr(m->text, "MemoryError") && !strstr(m->text, "os error 12")) return 0;
	return err_set(err, ERR_NO_MEMORY,
		       "out of memory%s%s: the kernel ended %s; add swap (`system` step) or use a larger instance type",
		       m->f->last_package[0] ? " while installing " : "", m->f->last_package, m->f->tool);
}

static int explain_network(const struct match *m, struct err *err) {
	static const char *const certificate[] = {"CERTIFICATE_VERIFY_FAILED", "invalid peer certificate",
						  "certificate verify failed", NULL};
	static const char *const signs[] = {"dns error",
					    "error sending request for url",
					    "Failed to establish a new connection",
					    "NewConnectionError",
					    "Temporary failure in name resolution",
					    "Name or service not known",
					    "ConnectTimeoutError",
					    "ReadTimeoutError",
					    "ProxyError",
					    "Connection reset",
					    "Could not connect",
					    "operation timed out",
					    "Connection refused",
					    "Network is unreachable",
					    "503 Server Error",
					    "502 Bad Gateway",
					    "HTTP status server error",
					    NULL};
	for (int i = 0; certificate[i]; i++)
		if (strstr(m->text, certificate[i]))
			return err_set(
				err, ERR_NET,
				"the package index's certificate is not trusted here: set PIP_CERT or SSL_CERT_FILE "
				"to your CA bundle (%s)",
				line_with(m->f->output, certificate[i], m->arena));
	for (int i = 0; signs[i]; i++) {
		if (!strstr(m->text, signs[i])) continue;
		const char *at = strstr(m->text, signs[i]);
		size_t len = strcspn(at, "'`");
		const char *line = arena_dup(m->arena, at, len < 200 ? len : 200);
		int r = err_set(err, ERR_NET, "the package index or its files cannot be reached: %s", line);
		err->is_retryable = true;
		return r;
	}
	return 0;
}

/* "Because NAME was not found in the package registry", "Because there is no version of NAME and you require NAME". */
static const char *uv_missing(const struct match *m) {
	static const char unknown[] = " was not found in the package registry";
	const char *end = strstr(m->text, unknown), *start = end;
	if (end) {
		while (start > m->text && start[-1] != ' ') start--;
		return arena_dup(m->arena, start, (size_t)(end - start));
	}
	const char *what = between(m->text, "Because there is no version of ", " ,", m->arena);
	if (!what || !strstr(m->text, arena_printf(m->arena, "and you require %s", what))) return NULL;
	return what;
}

/* pip lists what there is in ascending order: "(from versions: 1.0, 1.1)". */
static int explain_missing(const struct match *m, struct err *err) {
	const char *what = between(m->text, "No matching distribution found for ", " ", m->arena);
	const char *versions = between(m->text, "(from versions: ", ")", m->arena);
	const char *start = strstr(m->text, "(from versions: ");
	if (what && start && !versions) { /* a long list */
		size_t len = strcspn(start, ")");
		versions = arena_dup(m->arena, start + strlen("(from versions: "), len - strlen("(from versions: "));
	}
	if (what && versions && !str_eq(versions, "none")) {
		const char *comma = strrchr(versions, ',');
		return err_set(err, ERR_NOT_FOUND, "no matching distribution for %s: the newest for Python %s is %s",
			       what, m->f->python, comma ? comma + 2 : versions);
	}
	if (!what) what = uv_missing(m);
	if (!what) return 0;
	if (strstr(m->text, "there is no version of "))
		return err_set(err, ERR_NOT_FOUND, "no matching distribution for %s for Python %s", what, m->f->python);
	return err_set(err, ERR_NOT_FOUND,
		       "the package index has no '%s' for Python %s on this machine: check the spelling", what,
		       m->f->python);
}

static int explain_conflict(const struct match *m, struct err *err) {
	const char *uv = strstr(m->text, "Because ");
	if (uv && strstr(m->text, "unsatisfiable")) {
		const char *hint = strstr(uv, " hint: ");
		size_t len = hint ? (size_t)(hint - uv) : strlen(uv);
		return err_set(err, ERR_INVALID, "the requirements cannot be met: %.*s", (int)(len < 600 ? len : 600),
			       uv);
	}
	if (!strstr(m->text, "ResolutionImpossible")) return 0;
	const char *cause = strstr(m->text, "The conflict is caused by:");
	if (!cause) cause = "pip found a conflict";
	const char *end = strstr(cause, " To fix this");
	size_t len = end ? (size_t)(end - cause) : strlen(cause);
	return err_set(err, ERR_INVALID, "the requirements exclude each other. %.*s", (int)(len < 600 ? len : 600),
		       cause);
}

/* The package that did not build, or NULL. */
static const char *unbuilt(const struct match *m) {
	const char *name = between(m->text, "Failed building wheel for ", " ", m->arena);
	if (!name) name = between(m->text, "Failed to build `", "`", m->arena);
	if (!name && strstr(m->text, "legacy-install-failure"))
		name = between(m->text, "Encountered error while trying to install package. ╰─> ", " ", m->arena);
	if (!name && strstr(m->text, "metadata-generation-failed")) name = m->f->last_package;
	return name ? name : between(m->text, "Failed to build ", " ", m->arena);
}

static int explain_build(const struct match *m, struct err *err) {
	static const char *const compiler[] = {"cc' failed: No such file",
					       "++' failed: No such file",
					       "cc: not found",
					       "g++: not found",
					       "No such file or directory: 'gcc'",
					       "No such file or directory: 'cc'",
					       "Unknown compiler",
					       "fatal error: Python.h",
					       NULL};
	const char *name = unbuilt(m);
	if (!name) return 0;
	for (int i = 0; compiler[i]; i++) {
		if (!strstr(m->text, compiler[i])) continue;
		return err_set(
			err, ERR_COMMAND,
			"'%s' has no wheel for this machine and could not be built: a compiler or Python's headers are "
			"missing; add a `packages` step with gcc, gcc-c++ or g++, and python3-devel or python3-dev "
			"(%s)",
			name, line_with(m->f->output, compiler[i], m->arena));
	}
	static const char *const telling[] = {"fatal error: ", "error: command ", "Error: ", "error: ", NULL};
	const char *line = "";
	for (int i = 0; telling[i] && !line[0]; i++) line = line_with(m->f->output, telling[i], m->arena);
	return err_set(err, ERR_COMMAND, "'%s' has no wheel for this machine and could not be built: %s", name, line);
}

int py_explain(const struct py_failure *failure, struct arena *arena, struct err *err) {
	struct match m = {one_line(failure->output, arena), failure, arena};
	int (*const explanations[])(const struct match *, struct err *) = {
		explain_memory, explain_space, explain_network, explain_missing, explain_conflict, explain_build};
	if (err->code == ERR_TIMEOUT || err->code == ERR_CANCELLED || err->code == ERR_NOT_FOUND)
		return -(int)err->code;
	for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++) {
		int r = explanations[i](&m, err);
		if (r < 0) return r;
	}
	return -(int)err->code;
}

const char *py_library_hint(const char *message, struct arena *arena) {
	/* Shared libraries that wheels expect of the system. */
	static const struct {
		const char *library, *apt, *dnf;
	} known[] = {
		{"libgomp.so.1", "libgomp1", "libgomp"},
		{"libGL.so.1", "libgl1", "mesa-libGL"},
		{"libgthread-2.0.so.0", "libglib2.0-0", "glib2"},
		{"libglib-2.0.so.0", "libglib2.0-0", "glib2"},
		{"libSM.so.6", "libsm6", "libSM"},
		{"libXext.so.6", "libxext6", "libXext"},
		{"libXrender.so.1", "libxrender1", "libXrender"},
		{"libgfortran.so.5", "libgfortran5", "libgfortran"},
		{"libopenblas.so.0", "libopenblas0", "openblas"},
		{"libpq.so.5", "libpq5", "libpq"},
		{"libodbc.so.2", "libodbc2", "unixODBC"},
		{"libsndfile.so", "libsndfile1", "libsndfile"},
		{"libcuda.so.1", "the NVIDIA driver (`nvidia` step)", "the NVIDIA driver (`nvidia` step)"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!strstr(message, known[i].library)) continue;
		if (str_eq(known[i].apt, known[i].dnf)) return arena_printf(arena, "install %s", known[i].apt);
		return arena_printf(arena, "install %s (apt) or %s (dnf)", known[i].apt, known[i].dnf);
	}
	return NULL;
}
