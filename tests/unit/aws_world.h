#pragma once
/*
 * A struct aws whose every endpoint is one scripted loopback server, and a clock that stands at 2013-05-24T00:00:00Z
 * (DSAGENT_NOW, set by aws_world_pin_clock before anything reads it).
 */
#include "aws/call.h"
#include "aws/cred.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "io/http.h"
#include "loopback.h"

#define AWS_WORLD_ENV_MAX 8

struct aws_world {
	struct lo lo;
	struct arena arena;
	struct aws aws;
	const char *env[AWS_WORLD_ENV_MAX + 1];
};

static inline void aws_world_pin_clock(void) { setenv("DSAGENT_NOW", "1369353600", 1); }

/** template with each $URL and $HOST replaced. */
static inline const char *aws_world_fill(const char *template, const char *url, struct arena *arena) {
	struct buf out = BUF_INIT(65536);
	const char *text;

	for (const char *p = template; *p;) {
		if (str_starts(p, "$URL")) {
			buf_adds(&out, url);
			p += 4;
		} else if (str_starts(p, "$HOST")) {
			buf_adds(&out, url + strlen("http://"));
			p += 5;
		} else {
			buf_addc(&out, *p++);
		}
	}
	text = arena_strdup(arena, buf_str(&out));
	buf_clear(&out);
	return text;
}

/** env: further variables, NULL-terminated; keys are put in the environment unless has_keys is false. */
static inline void aws_world_start(struct aws_world *w, const struct lo_row *script, const char *const *env,
				   bool has_keys) {
	struct err err;
	size_t n = 0;

	*w = (struct aws_world){0};
	lo_start(&w->lo, script);
	w->env[n++] = aws_world_fill("AWS_ENDPOINT_URL=$URL", w->lo.url, &w->arena);
	if (has_keys) w->env[n++] = "AWS_ACCESS_KEY_ID=AKIDEXAMPLE";
	if (has_keys) w->env[n++] = "AWS_SECRET_ACCESS_KEY=secret-key";
	for (size_t i = 0; env && env[i] && n < AWS_WORLD_ENV_MAX; i++)
		w->env[n++] = aws_world_fill(env[i], w->lo.url, &w->arena);
	if (http_open(&w->aws.http, &err) != 0) abort();
	w->aws.env = w->env;
	w->aws.region = "us-east-1";
	w->aws.creds = cred_chain_new(w->env, w->aws.http, NULL);
}

/** Requests stay readable until aws_world_clear. */
static inline void aws_world_stop(struct aws_world *w) {
	cred_chain_free(w->aws.creds);
	http_close(w->aws.http);
	lo_stop(&w->lo);
}

static inline void aws_world_clear(struct aws_world *w) {
	lo_clear(&w->lo);
	arena_clear(&w->arena);
	log_secrets_clear();
}
