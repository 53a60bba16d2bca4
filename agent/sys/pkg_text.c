#include "base/err.h"
#include "sys/pkg_impl.h"

const char *pkg_line_with(const char *output, const char *text, struct arena *arena) {
	const char *at = strstr(output, text);
	if (!at) return NULL;
	while (at > output && at[-1] != '\n') at--;
	return str_trim(arena_dup(arena, at, strcspn(at, "\n")));
}

const char *pkg_between(const char *output, const char *before, const char *after, struct arena *arena) {
	for (const char *at = strstr(output, before); at; at = strstr(at, before)) {
		at += strlen(before);
		const char *end = *after ? strstr(at, after) : at + strcspn(at, "\n");
		size_t line = strcspn(at, "\n");
		if (end && end > at && (size_t)(end - at) <= line) return arena_dup(arena, at, (size_t)(end - at));
	}
	return NULL;
}

const char *pkg_did_you_mean(const struct machine *m, const char *name, const char *const *argv,
			     const char *const *env) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	AUTO_STRS struct strs names = {0};
	struct err ignored; /* no hint is no failure */
	if (pkg_ask(m, argv, env, &result, &ignored) || !result.out.data) return "";
	char *line = result.out.data;
	while (line && *line) {
		char *end = strchr(line, '\n');
		if (end) *end++ = '\0';
		if (*line) strs_add(&names, line);
		line = end;
	}
	const char *nearest = str_nearest(name, names.items, names.count);
	return nearest ? arena_printf(m->arena, "; did you mean '%s'?", nearest) : "";
}

const char *pkg_names_text(const struct strs *names, size_t max, struct arena *arena) {
	struct strs first = *names;
	if (names->count <= max) return strs_join(names, ", ", arena);
	first.count = max;
	return arena_printf(arena, "%s and %zu more", strs_join(&first, ", ", arena), names->count - max);
}
