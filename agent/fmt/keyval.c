#include "fmt/keyval.h"

#include <ctype.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/** Longest section name, "profile some-name". */
#define KEYVAL_SECTION_MAX 256

/* A copy of the next line without its end, or NULL at the end of data. The caller frees. */
static char *next_line(const char **data, size_t *len) {
	if (*len == 0) return NULL;
	const char *end = memchr(*data, '\n', *len);
	size_t n = end ? (size_t)(end - *data) : *len;
	char *line = mem_dup(*data, n);
	size_t used = end ? n + 1 : n;
	*data += used;
	*len -= used;
	return line;
}

/* The value of os-release(5) in place: quotes off, backslash escapes of double quotes undone; false if not closed. */
static bool unquote(char *value) {
	char quote = *value;
	if (quote != '"' && quote != '\'') return true;
	char *to = value;
	for (const char *s = value + 1; *s; s++) {
		if (*s == quote) {
			*to = '\0';
			return s[1] == '\0';
		}
		if (quote == '"' && *s == '\\' && s[1]) s++;
		*to++ = *s;
	}
	return false;
}

static bool is_key(const char *key) {
	for (const char *s = key; *s; s++) {
		if (!isalnum((unsigned char)*s) && *s != '_') return false;
	}
	return *key != '\0';
}

void keyval_os_release(const char *data, size_t len, keyval_fn fn, void *arg) {
	for (;;) {
		char *line AUTO_FREE = next_line(&data, &len);
		if (!line) return;
		char *key = str_trim(line), *value = strchr(key, '=');
		if (*key == '#' || !value) continue;
		*value++ = '\0';
		if (is_key(key) && unquote(value)) fn("", key, value, arg);
	}
}

/* "[name]" in place: its name, or NULL if it is not closed. */
static char *section_name(char *line) {
	char *end = strchr(line, ']');
	if (!end) return NULL;
	*end = '\0';
	return str_trim(line + 1);
}

void keyval_ini(const char *data, size_t len, keyval_fn fn, void *arg) {
	char section[KEYVAL_SECTION_MAX] = "";
	bool is_skipped = false; /* after a section line that cannot be read: its keys are nobody's */
	for (;;) {
		char *line AUTO_FREE = next_line(&data, &len);
		if (!line) return;
		if (isspace((unsigned char)*line) || *line == '#' || *line == ';' || !*line) continue;
		if (*line == '[') {
			const char *name = section_name(line);
			is_skipped = !name || (size_t)snprintf(section, sizeof section, "%s", name) >= sizeof section;
			continue;
		}
		char *value = strchr(line, '=');
		if (!value || is_skipped) continue;
		*value++ = '\0';
		char *key = str_trim(line);
		for (char *s = key; *s; s++) *s = (char)tolower((unsigned char)*s);
		if (*key) fn(section, key, str_trim(value), arg);
	}
}
