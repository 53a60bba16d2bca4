#pragma once
/*
 * The credential chain: environment, shared files (static keys, credential_process), container, instance role. Sources:
 * AWS SDKs and Tools Reference Guide, "Standardized credential providers". Keys are registered with the log as secrets
 * when they arrive and wiped when dropped. Profiles that need SSO or assume-role are named with the remedy
 * `credential_process = aws configure export-credentials --format process`.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct http;
struct imds;

struct cred {
	char *access_key, *secret_key, *session_token; /* session_token may be NULL */
	int64_t expires_at;			       /* epoch seconds; 0: never */
	const char *source; /* "environment", "shared file", "credential_process", "container", "instance role" */
};

struct cred_chain;

/**
 * env is a NULL-terminated "K=V" vector (the process's own, as a rule), copied as far as needed; imds may be NULL. http
 * and imds are borrowed.
 */
struct cred_chain *cred_chain_new(const char *const *env, struct http *http, struct imds *imds);
void cred_chain_free(struct cred_chain *chain); /* NULL is fine */

/**
 * Current credentials, borrowed until the next call: cached, tried anew from 15 min before expiry, needed anew from 10
 * min before. Expired ones from IMDS are used on and asked again 10 min later (static stability, as botocore does).
 * ERR_NOT_FOUND when no provider has any: the text lists what was tried; ERR_INVALID for a provider that is set up
 * wrongly.
 */
CHECK_RESULT int cred_get(struct cred_chain *chain, const struct cred **ret_cred, struct err *err);

/**
 * Asks the providers anew, after ExpiredToken. True if others came: with the same ones a request would be refused
 * again, and a thousand requests a thousand times.
 */
bool cred_renew(struct cred_chain *chain);
