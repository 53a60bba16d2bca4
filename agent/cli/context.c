#include "cli/context.h"

#include <strings.h>

#include "aws/call.h"
#include "aws/cred.h"
#include "aws/fetch.h"
#include "aws/imds.h"
#include "aws/profile.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "io/http.h"
#include "recipe/facts.h"
#include "recipe/recipe.h"
#include "report/report.h"
#include "steps/steps.h"

#define SYSTEM_STATE_DIR "/var/lib/dsagent"
#define SYSTEM_RUN_DIR "/run/dsagent"

struct context_parts {
	struct fs_root root;
	struct http *http;
	struct imds *imds;
	struct cred_chain *creds;
	struct facts facts;
	struct aws aws;
	struct fetch fetch;
	bool has_root, has_facts, has_aws;
};

void context_init(struct context *ctx, const char *const *env) {
	*ctx = (struct context){.env = env, .parts = mem_zalloc(sizeof(struct context_parts))};
}

void context_clear(struct context *ctx) {
	if (!ctx || !ctx->parts) return;
	cred_chain_free(ctx->parts->creds);
	imds_close(ctx->parts->imds);
	http_close(ctx->parts->http);
	if (ctx->parts->has_root) fs_root_clear(&ctx->parts->root);
	free(ctx->parts);
	ctx->parts = NULL;
	arena_clear(&ctx->arena);
}

int context_root(struct context *ctx, const struct fs_root **ret_root, struct err *err) {
	struct context_parts *p = ctx->parts;
	if (!p->has_root) {
		int rc = fs_root_open(ctx->root_dir, &p->root, err);
		if (rc) return rc;
		p->has_root = true;
	}
	*ret_root = &p->root;
	return 0;
}

/* $NAME if it is an absolute path, as the XDG Base Directory Specification wants, else NULL. */
static const char *xdg_dir(const struct context *ctx, const char *name) {
	const char *dir = aws_env(ctx->env, name);
	return dir && dir[0] == '/' ? dir : NULL;
}

int context_paths(struct context *ctx, struct context_paths *ret_paths, struct err *err) {
	const struct fs_root *root = NULL;
	int rc = context_root(ctx, &root, err);
	if (rc) return rc;
	if (!fs_root_is_host(root) || geteuid() == 0) {
		*ret_paths = (struct context_paths){SYSTEM_STATE_DIR, SYSTEM_RUN_DIR};
		return 0;
	}
	const char *home = xdg_dir(ctx, "HOME"), *state = xdg_dir(ctx, "XDG_STATE_HOME"),
		   *run = xdg_dir(ctx, "XDG_RUNTIME_DIR");
	if (!state && !home)
		return err_set(
			err, ERR_INVALID,
			"neither XDG_STATE_HOME nor HOME names a folder for dsagent's state; set HOME, or use sudo");
	struct context_paths paths;
	paths.state_dir = state ? arena_printf(&ctx->arena, "%s/dsagent", state)
				: arena_printf(&ctx->arena, "%s/.local/state/dsagent", home);
	paths.run_dir = run ? arena_printf(&ctx->arena, "%s/dsagent", run)
			    : arena_printf(&ctx->arena, "%s/run", paths.state_dir);
	*ret_paths = paths;
	return 0;
}

/* ISO 8601 UTC sorts as text. */
static bool is_newer(const struct js *a, const struct js *b) {
	const char *x = js_get_str(a, "updated_at"), *y = js_get_str(b, "updated_at");
	return x && y && strcmp(x, y) > 0;
}

int context_status(struct context *ctx, struct js **ret_js, bool *ret_is_system, struct err *err) {
	const struct fs_root *root = NULL;
	struct context_paths paths = {0};
	AUTO_JS struct js *own = NULL, *system_js = NULL;
	int rc = context_root(ctx, &root, err);
	if (!rc) rc = context_paths(ctx, &paths, err);
	if (rc) return rc;
	bool is_system = str_eq(paths.run_dir, SYSTEM_RUN_DIR);
	rc = report_status_read(root, paths.run_dir, &own, err);
	if (rc && rc != -ERR_NOT_FOUND) return rc;
	struct err ignored = {0}; /* the system's run is looked at besides; its absence is no news */
	if (!is_system && !report_status_read(root, SYSTEM_RUN_DIR, &system_js, &ignored) &&
	    (!own || is_newer(system_js, own))) {
		*ret_js = system_js;
		system_js = NULL;
		*ret_is_system = true;
		return 0;
	}
	if (rc) return rc;
	*ret_js = own;
	own = NULL;
	*ret_is_system = is_system;
	return 0;
}

int context_deny_system(struct context *ctx, const char *verb, struct err *err) {
	AUTO_JS struct js *js = NULL;
	bool is_system = false;
	struct err ignored = {0}; /* nothing has run: the caller says so */
	if (geteuid() == 0 || context_status(ctx, &js, &is_system, &ignored) || !is_system) return 0;
	return err_set(err, ERR_DENIED, "the system's runs are for root: sudo dsagent %s", verb);
}

int context_http(struct context *ctx, struct http **ret_http, struct err *err) {
	if (!ctx->parts->http) {
		int rc = http_open(&ctx->parts->http, err);
		if (rc) return rc;
	}
	*ret_http = ctx->parts->http;
	return 0;
}

static void open_imds(const struct context *ctx, struct http *http, struct imds **ret_imds) {
	const char *mode = aws_env(ctx->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	struct imds_conf conf = {
		.endpoint = aws_env(ctx->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
		.prefers_ipv6 = mode && strcasecmp(mode, "IPv6") == 0,
		.patience = ctx->is_at_boot ? IMDS_AT_BOOT : IMDS_BY_HAND,
	};
	imds_open(&conf, http, ret_imds);
}

static int find_imds(struct context *ctx, struct imds **ret_imds, struct err *err) {
	if (!ctx->parts->imds) {
		struct http *http = NULL;
		int rc = context_http(ctx, &http, err);
		if (rc) return rc;
		open_imds(ctx, http, &ctx->parts->imds);
	}
	*ret_imds = ctx->parts->imds;
	return 0;
}

int context_facts(struct context *ctx, const struct facts **ret_facts, struct err *err) {
	struct context_parts *p = ctx->parts;
	if (!p->has_facts) {
		const struct fs_root *root = NULL;
		struct imds *imds = NULL;
		int rc = context_root(ctx, &root, err);
		if (!rc) rc = find_imds(ctx, &imds, err);
		if (!rc) rc = facts_gather(root, imds, ctx->env, &p->facts, err);
		if (rc) return rc;
		p->has_facts = true;
	}
	*ret_facts = &p->facts;
	return 0;
}

static void domain_of(const struct facts *facts, const char *region, const char **ret_domain) {
	bool is_own = facts && str_eq(region, facts->instance.region) && facts->instance.domain[0];
	*ret_domain = is_own ? facts->instance.domain : region ? aws_domain_for_region(region) : NULL;
}

/* AWS_REGION, AWS_DEFAULT_REGION, the profile's (env has it), the instance's own. NULL: nobody has said. */
static int find_region(struct context *ctx, const char *const *env, const char **ret_region, const char **ret_domain,
		       struct err *err) {
	const struct facts *facts = NULL;
	const char *region = aws_env(env, "AWS_REGION");
	if (!region) region = aws_env(env, "AWS_DEFAULT_REGION");
	if (!region) {
		int rc = context_facts(ctx, &facts, err);
		if (rc) return rc;
		if (facts->instance.region[0]) region = facts->instance.region;
	}
	*ret_region = region;
	domain_of(facts, region, ret_domain);
	return 0;
}

int context_aws(struct context *ctx, struct aws **ret_aws, struct err *err) {
	struct context_parts *p = ctx->parts;
	if (!p->has_aws) {
		struct http *http = NULL;
		struct imds *imds = NULL;
		const char *region = NULL, *domain = NULL, *const *env = profile_env(ctx->env, &ctx->arena);
		int rc = context_http(ctx, &http, err);
		if (!rc) rc = find_imds(ctx, &imds, err);
		if (rc) return rc;
		if (!p->creds) p->creds = cred_chain_new(ctx->env, http, imds);
		rc = find_region(ctx, env, &region, &domain, err);
		if (rc) return rc;
		p->aws = (struct aws){.http = http, .creds = p->creds, .region = region, .domain = domain, .env = env};
		p->has_aws = true;
	}
	*ret_aws = &p->aws;
	return 0;
}

int context_fetch(struct context *ctx, struct fetch **ret_fetch, struct err *err) {
	struct aws *aws = NULL;
	int rc = context_aws(ctx, &aws, err);
	if (rc) return rc;
	ctx->parts->fetch = (struct fetch){.http = aws->http, .aws = aws};
	*ret_fetch = &ctx->parts->fetch;
	return 0;
}

int context_open_aws(void *arg, struct aws **ret_aws, struct err *err) {
	struct context *ctx = arg;
	const struct facts *facts = NULL;
	struct http *http = NULL;
	int rc = context_facts(ctx, &facts, err);
	if (!rc) rc = http_open(&http, err);
	if (rc) return rc;
	struct imds *imds = NULL;
	open_imds(ctx, http, &imds);
	struct aws *aws = arena_alloc(&ctx->arena, sizeof *aws);
	*aws = (struct aws){.http = http,
			    .creds = cred_chain_new(ctx->env, http, imds),
			    .region = facts->instance.region,
			    .env = ctx->env};
	domain_of(facts, aws->region, &aws->domain);
	*ret_aws = aws;
	return 0;
}

const struct recipe *context_recipe(struct context *ctx, const struct strs *names, const struct strs *vars,
				    bool is_inert, struct diags *diags) {
	struct err err = {0};
	const struct fs_root *root = NULL;
	struct fetch *fetch = NULL;
	int rc = context_root(ctx, &root, &err);
	if (!rc) rc = context_fetch(ctx, &fetch, &err);
	if (rc) {
		diag_add(diags, NULL, "%s", err.msg);
		return NULL;
	}
	struct recipe_source source = {
		.types = steps_all, .root = root, .fetch = fetch, .vars = vars, .is_inert = is_inert};
	return recipe_load(&source, names, &ctx->arena, diags);
}
