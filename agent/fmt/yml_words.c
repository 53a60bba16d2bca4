#include "fmt/yml_words.h"

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* libyaml 0.2.5, scanner.c and parser.c; context NULL: any. First fit wins. */
static const struct {
	const char *problem, *context, *message;
	bool names_context; /* add where the unfinished thing begins */
} table[] = {
	{"found a tab character", NULL, "a tab cannot indent YAML: use spaces", false},
	{"mapping values are not allowed", NULL,
	 "':' is not allowed here: put text that holds ': ' in quotes, or mend the indentation", false},
	{"block sequence entries are not allowed", NULL,
	 "a list cannot begin here: put its first '-' on a line of its own, or mend the indentation", false},
	{"could not find expected ':'", NULL,
	 "there is no ':' after this key, or the line before is not indented alike", false},
	{"did not find expected key", "while parsing a block mapping",
	 "expected a key in line with the others of this map: mend the indentation", true},
	{"did not find expected '-' indicator", NULL,
	 "expected '- ' in line with the other items of this list: mend the indentation", true},
	{"did not find expected ',' or ']'", NULL, "expected ',' or ']' to go on with or end a list", true},
	{"did not find expected ',' or '}'", NULL, "expected ',' or '}' to go on with or end a map", true},
	{"found unexpected end of stream", "while scanning a quoted scalar", "a quote is never closed", true},
	{"found unexpected document indicator", "while scanning a quoted scalar", "a quote is never closed", true},
	{"found unknown escape character", NULL,
	 "no such escape: in double quotes a backslash is written \\\\, in single quotes it stands for itself", false},
	{"did not find expected <document start>", NULL,
	 "text after the end of the document: is the line indented like the others?", false},
};

char yml_char_at(const char *data, size_t len, size_t line, size_t column) {
	size_t i = 0;
	for (; i < len && line > 0; i++) {
		if (data[i] == '\n' || (data[i] == '\r' && !(i + 1 < len && data[i + 1] == '\n'))) line--;
	}
	for (; i < len && column > 0; column--) {
		do i++;
		while (i < len && ((unsigned char)data[i] & 0xc0) == 0x80);
	}
	return i < len ? data[i] : '\0';
}

static const char *with_context(const char *message, const char *context, unsigned line, struct arena *arena) {
	return arena_printf(arena, "%s (%s that begins on line %u)", message, context, line);
}

const char *yml_problem(const char *problem, const char *context, unsigned context_line, char at, struct arena *arena) {
	if (!problem) return "not YAML";
	if (str_starts(problem, "found character that cannot start any token")) {
		if (at == '\t') return "a tab cannot indent YAML: use spaces";
		return arena_printf(arena, "text cannot begin with '%c': put it in quotes", at);
	}
	if (at == '{' && (str_starts(problem, "did not find expected ',' or '}'") ||
			  str_starts(problem, "did not find expected ',' or ']'")))
		return "between { } or [ ], text with ${…} in it needs quotes: \"s3://${vars.bucket}/data\"";
	bool is_node_missing = str_starts(problem, "did not find expected key") ||
			       str_eq(problem, "did not find expected node content");
	if (is_node_missing && at == ':') return "a key is missing before ':'";
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (!str_starts(problem, table[i].problem)) continue;
		if (table[i].context && !str_eq(table[i].context, context)) continue;
		if (!table[i].names_context || !context) return table[i].message;
		return with_context(table[i].message, context, context_line, arena);
	}
	return context ? with_context(problem, context, context_line, arena) : arena_strdup(arena, problem);
}
