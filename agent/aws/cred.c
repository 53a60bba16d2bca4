/*
 * References: AWS SDKs and Tools Reference Guide, "Standardized credential providers"; botocore's credentials.py for
 * the times of renewal and for going on with expired role keys while the metadata service has no newer ones.
 */
#include "aws/cred.h"

#include <ctype.h>

#include "aws/call.h"
#include "aws/cred_source.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/js.h"

#define RENEW_WANTED_S (15 * 60)
#define RENEW_NEEDED_S (10 * 60)
#define RENEW_FAILED_WAIT_S 60
#define STALE_WAIT_S (10 * 60) /* the metadata service itself has only expired keys: ask again then */
#define STALE_JITTER_S (2 * 60)
#define TRIED_MAX 1024

struct cred_chain {
	struct cred_source source;
	char **env; /* NULL-terminated copies */
	struct cred cred;
	bool has_cred;
	int64_t not_before; /* epoch seconds: no renewal is tried earlier while credentials are held */
};

void cred_wipe_str(char **secret) {
	if (*secret) explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

static void wipe(struct cred *cred) {
	cred_wipe_str(&cred->access_key);
	cred_wipe_str(&cred->secret_key);
	cred_wipe_str(&cred->session_token);
	*cred = (struct cred){0};
}

void cred_set(struct cred *cred, const char *access_key, const char *secret_key, const char *session_token) {
	if (str_is_empty(session_token)) session_token = NULL;
	log_secret_add(secret_key);
	log_secret_add(session_token);
	cred->access_key = mem_strdup(access_key);
	cred->secret_key = mem_strdup(secret_key);
	cred->session_token = mem_strdup(session_token);
}

const char *cred_env(const struct cred_source *source, const char *name) { return aws_env(source->env, name); }

bool cred_is_key(const char *s) {
	if (str_is_empty(s)) return false;
	for (; *s; s++)
		if (!isgraph((unsigned char)*s)) return false;
	return true;
}

int cred_from_json(const struct buf *text, const struct cred_names *names, struct cred *ret_cred, struct err *err) {
	AUTO_JS struct js *js = NULL;
	const char *access, *secret, *token, *expiration;
	int64_t expires_at = 0;

	if (js_parse(buf_str(text), text->len, &js, err) != 0)
		return err_set(err, ERR_INVALID, "the answer is not one JSON object");
	access = js_get_str(js, "AccessKeyId");
	secret = js_get_str(js, "SecretAccessKey");
	token = js_get_str(js, names->token);
	expiration = js_get_str(js, "Expiration");
	if (!cred_is_key(access) || !cred_is_key(secret) || (!str_is_empty(token) && !cred_is_key(token)))
		return err_set(err, ERR_INVALID, "the answer lacks a usable %s",
			       !cred_is_key(access)   ? "AccessKeyId"
			       : !cred_is_key(secret) ? "SecretAccessKey"
						      : names->token);
	if (!str_is_empty(expiration) && parse_time(expiration, &expires_at, err) != 0)
		return err_wrap(err, "Expiration");
	cred_set(ret_cred, access, secret, token);
	ret_cred->expires_at = expires_at;
	ret_cred->source = names->source;
	return 0;
}

static int from_env(const struct cred_source *source, struct cred *ret_cred, struct err *err) {
	const char *access = cred_env(source, "AWS_ACCESS_KEY_ID"), *secret = cred_env(source, "AWS_SECRET_ACCESS_KEY");
	const char *token = cred_env(source, "AWS_SESSION_TOKEN");

	if (!access && !secret) return err_set(err, ERR_NOT_FOUND, "AWS_ACCESS_KEY_ID is not set");
	if (!access || !secret)
		return err_set(err, ERR_INVALID, "%s is set but %s is not: set both, or neither",
			       access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			       access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (!cred_is_key(access) || !cred_is_key(secret) || (token && !cred_is_key(token)))
		return err_set(err, ERR_INVALID,
			       "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN holds a space or control "
			       "character");
	cred_set(ret_cred, access, secret, token);
	ret_cred->source = "environment";
	return 0;
}

/** An identity that somebody set up and that this program cannot take on: going on would use a wrong one. */
static int refuse_web_identity(const struct cred_source *source, struct cred *ret_cred, struct err *err) {
	(void)ret_cred;
	if (!cred_env(source, "AWS_WEB_IDENTITY_TOKEN_FILE") || !cred_env(source, "AWS_ROLE_ARN"))
		return err_set(err, ERR_NOT_FOUND, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	return err_set(err, ERR_INVALID,
		       "AWS_WEB_IDENTITY_TOKEN_FILE needs assume-role, which dsagent does not do: use a profile with "
		       "credential_process = aws configure export-credentials --format process");
}

static const struct {
	const char *name;
	cred_provider_fn get;
} providers[] = {
	{"environment", from_env},	    {"web identity", refuse_web_identity}, {"shared files", cred_from_files},
	{"container", cred_from_container}, {"instance role", cred_from_imds},
};

struct cred_chain *cred_chain_new(const char *const *env, struct http *http, struct imds *imds) {
	struct cred_chain *chain = mem_zalloc(sizeof *chain);
	size_t count = 0;

	while (env && env[count]) count++;
	chain->env = mem_zalloc((count + 1) * sizeof *chain->env);
	for (size_t i = 0; i < count; i++) chain->env[i] = mem_strdup(env[i]);
	chain->source = (struct cred_source){.env = (const char *const *)chain->env, .http = http, .imds = imds};
	return chain;
}

void cred_chain_free(struct cred_chain *chain) {
	if (!chain) return;
	for (size_t i = 0; chain->env[i]; i++) cred_wipe_str(&chain->env[i]);
	free(chain->env);
	wipe(&chain->cred);
	free(chain);
}

static int load(struct cred_chain *chain, struct cred *ret_cred, struct err *err) {
	AUTO_BUF struct buf tried = BUF_INIT(TRIED_MAX);

	for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
		if (providers[i].get(&chain->source, ret_cred, err) == 0) return 0;
		if (err->code != ERR_NOT_FOUND) return err_wrap(err, "AWS credentials from %s", providers[i].name);
		buf_addf(&tried, "%s%s: %.200s", i ? "; " : "", providers[i].name, err->msg);
	}
	return err_set(err, ERR_NOT_FOUND,
		       "no AWS credentials: attach an instance profile, or set AWS_ACCESS_KEY_ID and "
		       "AWS_SECRET_ACCESS_KEY (tried %s)",
		       buf_str(&tried));
}

bool cred_is_due(int64_t expires_at, int64_t not_before, int64_t now) {
	return expires_at != 0 && expires_at - now <= RENEW_WANTED_S && now >= not_before;
}

int64_t cred_rest_s(int64_t expires_at, int64_t now, uint64_t random) {
	int64_t left = expires_at - now;

	if (expires_at == 0 || left > RENEW_WANTED_S) return 0;
	return left > 0 ? left / 2 : STALE_WAIT_S + (int64_t)(random % STALE_JITTER_S);
}

bool cred_will_do(int64_t expires_at, bool is_role, int64_t now) {
	return expires_at - now > (is_role ? 0 : RENEW_NEEDED_S);
}

static void adopt(struct cred_chain *chain, const struct cred *fresh, int64_t now) {
	wipe(&chain->cred);
	chain->cred = *fresh;
	chain->has_cred = true;
	chain->not_before = now + cred_rest_s(fresh->expires_at, now, clock_random(UINT64_MAX));
}

/** Held credentials could not be renewed: whether they will do for now. */
static int go_on(struct cred_chain *chain, int64_t now, struct err *err) {
	int64_t left = chain->cred.expires_at - now;

	if (!cred_will_do(chain->cred.expires_at, str_eq(chain->cred.source, "instance role"), now))
		return err_wrap(err, "AWS credentials (%s) %s and cannot be renewed", chain->cred.source,
				left <= 0 ? "have expired" : "are about to expire");
	log_debug("AWS credentials (%s) expire in %lld s and could not be renewed: %s", chain->cred.source,
		  (long long)left, err->msg);
	chain->not_before = now + RENEW_FAILED_WAIT_S;
	err_clear(err);
	return 0;
}

int cred_get(struct cred_chain *chain, const struct cred **ret_cred, struct err *err) {
	int64_t now = clock_now_ms() / 1000;
	struct cred fresh = {0};

	if (!chain->has_cred || cred_is_due(chain->cred.expires_at, chain->not_before, now)) {
		if (load(chain, &fresh, err) == 0)
			adopt(chain, &fresh, now);
		else if (!chain->has_cred || go_on(chain, now, err) != 0)
			return -(int)err->code;
	}
	*ret_cred = &chain->cred;
	return 0;
}

static bool is_same(const struct cred *a, const struct cred *b) {
	const char *token = a->session_token ? a->session_token : "";

	return str_eq(a->access_key, b->access_key) && str_eq(token, b->session_token ? b->session_token : "");
}

bool cred_renew(struct cred_chain *chain) {
	struct cred old = chain->cred;
	const struct cred *fresh = NULL;
	struct err ignored;
	bool had_cred = chain->has_cred, has_others;

	chain->cred = (struct cred){0};
	chain->has_cred = false;
	chain->not_before = 0;
	has_others = cred_get(chain, &fresh, &ignored) == 0 && fresh && !(had_cred && is_same(&old, fresh));
	wipe(&old);
	return has_others;
}
