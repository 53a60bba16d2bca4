#pragma once
/*
 * The profile in use (AWS_PROFILE, else "default") in the AWS shared files. Files only, no network. Sources: AWS SDKs
 * and Tools Reference Guide, "Shared config and credentials files", "Service-specific endpoints".
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct arena;
struct err;

enum profile_file { PROFILE_CREDENTIALS, PROFILE_CONFIG };

/** key as keyval_ini gives it: lower case, nested ones as "s3.endpoint_url". */
typedef void (*profile_fn)(const char *key, const char *value, void *arg);

/** env is a NULL-terminated "K=V" vector, here and below. */
const char *profile_name(const char *const *env);

/** Where the file is: as its variable says, else below HOME; NULL without HOME. The caller frees. */
char *profile_path(const char *const *env, enum profile_file file);

/** Calls fn for each setting of the profile in the file, which may be absent; *ret_is_there: the profile is in it. */
CHECK_RESULT int profile_read(const char *const *env, enum profile_file file, profile_fn fn, void *arg,
			      bool *ret_is_there, struct err *err);

/**
 * env and, after it, what the profile in the config file sets and env does not, as the variables that mean the same:
 * AWS_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE> of its `services`, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
 * AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, AWS_CA_BUNDLE. In the arena. A file that cannot be read adds
 * nothing: it is the credentials' complaint.
 */
const char *const *profile_env(const char *const *env, struct arena *arena);
