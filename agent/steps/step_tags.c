#include "aws/ec2.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/own_instance.h"
#include "steps/steps.h"

/** dsagent's own eight have room beside them: EC2 takes 50 on one instance. */
#define TAGS_MAX 40
#define KEY_MAX 128
static const struct retry_policy patience = {.base_ms = 500, .cap_ms = 20000, .budget_ms = 120000, .attempts = 8};

struct tags_params {
	struct field_map tags;
};

static const struct field tags_fields[] = {
	{.name = "tags",
	 .kind = FIELD_MAP,
	 .offset = offsetof(struct tags_params, tags),
	 .help = "the step's value itself is this map: each key is the key of a tag, its value the tag's",
	 .is_required = true},
	{0},
};

static void check_key(const char *key, const struct yml_node *node, struct diags *diags) {
	size_t len = str_utf8_count(key);
	if (!len || len > KEY_MAX)
		diag_add(diags, node, "tag key '%.140s' has %zu characters: 1 to %d are allowed", key, len, KEY_MAX);
	if (str_starts(key, "aws:"))
		diag_add(diags, node, "tag key '%.140s': those that begin with aws: are AWS's own", key);
	if (str_starts(key, "dsagent:"))
		diag_add(diags, node, "tag key '%.140s': those that begin with dsagent: report the run", key);
}

static void tags_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct tags_params *p = params;
	if (!p->tags.count) diag_add(diags, node, "no tag is given");
	if (p->tags.count > TAGS_MAX)
		diag_add(diags, node, "%zu tags: a step sets at most %d, an instance has room for 50", p->tags.count,
			 TAGS_MAX);
	for (size_t i = 0; i < p->tags.count; i++) {
		check_key(p->tags.keys[i], node, diags);
		size_t len = str_utf8_count(p->tags.values[i]);
		if (len > EC2_TAG_VALUE_MAX && !step_text_is_open(p->tags.values[i]))
			diag_add(diags, node, "the value of tag '%.140s' has %zu characters: %d are allowed",
				 p->tags.keys[i], len, EC2_TAG_VALUE_MAX);
	}
}

static const struct ec2_tag *find(const struct ec2_tag *tags, size_t count, const char *key) {
	for (size_t i = 0; i < count; i++)
		if (str_eq(tags[i].key, key)) return &tags[i];
	return NULL;
}

/* One of a family would do, but DescribeTags takes a prefix: "" asks for all of the instance's. */
static int look(struct step_ctx *ctx, struct ec2_tag **ret_tags, size_t *ret_count, struct err *err) {
	struct aws aws;
	int r = own_instance_aws(ctx, &aws, err);
	return r < 0 ? r
		     : ec2_describe_tags(&aws, ctx->facts->instance.instance_id, "", ctx->arena, ret_tags, ret_count,
					 err);
}

static int tags_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct tags_params *p = params;
	struct ec2_tag *has = NULL;
	size_t count = 0;
	int r = look(ctx, &has, &count, err);
	for (size_t i = 0; r == 0 && i < p->tags.count; i++) {
		const char *key = p->tags.keys[i], *value = p->tags.values[i];
		const struct ec2_tag *now = find(has, count, key);
		if (!now)
			changes_add(changes, ctx->arena, NULL, "set tag %s to '%s'", key, value);
		else if (!str_eq(now->value, value))
			changes_add(changes, ctx->arena, NULL, "change tag %s from '%s' to '%s'", key, now->value,
				    value);
	}
	return r;
}

static int tags_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct tags_params *p = params;
	struct ec2_tag tags[TAGS_MAX];
	struct aws aws;
	int r = own_instance_aws(ctx, &aws, err);
	if (r < 0) return r;
	for (size_t i = 0; i < p->tags.count && i < TAGS_MAX; i++)
		tags[i] = (struct ec2_tag){p->tags.keys[i], p->tags.values[i]};
	return ec2_create_tags(&aws, ctx->facts->instance.instance_id, tags, p->tags.count, &patience, err);
}

const struct step_type step_tags = {
	.name = "tags",
	.summary = "extra tags on this instance; those of others stay",
	.example = "- name: Whose it is\n"
		   "  when: facts.is_ec2\n"
		   "  tags: {Team: vision, Project: cats}\n",
	.shape = {.fields = tags_fields, .size = sizeof(struct tags_params), .map_field = "tags"},
	.timeout_ms = 10LL * 60 * 1000,
	.check = tags_check,
	.probe = tags_probe,
	.apply = tags_apply,
};
