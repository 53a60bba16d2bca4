#include "cli/agent_url.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"

/* "20261128T205500Z" */
#define AMZ_DATE_LEN 16
/* Seven days are the most that S3 signs for. */
#define EXPIRES_MAX (7 * 24 * 60 * 60)
#define DIGITS_MAX 6

/* Before 8.9 curl signs other characters of a path wrongly. */
static bool is_plain_s3(const char *url) {
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/{}-";
	const char *path = url + strlen("s3://");
	return path[strspn(path, plain)] == '\0' && strchr(path, '/') && path[0] != '/' && !str_ends(path, "/");
}

/* The value of a parameter of the query, its end in *ret_len; NULL when there is none. */
static const char *parameter(const char *url, const char *name, size_t *ret_len) {
	const char *at = strchr(url, '?');
	while (at) {
		at++;
		size_t n = strlen(name);
		if (strncmp(at, name, n) == 0 && at[n] == '=') {
			*ret_len = strcspn(at + n + 1, "&#");
			return at + n + 1;
		}
		at = strchr(at, '&');
	}
	return NULL;
}

int64_t agent_url_ends_at(const char *url) {
	size_t date_len = 0, live_len = 0;
	const char *d = parameter(url, "X-Amz-Date", &date_len), *live = parameter(url, "X-Amz-Expires", &live_len);
	if (!d || !live || date_len != AMZ_DATE_LEN || live_len > DIGITS_MAX) return 0;
	char date[CLOCK_ISO8601_SIZE], digits[DIGITS_MAX + 1];
	int64_t signed_at = 0, live_s = 0;
	struct err ignored = {0}; /* what we cannot read S3 will judge */
	(void)snprintf(date, sizeof date, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", d, d + 4, d + 6, d + 9, d + 11, d + 13);
	(void)snprintf(digits, sizeof digits, "%.*s", (int)live_len, live);
	if (parse_time(date, &signed_at, &ignored) || parse_i64(digits, 1, EXPIRES_MAX, &live_s, &ignored)) return 0;
	return signed_at + live_s;
}

const char *agent_url_check(const char *url, struct arena *arena) {
	char text[CLOCK_ISO8601_SIZE];
	size_t len = 0;
	if (!str_starts(url, "s3://") && !str_starts(url, "https://"))
		return "--agent is ami, s3://BUCKET/KEY or https://...";
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("'\"\\`$", *p))
			return "--agent: an address has no blanks, quotes, dollars or letters beyond ASCII";
	if (str_starts(url, "s3://"))
		return is_plain_s3(url)
			       ? NULL
			       : "--agent: s3://BUCKET/KEY with a key of letters, digits and . _ - / alone, which "
				 "every curl signs well";
	if (strstr(url, "{arch}") && parameter(url, "X-Amz-Signature", &len))
		return "--agent: a presigned address is signed for one file, and {arch} in it is no part of that "
		       "file's name: presign the program of one architecture, or use s3://";
	int64_t ends_at = agent_url_ends_at(url);
	if (ends_at && ends_at * 1000 <= clock_now_ms())
		return arena_printf(arena, "--agent: this presigned address has ended at %s: presign it anew",
				    clock_iso8601(ends_at * 1000, text));
	return NULL;
}
