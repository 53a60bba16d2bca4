#pragma once
/*
 * The providers behind aws/cred, for that module alone. Each returns 0 with credentials in *ret_cred, ERR_NOT_FOUND
 * when it is not set up here (the text says why; the chain goes on), or another error when it is set up and does not
 * work.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct buf;
struct cred;
struct err;
struct http;
struct imds;

/** What the providers may use; env is the chain's own copy. */
struct cred_source {
	const char *const *env; /* NULL-terminated "K=V" */
	struct http *http;
	struct imds *imds; /* may be NULL */
};

typedef int (*cred_provider_fn)(const struct cred_source *source, struct cred *ret_cred, struct err *err);

CHECK_RESULT int cred_from_files(const struct cred_source *source, struct cred *ret_cred, struct err *err);
CHECK_RESULT int cred_from_container(const struct cred_source *source, struct cred *ret_cred, struct err *err);
CHECK_RESULT int cred_from_imds(const struct cred_source *source, struct cred *ret_cred, struct err *err);

/** The names that one JSON form of credentials gives to its members. */
struct cred_names {
	const char *token;  /* "SessionToken" or "Token" */
	const char *source; /* becomes cred.source */
};

/**
 * Binds AccessKeyId, SecretAccessKey, the token and Expiration (which may be absent). The text is secret: no message
 * quotes it.
 */
CHECK_RESULT int cred_from_json(const struct buf *text, const struct cred_names *names, struct cred *ret_cred,
				struct err *err);

/** True for what may go into a header line: visible ASCII, at least one byte. NULL is none. */
bool cred_is_key(const char *s);

/** Keeps copies, registered with the log as secrets; the token may be NULL or empty. */
void cred_set(struct cred *cred, const char *access_key, const char *secret_key, const char *session_token);

/** Wipes and frees one secret string; NULL is fine. */
void cred_wipe_str(char **secret);
#define AUTO_SECRET AUTO(cred_wipe_str)

/** The value of NAME in env; NULL if absent or empty. */
const char *cred_env(const struct cred_source *source, const char *name);

/** When to renew, pure: true when held credentials should be asked for anew. not_before: see cred_rest_s. */
bool cred_is_due(int64_t expires_at, int64_t not_before, int64_t now);

/**
 * Seconds to leave the source alone after it gave credentials that are due from the start: half of what is left, or 10
 * to 12 minutes when they have expired already (the source has no newer ones). 0 for others.
 */
int64_t cred_rest_s(int64_t expires_at, int64_t now, uint64_t random);

/** True when held credentials are still good enough after a renewal failed: a role's to the last second. */
bool cred_will_do(int64_t expires_at, bool is_role, int64_t now);
