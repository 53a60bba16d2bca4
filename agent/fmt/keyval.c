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

/* "key = value" in place: the key in lower case, or NULL if there is none or the line is a comment. */
static char *split_setting(char *line, char **ret_value) {
	char *key = str_trim(line), *value = strchr(key, '=');
	if (*key == '#' || *key == ';' || !value) return NULL;
	*value++ = '\0';
	key = str_trim(key);
	for (char *s = key; *s; s++) *s = (char)tolower((unsigned char)*s);
	*ret_value = str_trim(value);
	return *key ? key : NULL;
}

void keyval_ini(const char *data, size_t len, keyval_fn fn, void *arg) {
	char section[KEYVAL_SECTION_MAX] = "";
	char *parent AUTO_FREE = NULL; /* of nested settings */
	bool is_skipped = false;       /* after a section line that cannot be read: its keys are nobody's */
	for (;;) {
		char *line AUTO_FREE = next_line(&data, &len), *value = NULL;
		if (!line) return;
		bool is_nested = isspace((unsigned char)*line), is_section = *line == '[';
		if (is_section || !is_nested) {
			free(parent);
			parent = NULL;
		}
		if (is_section) {
			const char *name = section_name(line);
			is_skipped = !name || (size_t)snprintf(section, sizeof section, "%s", name) >= sizeof section;
		}
		const char *key =
			is_section || is_skipped || (is_nested && !parent) ? NULL : split_setting(line, &value);
		if (!key) continue;
		if (!is_nested && !*value) parent = mem_strdup(key);
		char *path AUTO_FREE = is_nested ? mem_printf("%s.%s", parent, key) : NULL;
		fn(section, path ? path : key, value, arg);
	}
}
