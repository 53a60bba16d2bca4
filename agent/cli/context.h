#pragma once
/*
 * What verbs share: environment, root, facts, network and paths, each opened when it is first asked for, so that cheap
 * verbs stay cheap. Everything handed out is borrowed and lives until context_clear.
 */
#include <stdbool.h>

#include "base/arena.h"

struct aws;
struct diags;
struct err;
struct facts;
struct fetch;
struct fs_root;
struct http;
struct imds;
struct js;
struct recipe;
struct strs;

struct context_parts;

struct context {
	const char *const *env; /* "K=V", NULL-terminated: the process's own */
	const char *root_dir;	/* --root; NULL: the machine itself */
	bool is_json;		/* --json */
	bool is_at_boot;	/* metadata may come up later than we do: be patient. Set before facts are asked for */
	struct arena arena;
	struct context_parts *parts;
};

struct context_paths {
	const char *state_dir; /* "/var/lib/dsagent", below root; as a plain user the XDG folder */
	const char *run_dir;   /* "/run/dsagent": lock, status.json */
};

void context_init(struct context *ctx, const char *const *env);
void context_clear(struct context *ctx);

CHECK_RESULT int context_root(struct context *ctx, const struct fs_root **ret_root, struct err *err);

/** Nothing is created. Root, and anyone with --root, has the system's places. */
CHECK_RESULT int context_paths(struct context *ctx, struct context_paths *ret_paths, struct err *err);

/**
 * The status of the newest run that the caller may read: a plain user sees the system's run too (report_status_read).
 * *ret_is_system: it is the system's. ERR_NOT_FOUND when nothing has run.
 */
CHECK_RESULT int context_status(struct context *ctx, struct js **ret_js, bool *ret_is_system, struct err *err);

/**
 * For a caller who has no run of his own: a plain user then means the system's, which are for root's eyes. ERR_DENIED,
 * with `sudo dsagent VERB` to type, if that is so.
 */
CHECK_RESULT int context_deny_system(struct context *ctx, const char *verb, struct err *err);

CHECK_RESULT int context_http(struct context *ctx, struct http **ret_http, struct err *err);

/** Gathered once; metadata is asked only where there should be some. */
CHECK_RESULT int context_facts(struct context *ctx, const struct facts **ret_facts, struct err *err);

/** Region: AWS_REGION, AWS_DEFAULT_REGION, the profile's, else the instance's; credentials are not asked for before the
 * first call. */
CHECK_RESULT int context_aws(struct context *ctx, struct aws **ret_aws, struct err *err);
CHECK_RESULT int context_fetch(struct context *ctx, struct fetch **ret_fetch, struct err *err);

/**
 * The instance's own region whatever AWS_REGION says: an instance can be tagged in no other. A second aws with
 * connections and credentials of its own, for another process: the shape of report_remote_conf.open_aws, arg is the
 * context. The caller keeps it until that process ends.
 */
CHECK_RESULT int context_open_aws(void *arg, struct aws **ret_aws, struct err *err);

/** recipe_load with this build's step types: vars are "k=v"; is_inert: values of vars may be missing (validate). NULL
 * after adding to diags. */
const struct recipe *context_recipe(struct context *ctx, const struct strs *names, const struct strs *vars,
				    bool is_inert, struct diags *diags);
