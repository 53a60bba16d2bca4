#include "cli/config.h"

#include "aws/call.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/context.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "recipe/recipe.h"

/* An attempt at the webhook holds up the tags for as long. */
#define WEBHOOK_TIMEOUT_MAX_MS (60LL * 1000)

#define AT(member) offsetof(struct config_webhook, member)
static const struct field webhook_fields[] = {
	{.name = "url",
	 .kind = FIELD_TEXT,
	 .offset = AT(url),
	 .help = "where each change of state is posted as JSON, https:// or http://",
	 .is_required = true},
	{.name = "headers",
	 .kind = FIELD_MAP,
	 .offset = AT(headers),
	 .help = "further headers, such as Authorization; their values are kept secret",
	 .is_secret = true},
	{.name = "timeout",
	 .kind = FIELD_DURATION,
	 .offset = AT(timeout_ms),
	 .help = "of one attempt, at most 1m",
	 .fallback = "5s"},
	{.name = NULL},
};
#undef AT
static const struct shape webhook_shape = {.fields = webhook_fields, .size = sizeof(struct config_webhook)};

#define AT(member) offsetof(struct config_stack, member)
static const struct field stack_fields[] = {
	{.name = "stack",
	 .kind = FIELD_TEXT,
	 .offset = AT(stack),
	 .help = "name or ARN of the stack whose CreationPolicy waits for this instance",
	 .is_required = true},
	{.name = "resource",
	 .kind = FIELD_TEXT,
	 .offset = AT(resource),
	 .help = "logical id of the instance or group in the stack",
	 .is_required = true},
	{.name = "region", .kind = FIELD_TEXT, .offset = AT(region), .help = "of the stack, the instance's by default"},
	{.name = NULL},
};
#undef AT
static const struct shape stack_shape = {.fields = stack_fields, .size = sizeof(struct config_stack)};

static const struct field bundle_fields[] = {
	{.name = "to",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct config_bundle, to),
	 .help = "s3://bucket/prefix/ where a bundle goes when a run has failed; a recipe's own report.bundle wins",
	 .is_required = true},
	{.name = NULL},
};
static const struct shape bundle_shape = {.fields = bundle_fields, .size = sizeof(struct config_bundle)};

#define AT(member) offsetof(struct config, member)
static const struct field fields[] = {
	{.name = "tags",
	 .kind = FIELD_BOOL,
	 .offset = AT(has_tags),
	 .help = "whether EC2 tags are set on the instance",
	 .fallback = "on"},
	{.name = "webhook",
	 .kind = FIELD_STRUCT,
	 .offset = AT(webhook),
	 .shape = &webhook_shape,
	 .help = "a URL that is told of every change of state"},
	{.name = "cloudformation",
	 .kind = FIELD_STRUCT,
	 .offset = AT(cloudformation),
	 .shape = &stack_shape,
	 .help = "a stack that waits for the signal of this instance"},
	{.name = "bundle",
	 .kind = FIELD_STRUCT,
	 .offset = AT(bundle),
	 .shape = &bundle_shape,
	 .help = "where what happened is kept after a failure"},
	{.name = NULL},
};
#undef AT
static const struct shape shape = {.fields = fields, .size = sizeof(struct config)};

struct config config_default(void) {
	return (struct config){.has_tags = true};
}

struct js *config_schema_json(void) {
	return schema_json(&shape);
}

/* Path, query and user of a webhook's URL are its password as often as not: of the URL, messages show the host. */
static void hide_url(const char *url, struct arena *arena) {
	const char *scheme_end = strstr(url, "://"), *host = scheme_end ? scheme_end + 3 : url;
	size_t len = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', len);
	if (at) {
		const char *user = arena_dup(arena, host, (size_t)(at - host)), *colon = strchr(user, ':');
		log_secret_add(user);
		if (colon) log_secret_add(colon + 1);
	}
	log_secret_add(host + len);
	log_secret_add(arena_dup(arena, host + len, strcspn(host + len, "?#")));
}

/* "Bearer TOKEN" is a secret, and so is TOKEN by itself. */
static void hide_words(const struct field_map *headers) {
	for (size_t i = 0; i < headers->count; i++) {
		const char *space = strrchr(headers->values[i], ' ');
		if (space) log_secret_add(space + 1);
	}
}

static void check_webhook(const struct config_webhook *w, const struct yml_node *node, struct diags *diags) {
	const struct yml_node *headers = yml_get(node, "headers");
	if (!str_starts(w->url, "https://") && !str_starts(w->url, "http://"))
		diag_add(diags, yml_get(node, "url"), "'url' begins with https:// or http://");
	if (w->timeout_ms <= 0 || w->timeout_ms > WEBHOOK_TIMEOUT_MAX_MS)
		diag_add(diags, yml_get(node, "timeout"), "'timeout' is more than 0 and at most 1m");
	for (size_t i = 0; i < w->headers.count; i++)
		if (strpbrk(w->headers.keys[i], "\r\n: ") || strpbrk(w->headers.values[i], "\r\n"))
			diag_add(diags, headers->keys[i],
				 "a header's name holds no space or ':', and its value is one line");
}

static void check(const struct config *c, const struct yml_node *root, struct diags *diags) {
	const struct yml_node *bundle = yml_get(root, "bundle");
	if (c->webhook.url) check_webhook(&c->webhook, yml_get(root, "webhook"), diags);
	if (c->bundle.to && !recipe_is_bundle_url(c->bundle.to))
		diag_add(diags, yml_get(bundle, "to"), "'to' is s3://bucket/prefix/, found '%.200s'", c->bundle.to);
}

static const char *config_path(const struct context *ctx) {
	const char *named = aws_env(ctx->env, "DSAGENT_CONFIG");
	return named ? named : CONFIG_PATH;
}

/* 0 and *ret_is_there; the file that DSAGENT_CONFIG names is the caller's own, as recipes are, and must be there. */
static int read_text(const struct context *ctx, const struct fs_root *root, struct buf *text, bool *ret_is_there,
		     struct err *err) {
	const char *named = aws_env(ctx->env, "DSAGENT_CONFIG");
	int rc = named ? recipe_bytes(named, text, err) : fs_read(root, CONFIG_PATH, text, err);
	*ret_is_there = rc == 0;
	return rc == -ERR_NOT_FOUND && !named ? 0 : rc;
}

bool config_read(struct context *ctx, const struct fs_root *root, struct config *ret_config, struct diags *diags) {
	AUTO_BUF struct buf text = BUF_INIT(YML_BYTES_MAX);
	struct err err = {0};
	struct config config;
	bool is_there = false;
	size_t before = diags->count + diags->dropped;
	*ret_config = config_default();
	if (read_text(ctx, root, &text, &is_there, &err)) {
		diag_add_at(diags, config_path(ctx), 0, 0, "%s", err.msg);
		return false;
	}
	if (!is_there) return true;
	const struct yml_node *node = yml_parse(config_path(ctx), buf_str(&text), text.len, &ctx->arena, diags);
	if (!node || !schema_bind(&shape, node, SCHEMA_REFS_EXPANDED, &config, &ctx->arena, diags)) return false;
	if (config.webhook.url) hide_url(config.webhook.url, &ctx->arena);
	hide_words(&config.webhook.headers);
	check(&config, node, diags);
	if (diags->count + diags->dropped > before) return false;
	*ret_config = config;
	return true;
}

struct config config_load(struct context *ctx, const struct fs_root *root) {
	AUTO_DIAGS struct diags diags = {.arena = &ctx->arena};
	struct config config;
	if (config_read(ctx, root, &config, &diags)) return config;
	for (size_t i = 0; i < diags.count; i++) {
		const struct diag *d = &diags.items[i];
		if (d->line)
			log_warning("%s:%u:%u: %s", d->file, d->line, d->col, d->message);
		else
			log_warning("%s: %s", d->file, d->message);
	}
	log_warning("%s is left out of account, the work goes on; `dsagent doctor` checks it", config_path(ctx));
	return config;
}
