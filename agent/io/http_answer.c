/* What an answer's headers say. Pure. */
#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "io/http.h"

void http_response_clear(struct http_response *response) {
	if (!response) return;
	buf_clear(&response->body);
	buf_clear(&response->headers);
	response->status = 0;
}

const char *http_header_at(const struct http_response *response, const char *name, size_t *ret_len) {
	size_t name_len = strlen(name);

	for (const char *line = buf_str(&response->headers); *line;) {
		const char *end = strchr(line, '\n');

		if (!end) end = line + strlen(line);
		if ((size_t)(end - line) > name_len && line[name_len] == ':' &&
		    strncasecmp(line, name, name_len) == 0) {
			const char *value = line + name_len + 1, *last = end;

			while (value < last && isspace((unsigned char)*value)) value++;
			while (last > value && isspace((unsigned char)last[-1])) last--;
			*ret_len = (size_t)(last - value);
			return value;
		}
		line = *end ? end + 1 : end;
	}
	return NULL;
}

char *http_header(const struct http_response *response, const char *name) {
	size_t len;
	const char *value = http_header_at(response, name, &len);

	return value ? mem_dup(value, len) : NULL;
}
