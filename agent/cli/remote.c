#include "cli/remote.h"

#include "base/log.h"
#include "base/str.h"
#include "cli/config.h"
#include "cli/context.h"
#include "recipe/facts.h"
#include "report/report.h"

/* The whole policy is what tests/fleet simulates: with a thousand agents it decides who is heard, and when. */
static const struct beat_policy tags_policy = BEAT_POLICY_TAGS;

/* A receiver of our own: it may be restarted meanwhile, and its hook is not a shared limit. */
static const struct beat_policy webhook_policy = {
	.interval_ms = 1000,
	.interval_cap_ms = 60LL * 1000,
	.backoff_base_ms = 1000,
	.backoff_cap_ms = 20LL * 1000,
	.final_budget_ms = 5LL * 60 * 1000,
};

static const struct beat_policy stack_policy = {
	.interval_ms = 1000,
	.interval_cap_ms = 60LL * 1000,
	.backoff_base_ms = 1000,
	.backoff_cap_ms = 12LL * 1000,
	.final_budget_ms = 5LL * 60 * 1000,
};

static void add_webhook(struct context *ctx, const struct config_webhook *from, struct report_remote_conf *conf) {
	size_t count = from->headers.count;
	conf->webhook_url = from->url;
	conf->webhook_timeout_ms = from->timeout_ms;
	conf->webhook_policy = webhook_policy;
	conf->webhook_headers.items = arena_alloc(&ctx->arena, (count + 1) * sizeof *conf->webhook_headers.items);
	for (size_t i = 0; i < count; i++)
		conf->webhook_headers.items[i] =
			arena_printf(&ctx->arena, "%s: %s", from->headers.keys[i], from->headers.values[i]);
	conf->webhook_headers.count = conf->webhook_headers.cap = count;
}

static bool wants_tags(const struct remote_how *how) {
	if (how->has_no_tags || !how->config->has_tags) return false;
	if (!how->facts->has_instance && how->facts->metadata_error[0] != '\0')
		log_warning("no EC2 tags: %s", how->facts->metadata_error);
	return how->facts->has_instance;
}

int remote_open(struct context *ctx, const struct remote_how *how, struct sink **ret_sink, struct err *err) {
	const struct config *config = how->config;
	struct report_remote_conf conf = {
		.instance_id = how->facts->instance.instance_id,
		.hostname = how->facts->os.hostname,
		.status_path = how->status_path,
		.linger_ms = how->linger_ms,
		.open_aws = context_open_aws,
		.arg = ctx,
		.has_tags = wants_tags(how),
		.has_bundles = how->has_bundles,
		.tags_policy = tags_policy,
		.stack = config->cloudformation.stack,
		.stack_resource = config->cloudformation.resource,
		.stack_region = config->cloudformation.region,
		.stack_policy = stack_policy,
	};
	*ret_sink = NULL;
	if (config->webhook.url) add_webhook(ctx, &config->webhook, &conf);
	if (!conf.has_tags && !conf.webhook_url && !conf.stack) return 0;
	return report_remote(&conf, ret_sink, err);
}
