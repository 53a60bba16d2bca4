/*
 * References: EC2 API Reference, "Query requests", CreateTags, DescribeTags; EC2 User Guide, "Tag restrictions".
 */
#include "aws/ec2.h"

#include "aws/ec2_private.h"
#include "aws/query.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/xml.h"

#define TAG_KEY_MAX 128
#define TAGS_MAX 50		/* on one resource */
#define ANSWER_MAX (256 * 1024) /* 50 tags with their XML; errors are smaller */

int ec2_post(struct aws *aws, const struct buf *form, const struct retry_policy *retry, struct buf *ret_answer,
	     char *ret_code, struct err *err) {
	return query_post(aws, "ec2", form, ANSWER_MAX, retry, ret_answer, ret_code, err);
}

/** EC2 would refuse it all the same, but less clearly and after a round trip. */
static int check_tags(const struct ec2_tag *tags, size_t count, struct err *err) {
	if (count > TAGS_MAX) return err_set(err, ERR_LIMIT, "%zu tags; a resource has at most %d", count, TAGS_MAX);
	for (size_t i = 0; i < count; i++) {
		size_t key = str_utf8_count(tags[i].key), value = str_utf8_count(tags[i].value);

		if (key == 0 || key > TAG_KEY_MAX || str_starts(tags[i].key, "aws:"))
			return err_set(err, ERR_INVALID,
				       "tag key '%.140s': keys have 1 to %d characters and do not begin with aws:",
				       tags[i].key, TAG_KEY_MAX);
		if (value > EC2_TAG_VALUE_MAX)
			return err_set(err, ERR_INVALID, "the value of tag '%s' has %zu characters; %d are allowed",
				       tags[i].key, value, EC2_TAG_VALUE_MAX);
	}
	return 0;
}

int ec2_explain(const char *code, const char *action, const char *resource_id, struct err *err) {
	if (str_eq(code, "UnauthorizedOperation"))
		return err_wrap(err, "ec2:%s for %s (allow ec2:%s in the policy of the instance's role)", action,
				resource_id, action);
	return err_wrap(err, "ec2:%s for %s", action, resource_id);
}

struct created {
	bool is_answer; /* the root element is CreateTags' */
	bool is_refused;
};

static int on_created(const char *path, const char *text, void *arg) {
	struct created *created = arg;

	if (str_eq(path, "/CreateTagsResponse/return")) created->is_refused = !str_eq(text, "true");
	if (str_eq(path, "/CreateTagsResponse")) created->is_answer = true;
	return 0;
}

static void add_tags(struct buf *form, const char *resource_id, const struct ec2_tag *tags, size_t count) {
	query_begin(form, "CreateTags", EC2_VERSION);
	query_add(form, "ResourceId.1", resource_id);
	for (size_t i = 0; i < count; i++) {
		query_add_at(form, "Tag.%zu.Key", i + 1, tags[i].key);
		query_add_at(form, "Tag.%zu.Value", i + 1, tags[i].value);
	}
}

int ec2_create_tags(struct aws *aws, const char *resource_id, const struct ec2_tag *tags, size_t count,
		    const struct retry_policy *retry, struct err *err) {
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	struct created created = {0};
	char code[EC2_CODE_SIZE] = "";

	if (count == 0) return 0;
	if (check_tags(tags, count, err) != 0) return -(int)err->code;
	add_tags(&form, resource_id, tags, count);
	if (ec2_post(aws, &form, retry, &answer, code, err) != 0)
		return ec2_explain(code, "CreateTags", resource_id, err);
	if (xml_parse(buf_str(&answer), answer.len, on_created, &created, err) != 0)
		return err_wrap(err, "ec2:CreateTags for %s: the answer", resource_id);
	/* HTTP 200 with CreateTags' own answer is success; stand-ins for EC2 leave <return> out. */
	if (!created.is_answer || created.is_refused)
		return err_set(err, ERR_REMOTE, "ec2:CreateTags for %s: HTTP 200, but the answer is not a success",
			       resource_id);
	return 0;
}

int ec2_may_tag(struct aws *aws, const char *resource_id, const struct retry_policy *retry, struct err *err) {
	static const struct ec2_tag tag = {"dsagent:status", "running"};
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	char code[64] = "";

	add_tags(&form, resource_id, &tag, 1);
	query_add(&form, "DryRun", "true");
	if (ec2_post(aws, &form, retry, &answer, code, err) == 0) return 0; /* stand-ins for EC2 know no dry run */
	return str_eq(code, "DryRunOperation") ? 0 : ec2_explain(code, "CreateTags", resource_id, err);
}

struct described {
	struct arena *arena;
	const char *prefix;
	struct ec2_tag tag; /* of the item that is being read */
	VEC(struct ec2_tag) tags;
	bool is_answer;
};

static int on_described(const char *path, const char *text, void *arg) {
	static const char item[] = "/DescribeTagsResponse/tagSet/item";
	struct described *d = arg;

	if (str_eq(path, "/DescribeTagsResponse")) d->is_answer = true;
	if (!str_starts(path, item)) return 0;
	path += strlen(item);
	if (str_eq(path, "/key")) d->tag.key = arena_strdup(d->arena, text);
	if (str_eq(path, "/value")) d->tag.value = arena_strdup(d->arena, text);
	if (*path) return 0;
	if (!d->tag.value) d->tag.value = "";
	if (d->tag.key && str_starts(d->tag.key, d->prefix)) vec_push(&d->tags, d->tag);
	d->tag = (struct ec2_tag){0};
	return 0;
}

/** A filter's value: '*' and '?' are wildcards there unless escaped (EC2 API Reference, "Filter"). */
static void add_prefix(struct buf *form, const char *prefix) {
	AUTO_BUF struct buf pattern = BUF_INIT(QUERY_FORM_MAX);

	for (; *prefix; prefix++) {
		if (strchr("*?\\", *prefix)) buf_addc(&pattern, '\\');
		buf_addc(&pattern, *prefix);
	}
	buf_addc(&pattern, '*');
	query_add(form, "Filter.2.Value.1", buf_str(&pattern));
}

int ec2_describe_tags(struct aws *aws, const char *resource_id, const char *prefix, struct arena *arena,
		      struct ec2_tag **ret_tags, size_t *ret_count, struct err *err) {
	static const struct retry_policy retry = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 30000, .attempts = 4};
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	struct described d = {.arena = arena, .prefix = prefix};
	char code[EC2_CODE_SIZE] = "";
	int rc;

	/* A resource has at most 50 tags, a page of the answer 1000: there is no second page. */
	query_begin(&form, "DescribeTags", EC2_VERSION);
	query_add(&form, "Filter.1.Name", "resource-id");
	query_add(&form, "Filter.1.Value.1", resource_id);
	query_add(&form, "Filter.2.Name", "key");
	add_prefix(&form, prefix);
	if (ec2_post(aws, &form, &retry, &answer, code, err) != 0)
		return ec2_explain(code, "DescribeTags", resource_id, err);
	rc = xml_parse(buf_str(&answer), answer.len, on_described, &d, err);
	if (rc == 0 && !d.is_answer) rc = err_set(err, ERR_REMOTE, "no DescribeTagsResponse");
	if (rc == 0) {
		*ret_count = d.tags.count;
		*ret_tags = arena_alloc(arena, (d.tags.count + 1) * sizeof **ret_tags);
		if (d.tags.count) memcpy(*ret_tags, d.tags.items, d.tags.count * sizeof **ret_tags);
	}
	vec_clear(&d.tags);
	return rc == 0 ? 0 : err_wrap(err, "ec2:DescribeTags for %s: the answer", resource_id);
}
