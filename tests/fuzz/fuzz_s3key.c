/*
 * Keys from outside, patterns, URLs. A key that may become a path has parts that lead nowhere else; a folder that is
 * passed over holds nothing that is kept.
 */
#include <limits.h>
#include <string.h>

#include "aws/s3filter.h"
#include "aws/s3key.h"
#include "aws/s3url.h"
#include "base/arena.h"
#include "base/err.h"
#include "fuzz.h"

static void check_parts(const char *key) {
	FUZZ_CLAIM(key[0] && key[0] != '/');
	for (const char *part = key; *part;) {
		size_t n = strcspn(part, "/");
		FUZZ_CLAIM(n > 0 && n <= NAME_MAX);
		FUZZ_CLAIM(!(n == 1 && part[0] == '.') && !(n == 2 && part[0] == '.' && part[1] == '.'));
		part += n + (part[n] == '/');
	}
}

/* First line: the key; the others: "+PATTERN" or "-PATTERN". */
static void check_filter(const char *key, char *lines, struct arena *arena) {
	struct s3rule rules[8];
	struct s3filter filter = {rules, 0};
	char *save = NULL;

	for (char *line = strtok_r(lines, "\n", &save); line && filter.count < 8; line = strtok_r(NULL, "\n", &save))
		rules[filter.count++] = (struct s3rule){line + 1, line[0] == '+'};
	if (s3filter_prunes(&filter, arena_printf(arena, "%s/", key))) {
		FUZZ_CLAIM(!s3filter_keeps(&filter, arena_printf(arena, "%s/x", key)));
		FUZZ_CLAIM(!s3filter_keeps(&filter, arena_printf(arena, "%s/a/b.txt", key)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	AUTO_FREE char *text = fuzz_text(data, len < 4096 ? len : 4096);
	AUTO_ARENA struct arena arena = {0};
	struct s3url url;
	struct err err = {0};
	size_t n = strcspn(text, "\n");
	char *rest = text + n + (text[n] != '\0');

	text[n] = '\0';
	if (s3key_check(text, &err) == 0) check_parts(text);
	if (s3url_parse(text, &arena, &url, &err) == 0) FUZZ_CLAIM(url.bucket[0] && !strchr(url.bucket, '/'));
	check_filter(text, rest, &arena);
	return 0;
}
