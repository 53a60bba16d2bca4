/*
 * References: EC2 API Reference, "Query requests", CreateTags, DescribeTags; EC2 User Guide, "Tag restrictions". The
 * body is percent-encoded after RFC 3986: a space is %20, never '+'.
 */
#include "aws/ec2.h"

#include "aws/call.h"
#include "aws/ec2_private.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/codec.h"
#include "fmt/xml.h"

#define TAG_KEY_MAX 128
#define TAGS_MAX 50		/* on one resource */
#define ANSWER_MAX (256 * 1024) /* 50 tags with their XML; errors are smaller */
#define CONNECT_TIMEOUT_MS 5000 /* a private subnet without an endpoint: give up early */
#define TOTAL_TIMEOUT_MS 15000

void ec2_add_value(struct buf *form, const char *value) {
	AUTO_BUF struct buf encoded = BUF_INIT(EC2_FORM_MAX);

	codec_percent(value, false, &encoded);
	buf_add(form, encoded.data, encoded.len);
}

int ec2_post(struct aws *aws, const struct buf *form, const struct retry_policy *retry, struct buf *ret_answer,
	     char *ret_code, struct err *err) {
	const struct aws_request req = {
		.service = "ec2",
		.method = "POST",
		.path = "/",
		.content_type = "application/x-www-form-urlencoded; charset=utf-8",
		.body = buf_str(form),
		.body_max = ANSWER_MAX,
		.retry = *retry,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.total_timeout_ms = TOTAL_TIMEOUT_MS,
	};

	if (buf_check(form, "the request", err) != 0) return -(int)err->code;
	return aws_call(aws, &req, ret_answer, ret_code, err);
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

int ec2_create_tags(struct aws *aws, const char *resource_id, const struct ec2_tag *tags, size_t count,
		    const struct retry_policy *retry, struct err *err) {
	AUTO_BUF struct buf form = BUF_INIT(EC2_FORM_MAX), answer = {0};
	struct created created = {0};
	char code[EC2_CODE_SIZE] = "";

	if (count == 0) return 0;
	if (check_tags(tags, count, err) != 0) return -(int)err->code;
	buf_adds(&form, "Action=CreateTags&Version=2016-11-15&ResourceId.1=");
	ec2_add_value(&form, resource_id);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&form, "&Tag.%zu.Key=", i + 1);
		ec2_add_value(&form, tags[i].key);
		buf_addf(&form, "&Tag.%zu.Value=", i + 1);
		ec2_add_value(&form, tags[i].value);
	}
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
	AUTO_BUF struct buf pattern = BUF_INIT(EC2_FORM_MAX);

	for (; *prefix; prefix++) {
		if (strchr("*?\\", *prefix)) buf_addc(&pattern, '\\');
		buf_addc(&pattern, *prefix);
	}
	buf_addc(&pattern, '*');
	ec2_add_value(form, buf_str(&pattern));
}

int ec2_describe_tags(struct aws *aws, const char *resource_id, const char *prefix, struct arena *arena,
		      struct ec2_tag **ret_tags, size_t *ret_count, struct err *err) {
	static const struct retry_policy retry = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 30000, .attempts = 4};
	AUTO_BUF struct buf form = BUF_INIT(EC2_FORM_MAX), answer = {0};
	struct described d = {.arena = arena, .prefix = prefix};
	char code[EC2_CODE_SIZE] = "";
	int rc;

	/* A resource has at most 50 tags, a page of the answer 1000: there is no second page. */
	buf_adds(&form, "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=");
	ec2_add_value(&form, resource_id);
	buf_adds(&form, "&Filter.2.Name=key&Filter.2.Value.1=");
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
