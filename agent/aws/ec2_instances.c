#include "aws/ec2_instances.h"

#include "aws/query.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/xml.h"

/* An instance is 5 to 10 KB of XML, more with many interfaces and tags. */
#define PAGE "200"
#define ANSWER_MAX (16 * 1024 * 1024)
#define PAGES_MAX 1000

static const char root[] = "/DescribeInstancesResponse";
static const char item[] = "/DescribeInstancesResponse/reservationSet/item/instancesSet/item";

struct describing {
	struct arena *arena;
	struct ec2_instance instance; /* that is being read */
	struct ec2_tag tag;
	size_t tag_cap;
	VEC(struct ec2_instance) instances;
	const char *next_token;
	bool is_answer;
};

static void on_tag(struct describing *d, const char *path, const char *text) {
	struct ec2_instance *i = &d->instance;
	if (str_eq(path, "/key")) d->tag.key = arena_strdup(d->arena, text);
	if (str_eq(path, "/value")) d->tag.value = arena_strdup(d->arena, text);
	if (*path) return;
	if (!d->tag.value) d->tag.value = "";
	if (d->tag.key) {
		i->tags = arena_grow(d->arena, i->tags, i->tag_count, &d->tag_cap, sizeof *i->tags);
		i->tags[i->tag_count++] = d->tag;
	}
	d->tag = (struct ec2_tag){0};
}

static int on_element(const char *path, const char *text, void *arg) {
	struct describing *d = arg;
	if (str_eq(path, root)) d->is_answer = true;
	if (str_eq(path, "/DescribeInstancesResponse/nextToken") && *text) d->next_token = arena_strdup(d->arena, text);
	if (!str_starts(path, item)) return 0;
	path += strlen(item);
	if (str_starts(path, "/tagSet/item")) on_tag(d, path + strlen("/tagSet/item"), text);
	if (str_eq(path, "/instanceId")) d->instance.id = arena_strdup(d->arena, text);
	if (str_eq(path, "/instanceType")) d->instance.type = arena_strdup(d->arena, text);
	if (str_eq(path, "/instanceState/name")) d->instance.state = arena_strdup(d->arena, text);
	if (str_eq(path, "/placement/availabilityZone")) d->instance.zone = arena_strdup(d->arena, text);
	if (*path) return 0;
	if (!d->instance.type) d->instance.type = "";
	if (!d->instance.state) d->instance.state = "";
	if (!d->instance.zone) d->instance.zone = "";
	if (d->instance.id) vec_push(&d->instances, d->instance);
	d->instance = (struct ec2_instance){0};
	d->tag_cap = 0;
	return 0;
}

static int one_page(struct aws *aws, const char *tag_key, struct describing *d, struct err *err) {
	static const struct retry_policy retry = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 30000, .attempts = 6};
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	char code[64] = "";
	query_begin(&form, "DescribeInstances", "2016-11-15");
	query_add(&form, "Filter.1.Name", "tag-key");
	query_add(&form, "Filter.1.Value.1", tag_key);
	query_add(&form, "MaxResults", PAGE);
	if (d->next_token) query_add(&form, "NextToken", d->next_token);
	d->next_token = NULL;
	d->is_answer = false;
	if (query_post(aws, "ec2", &form, ANSWER_MAX, &retry, &answer, code, err)) {
		if (str_eq(code, "UnauthorizedOperation"))
			return err_wrap(err, "ec2:DescribeInstances (allow it to whoever looks at the fleet)");
		return err_wrap(err, "ec2:DescribeInstances");
	}
	if (xml_parse(buf_str(&answer), answer.len, on_element, d, err))
		return err_wrap(err, "ec2:DescribeInstances: the answer");
	return d->is_answer ? 0 : err_set(err, ERR_REMOTE, "ec2:DescribeInstances: the answer is none");
}

int ec2_describe_instances(struct aws *aws, const char *tag_key, struct arena *arena,
			   struct ec2_instance **ret_instances, size_t *ret_count, struct err *err) {
	struct describing d = {.arena = arena};
	int rc = 0;
	size_t pages = 0;
	do rc = one_page(aws, tag_key, &d, err);
	while (!rc && d.next_token && ++pages < PAGES_MAX && d.instances.count <= EC2_INSTANCES_MAX);
	if (!rc && (d.next_token || d.instances.count > EC2_INSTANCES_MAX))
		rc = err_set(err, ERR_LIMIT, "more than %d instances", EC2_INSTANCES_MAX);
	if (!rc) {
		*ret_count = d.instances.count;
		*ret_instances = arena_alloc(arena, (d.instances.count + 1) * sizeof **ret_instances);
		if (d.instances.count)
			memcpy(*ret_instances, d.instances.items, d.instances.count * sizeof **ret_instances);
	}
	vec_clear(&d.instances);
	return rc;
}

const char *ec2_tag_value(const struct ec2_instance *instance, const char *key) {
	for (size_t i = 0; i < instance->tag_count; i++)
		if (str_eq(instance->tags[i].key, key)) return instance->tags[i].value;
	return "";
}
