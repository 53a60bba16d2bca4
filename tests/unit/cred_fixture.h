#pragma once
/* Files below a HOME of the test, and how credentials are written down here. */
#include <ftw.h>
#include <sys/stat.h>

#include "aws/cred.h"
#include "aws/cred_source.h"
#include "aws/imds.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "io/http.h"
#include "loopback.h"

#define ENV_MAX 8
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"

static char dir[] = "/tmp/cred_test.XXXXXX";

static inline void write_file(const char *name, const char *text, mode_t mode) {
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/** template with each $DIR and $URL replaced. */
static inline const char *fill(const char *template, const char *url, struct arena *arena) {
	struct buf out = BUF_INIT(8192);
	const char *text;

	for (const char *p = template; *p;) {
		if (str_starts(p, "$DIR")) {
			buf_adds(&out, dir);
			p += 4;
		} else if (str_starts(p, "$URL")) {
			buf_adds(&out, url);
			p += 4;
		} else {
			buf_addc(&out, *p++);
		}
	}
	text = arena_strdup(arena, buf_str(&out));
	buf_clear(&out);
	return text;
}

/** "access secret token expires source" */
static inline const char *words(const struct cred *c, struct arena *arena) {
	return arena_printf(arena, "%s %s %s %lld %s", c->access_key, c->secret_key,
			    c->session_token ? c->session_token : "-", (long long)c->expires_at, c->source);
}

static inline struct http *open_http(void) {
	struct http *http = NULL;
	struct err err;

	assert_int_equal(http_open(&http, &err), 0);
	return http;
}

static inline int make_dir(void **state) {
	char path[256];

	(void)state;
	if (!mkdtemp(dir)) return -1;
	(void)snprintf(path, sizeof path, "%s/.aws", dir);
	return mkdir(path, 0700);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline int remove_dir(void **state) {
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
