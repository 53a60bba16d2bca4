/*
 * The EC2 query API, version 2016-11-15: CreateTags and DescribeTags of one instance, signatures checked. Limits and
 * codes: EC2 User Guide, "Tag restrictions"; EC2 API Reference, "Error codes".
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define XMLNS "http://ec2.amazonaws.com/doc/2016-11-15/"
#define REQUEST_ID "59dbff89-35bd-4eac-99ed-be587EXAMPLE"

enum kind ec2_kind(const struct request *request) {
	enum kind kind = KIND_OTHER;
	char *action = http_form_value(request->body ? request->body : "", "Action");

	if (!action) action = http_form_value(request->query, "Action");
	if (action && strcmp(action, "CreateTags") == 0) kind = KIND_CREATE_TAGS;
	if (action && strcmp(action, "DescribeTags") == 0) kind = KIND_DESCRIBE_TAGS;
	free(action);
	return kind;
}

void ec2_error(struct answer *answer, int status, const char *code, const char *message) {
	char *text = NULL;
	size_t len = 0;
	FILE *f = must(open_memstream(&text, &len));

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>", f);
	text_xml(f, code);
	fputs("</Code><Message>", f);
	text_xml(f, message);
	fputs("</Message></Error></Errors><RequestID>" REQUEST_ID "</RequestID></Response>", f);
	fclose(f);
	http_answer(answer, status, "text/xml;charset=UTF-8", text);
}

/* The value of NAME.N[.SUB] in the form. */
static char *indexed(const char *form, const char *name, size_t n, const char *sub) {
	char *full = text_print("%s.%zu%s", name, n, sub);
	char *value = http_form_value(form, full);

	free(full);
	return value;
}

/* What EC2 says against a tag, NULL if nothing. The characters are those allowed with tags in instance metadata. */
static const char *tag_problem(const struct world *world, const char *key, const char *value) {
	static const char metadata_safe[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_+=,.@:";

	if (!*key || text_characters(key) > 128) return "Tag keys are 1 to 128 characters.";
	if (text_characters(value) > 256) return "Tag values are at most 256 characters.";
	if (text_starts(key, "aws:")) return "Tag keys starting with 'aws:' are reserved for internal use";
	if (world->has_metadata_tags && strspn(key, metadata_safe) != strlen(key))
		return "Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}) when instance metadata tags are "
		       "enabled.";
	return NULL;
}

static bool read_tags(const struct world *world, const char *form, struct history_item *item, struct answer *answer) {
	for (size_t n = 1; n <= TAGS_MAX + 1; n++) {
		char *key = indexed(form, "Tag", n, ".Key"), *value = indexed(form, "Tag", n, ".Value");
		const char *problem = key ? tag_problem(world, key, value ? value : "") : NULL;
		if (key && item->count == TAGS_MAX) problem = "The maximum number of tags is 50.";
		if (problem) {
			ec2_error(answer, 400, n > TAGS_MAX ? "TagLimitExceeded" : "InvalidParameterValue", problem);
			free(key);
			free(value);
			return false;
		}
		if (!key) {
			free(value);
			break;
		}
		item->tags[item->count++] = (struct tag){key, value ? value : text_dup("")};
	}
	if (item->count) return true;
	ec2_error(answer, 400, "MissingParameter", "The request must contain the parameter Tag.");
	return false;
}

/* How many tags there would be, with those that are new. */
static size_t count_after(const struct world *world, const struct history_item *item) {
	size_t count = world->tag_count;

	for (size_t i = 0; i < item->count; i++) {
		bool is_new = true;
		for (size_t k = 0; k < world->tag_count; k++)
			if (strcmp(world->tags[k].key, item->tags[i].key) == 0) is_new = false;
		count += is_new;
	}
	return count;
}

static void create_tags(struct world *world, const char *form, struct answer *answer) {
	struct history_item item = {.at_ms = wall_ms(), .resource = indexed(form, "ResourceId", 1, "")};
	bool is_known = item.resource && strcmp(item.resource, imds_instance_id(world)) == 0;
	char *dry = http_form_value(form, "DryRun");
	bool is_dry = dry && strcmp(dry, "true") == 0;

	free(dry);
	if (is_dry) {
		ec2_error(answer, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
	} else if (!is_known) {
		ec2_error(answer, 400, "InvalidInstanceID.NotFound", "The instance ID does not exist");
	} else if (read_tags(world, form, &item, answer)) {
		if (count_after(world, &item) > TAGS_MAX) {
			ec2_error(answer, 400, "TagLimitExceeded", "The maximum number of tags is 50.");
		} else {
			for (size_t i = 0; i < item.count; i++) tags_set(world, item.tags[i].key, item.tags[i].value);
			if (world->history_count < HISTORY_MAX) {
				world->history =
					must(realloc(world->history, (world->history_count + 1) * sizeof item));
				world->history[world->history_count++] = item;
			}
			http_answer(
				answer, 200, "text/xml;charset=UTF-8",
				text_dup(
					"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CreateTagsResponse xmlns=\"" XMLNS
					"\"><requestId>" REQUEST_ID
					"</requestId><return>true</return></CreateTagsResponse>"));
			return;
		}
	}
	for (size_t i = 0; i < item.count; i++) {
		free(item.tags[i].key);
		free(item.tags[i].value);
	}
	free(item.resource);
}

/* True if one of the filter's values fits; filters know `*` and `?` (EC2 API Reference, "DescribeTags"). */
static bool filter_fits(const char *form, size_t n, const char *actual) {
	char *base = text_print("Filter.%zu.Value", n), *value;
	bool fits = false;

	for (size_t k = 1; !fits && (value = indexed(form, base, k, "")); k++) {
		fits = fnmatch(value, actual, 0) == 0;
		free(value);
	}
	free(base);
	return fits;
}

static bool is_wanted(const struct world *world, const char *form, const struct tag *tag) {
	bool fits = true;
	char *name;

	for (size_t n = 1; fits && (name = indexed(form, "Filter", n, ".Name")); n++) {
		if (strcmp(name, "resource-id") == 0)
			fits = filter_fits(form, n, imds_instance_id(world));
		else if (strcmp(name, "resource-type") == 0)
			fits = filter_fits(form, n, "instance");
		else if (strcmp(name, "key") == 0)
			fits = filter_fits(form, n, tag->key);
		else if (strcmp(name, "value") == 0)
			fits = filter_fits(form, n, tag->value);
		free(name);
	}
	return fits;
}

static void describe_tags(struct world *world, const char *form, struct answer *answer) {
	char *text = NULL, *next = http_form_value(form, "NextToken"), *most = http_form_value(form, "MaxResults");
	size_t len = 0, start = next ? strtoul(next, NULL, 10) : 0, page = most ? strtoul(most, NULL, 10) : TAGS_MAX;
	size_t sent = 0, i = start;
	FILE *f = must(open_memstream(&text, &len));

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeTagsResponse xmlns=\"" XMLNS
	      "\"><requestId>" REQUEST_ID "</requestId><tagSet>",
	      f);
	for (; i < world->tag_count && sent < page; i++) {
		if (!is_wanted(world, form, &world->tags[i])) continue;
		sent++;
		fprintf(f, "<item><resourceId>%s</resourceId><resourceType>instance</resourceType><key>",
			imds_instance_id(world));
		text_xml(f, world->tags[i].key);
		fputs("</key><value>", f);
		text_xml(f, world->tags[i].value);
		fputs("</value></item>", f);
	}
	fputs("</tagSet>", f);
	if (i < world->tag_count) fprintf(f, "<nextToken>%zu</nextToken>", i);
	fputs("</DescribeTagsResponse>", f);
	fclose(f);
	free(next);
	free(most);
	http_answer(answer, 200, "text/xml;charset=UTF-8", text);
}

void ec2_serve(struct world *world, const struct request *request, const struct fault *fault, struct answer *answer) {
	const char *form = request->body && request->body_len ? request->body : request->query;
	enum kind kind = ec2_kind(request);
	struct refusal refusal;

	if (!sigv4_verify(world, request, "ec2", fault->skew_s, &refusal)) {
		ec2_error(answer, refusal.status, refusal.code, refusal.message);
	} else if (kind == KIND_CREATE_TAGS) {
		create_tags(world, form, answer);
	} else if (kind == KIND_DESCRIBE_TAGS) {
		describe_tags(world, form, answer);
	} else {
		ec2_error(answer, 400, "InvalidAction", "The action is not valid for this web service.");
	}
}
