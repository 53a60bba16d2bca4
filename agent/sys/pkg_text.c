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

static bool has_same_letters(const char *a, const char *b) {
	int counts[256] = {0};
	for (; *a; a++) counts[(unsigned char)*a]++;
	for (; *b; b++)
		if (--counts[(unsigned char)*b] < 0) return false;
	for (size_t i = 0; i < 256; i++)
		if (counts[i]) return false;
	return true;
}

/* Among 60,000 names many are one letter away: swapped letters are the likelier slip, then a right first letter. */
static const char *nearest_name(const char *name, const struct strs *names) {
	AUTO_STRS struct strs swapped = {0}, same_start = {0};
	for (size_t i = 0; i < names->count; i++) {
		const char *n = names->items[i];
		if (n[0] == name[0]) strs_add(&same_start, n);
		if (has_same_letters(n, name)) strs_add(&swapped, n);
	}
	const char *nearest = str_nearest(name, swapped.items, swapped.count);
	if (!nearest) nearest = str_nearest(name, same_start.items, same_start.count);
	return nearest ? nearest : str_nearest(name, names->items, names->count);
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
	const char *nearest = nearest_name(name, &names);
	return nearest ? arena_printf(m->arena, "; did you mean '%s'?", nearest) : "";
}

const char *pkg_names_text(const struct strs *names, size_t max, struct arena *arena) {
	struct strs first = *names;
	if (names->count <= max) return strs_join(names, ", ", arena);
	first.count = max;
	return arena_printf(arena, "%s and %zu more", strs_join(&first, ", ", arena), names->count - max);
}
