/*
 * CreateTags is limited per account and region, for all instances and tools together (bucket 100, 10 a second: EC2 API
 * request throttling), so everything goes in one call, and only what has changed.
 */
#include "aws/ec2.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/ear.h"
#include "report/report.h"

enum tag_name {
	TAG_STATUS,
	TAG_PROGRESS,
	TAG_ERROR,
	TAG_RECIPE,
	TAG_UPDATED_AT,
	TAG_READY_AT,
	TAG_VERSION,
	TAG_GPU,    /* only once there is a verdict */
	TAG_BUNDLE, /* only when one was uploaded, or an older one's is to go */
	TAG_COUNT,
};

static const char *const keys[TAG_COUNT] = {"dsagent:status",  "dsagent:progress",   "dsagent:error",
					    "dsagent:recipe",  "dsagent:updated-at", "dsagent:ready-at",
					    "dsagent:version", "dsagent:gpu",	     "dsagent:bundle"};

struct tag_set {
	char values[TAG_COUNT][WORD_TEXT_SIZE];
};

struct tags_ear {
	struct ear ear;
	struct ear_host *host;
	struct tag_set sent;
	bool has_sent;
};

/* Cut to EC2's 256 characters. */
static void set_value(struct tag_set *set, enum tag_name name, const char *text) {
	size_t n = str_utf8_prefix(text, EC2_TAG_VALUE_MAX);
	memcpy(set->values[name], text, n);
	set->values[name][n] = '\0';
}

static void set_time(struct tag_set *set, enum tag_name name, int64_t at_ms) {
	char iso[CLOCK_ISO8601_SIZE];
	set_value(set, name, at_ms ? clock_iso8601(at_ms, iso) : "");
}

/* Empty values are sent too: an error or a ready time of an earlier run must not stay. */
static void fill(const struct word *word, struct tag_set *ret_set) {
	set_value(ret_set, TAG_STATUS, run_status_name(word->status));
	set_value(ret_set, TAG_PROGRESS, word->progress);
	set_value(ret_set, TAG_ERROR, word->error);
	set_value(ret_set, TAG_RECIPE, word->recipe);
	set_time(ret_set, TAG_UPDATED_AT, word->updated_at_ms);
	set_time(ret_set, TAG_READY_AT, word->ready_at_ms);
	set_value(ret_set, TAG_VERSION, word->version);
	set_value(ret_set, TAG_GPU, word->gpu);
	set_value(ret_set, TAG_BUNDLE, word->bundle);
}

static bool is_as_wanted(const struct tags_ear *t, const struct tag_set *wanted, enum tag_name name) {
	const char *value = wanted->values[name];
	if (name == TAG_GPU && value[0] == '\0') return true; /* no verdict in this run: an older one stays */
	/* Where none is ever uploaded the tag is not made. */
	if (name == TAG_BUNDLE && value[0] == '\0' && !t->host->conf->has_bundles) return true;
	return t->has_sent && str_eq(t->sent.values[name], value);
}

/* The tags that are not yet as wanted. The time goes along with others, it is never a reason. */
static size_t gather(const struct tags_ear *t, const struct tag_set *wanted, struct ec2_tag tags[TAG_COUNT]) {
	size_t count = 0;
	for (enum tag_name i = 0; i < TAG_COUNT; i++)
		if (i != TAG_UPDATED_AT && !is_as_wanted(t, wanted, i))
			tags[count++] = (struct ec2_tag){keys[i], wanted->values[i]};
	if (count) tags[count++] = (struct ec2_tag){keys[TAG_UPDATED_AT], wanted->values[TAG_UPDATED_AT]};
	return count;
}

static enum ear_need need(const struct ear *ear, const struct word *word) {
	const struct tags_ear *t = (const struct tags_ear *)ear;
	struct ec2_tag tags[TAG_COUNT];
	struct tag_set wanted;
	fill(word, &wanted);
	if (!gather(t, &wanted, tags)) return EAR_NOTHING;
	bool is_urgent = word->is_final || !is_as_wanted(t, &wanted, TAG_STATUS);
	return is_urgent ? EAR_NOW : EAR_LATER;
}

static int send_word(struct ear *ear, const struct word *word, struct err *err) {
	struct tags_ear *t = (struct tags_ear *)ear;
	struct ec2_tag tags[TAG_COUNT];
	struct tag_set wanted;
	struct aws *aws = NULL;
	fill(word, &wanted);
	size_t count = gather(t, &wanted, tags);
	int rc = ear_aws(t->host, &aws, err);
	if (!rc) rc = ec2_create_tags(aws, t->host->conf->instance_id, tags, count, &retry_once, err);
	if (rc) return rc;
	t->sent = wanted;
	t->has_sent = true;
	return 0;
}

static void free_ear(struct ear *ear) { free(ear); }

struct ear *ear_tags(struct ear_host *host) {
	struct tags_ear *t = mem_zalloc(sizeof *t);
	t->ear = (struct ear){.name = "EC2 tags",
			      .policy = &host->conf->tags_policy,
			      .need = need,
			      .send = send_word,
			      .free = free_ear};
	t->host = host;
	return &t->ear;
}
