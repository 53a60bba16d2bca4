/*
 * IMDSv2 (EC2 User Guide, "Use the Instance Metadata Service to access instance metadata"): a token by PUT, lists of
 * names below a directory, 401 without a valid token, 400 for a bad TTL, 403 for a versioned token path and for a PUT
 * that came through a proxy.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "world.h"

#define TTL_MAX 21600

static const struct {
	const char *path, *value;
} table[] = {
	{"meta-data/ami-id", "ami-0123456789abcdef0"},
	{"meta-data/ami-launch-index", "0"},
	{"meta-data/hostname", "ip-10-0-0-10.ec2.internal"},
	{"meta-data/instance-action", "none"},
	{"meta-data/instance-id", "i-0abc123def4567890"},
	{"meta-data/instance-life-cycle", "on-demand"},
	{"meta-data/instance-type", "t3.medium"},
	{"meta-data/local-hostname", "ip-10-0-0-10.ec2.internal"},
	{"meta-data/local-ipv4", "10.0.0.10"},
	{"meta-data/mac", "02:00:00:00:00:10"},
	{"meta-data/placement/availability-zone", "us-east-1a"},
	{"meta-data/placement/availability-zone-id", "use1-az1"},
	{"meta-data/placement/region", "us-east-1"},
	{"meta-data/profile", "default-hvm"},
	{"meta-data/reservation-id", "r-0123456789abcdef0"},
	{"meta-data/services/domain", "amazonaws.com"},
	{"meta-data/services/partition", "aws"},
};

/* The value of a path by override or table, NULL if absent. */
static const char *value_of(const struct world *world, const char *path) {
	for (size_t i = world->override_count; i-- > 0;)
		if (strcmp(world->overrides[i].path, path) == 0) return world->overrides[i].value;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i].path, path) == 0) return table[i].value;
	return NULL;
}

static const char *value_or(const struct world *world, const char *path, const char *otherwise) {
	const char *value = value_of(world, path);

	return value ? value : otherwise;
}

const char *imds_instance_id(const struct world *world) { return value_or(world, "meta-data/instance-id", ""); }

static void iso_time(char *out, size_t size, int64_t epoch_s) {
	time_t t = (time_t)epoch_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static char *identity_document(const struct world *w) {
	return text_print("{\n  \"accountId\" : \"123456789012\",\n  \"architecture\" : \"x86_64\",\n"
			  "  \"availabilityZone\" : \"%s\",\n  \"imageId\" : \"%s\",\n  \"instanceId\" : \"%s\",\n"
			  "  \"instanceType\" : \"%s\",\n  \"pendingTime\" : \"2026-11-20T12:00:00Z\",\n"
			  "  \"privateIp\" : \"%s\",\n  \"region\" : \"%s\",\n  \"version\" : \"2017-09-30\"\n}",
			  value_or(w, "meta-data/placement/availability-zone", ""), value_or(w, "meta-data/ami-id", ""),
			  imds_instance_id(w), value_or(w, "meta-data/instance-type", ""),
			  value_or(w, "meta-data/local-ipv4", ""), value_or(w, "meta-data/placement/region", ""));
}

static char *credentials(const struct world *w, const struct fault *fault) {
	char updated[32], expires[32];
	const char *code = fault->creds_code[0] ? fault->creds_code : w->creds_code;
	int64_t now = wall_ms() / 1000;

	iso_time(updated, sizeof updated, now - 60);
	iso_time(expires, sizeof expires, fault->is_expired ? now - 600 : now + w->creds_live_s);
	if (strcmp(code, "Success") != 0)
		return text_print("{\n  \"Code\" : \"%s\",\n  \"Message\" : \"EC2 cannot assume the role %s.\",\n"
				  "  \"LastUpdated\" : \"%s\"\n}",
				  code, w->role, updated);
	return text_print("{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"%s\",\n  \"Type\" : \"AWS-HMAC\",\n"
			  "  \"AccessKeyId\" : \"%s\",\n  \"SecretAccessKey\" : \"%s\",\n  \"Token\" : \"%s\",\n"
			  "  \"Expiration\" : \"%s\"\n}",
			  updated, w->access_key, w->secret_key, w->session_token, expires);
}

/* What is made when it is asked for; malloc, NULL if path is none of these. */
static char *made_value(const struct world *w, const char *path, const struct fault *fault) {
	const char *creds = "meta-data/iam/security-credentials/", *tags = "meta-data/tags/instance/";

	if (value_of(w, path)) return text_dup(value_of(w, path));
	if (strcmp(path, "dynamic/instance-identity/document") == 0) return identity_document(w);
	if (w->role[0] && text_starts(path, "meta-data/iam/")) {
		if (strcmp(path, "meta-data/iam/info") == 0)
			return text_print("{\n  \"Code\" : \"Success\",\n  \"InstanceProfileArn\" : "
					  "\"arn:aws:iam::123456789012:instance-profile/%s\"\n}",
					  w->role);
		if (strcmp(path, creds) == 0 || strcmp(path, "meta-data/iam/security-credentials") == 0)
			return text_dup(w->role);
		if (text_starts(path, creds) && strcmp(path + strlen(creds), w->role) == 0)
			return credentials(w, fault);
	}
	if (w->has_metadata_tags && text_starts(path, tags))
		for (size_t i = 0; i < w->tag_count; i++)
			if (strcmp(w->tags[i].key, path + strlen(tags)) == 0) return text_dup(w->tags[i].value);
	return NULL;
}

static void add_name(char **names, size_t *count, const char *rest) {
	size_t len = strcspn(rest, "/");
	char *name = must(strndup(rest, len + (rest[len] == '/')));

	for (size_t i = 0; i < *count; i++) {
		if (strcmp(names[i], name) == 0) {
			free(name);
			return;
		}
	}
	names[(*count)++] = name;
}

/* The names below a directory, LF between them; NULL if there are none. */
static char *listing(const struct world *w, const char *path) {
	char *names[OVERRIDES_MAX + 64], *text = NULL;
	size_t count = 0, len = 0;
	char *dir = text_print("%s%s", path, *path && path[strlen(path) - 1] != '/' ? "/" : "");

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (text_starts(table[i].path, dir) && value_of(w, table[i].path))
			add_name(names, &count, table[i].path + strlen(dir));
	for (size_t i = 0; i < w->override_count; i++)
		if (text_starts(w->overrides[i].path, dir) && value_of(w, w->overrides[i].path))
			add_name(names, &count, w->overrides[i].path + strlen(dir));
	if (strcmp(dir, "meta-data/") == 0 && w->role[0]) add_name(names, &count, "iam/");
	if (strcmp(dir, "meta-data/iam/") == 0 && w->role[0]) {
		add_name(names, &count, "info");
		add_name(names, &count, "security-credentials/");
	}
	if (strcmp(dir, "meta-data/tags/instance/") == 0 && w->has_metadata_tags)
		for (size_t i = 0; i < w->tag_count; i++) add_name(names, &count, w->tags[i].key);
	free(dir);
	if (!count) return NULL;
	FILE *f = must(open_memstream(&text, &len));
	for (size_t i = 0; i < count; i++) {
		fprintf(f, "%s%s", i ? "\n" : "", names[i]);
		free(names[i]);
	}
	fclose(f);
	return text;
}

static void plain(struct answer *answer, int status) {
	http_answer(answer, status, "text/html", text_print("<html><body><h1>%d</h1></body></html>\n", status));
}

/* The path below /latest/ or /YYYY-MM-DD/, NULL if it is neither. */
static const char *below_version(const char *path) {
	if (text_starts(path, "/latest/")) return path + 8;
	if (strlen(path) > 12 && strspn(path + 1, "0123456789-") == 10 && path[11] == '/') return path + 12;
	return NULL;
}

enum kind imds_kind(const struct request *request) {
	const char *path = below_version(request->path);

	if (!path) return KIND_COUNT;
	if (strcmp(path, "api/token") == 0) return KIND_TOKEN;
	if (text_starts(path, "meta-data/iam/security-credentials")) return KIND_CREDS;
	return KIND_METADATA;
}

static void serve_token(struct world *world, const struct request *request, struct answer *answer) {
	const char *ttl_text = http_get_header(request, "x-aws-ec2-metadata-token-ttl-seconds");
	char *end = NULL;
	long ttl = ttl_text ? strtol(ttl_text, &end, 10) : 0;
	unsigned char bytes[24];

	if (http_get_header(request, "x-forwarded-for") || !text_starts(request->path, "/latest/"))
		return plain(answer, 403);
	if (!ttl_text || !*ttl_text || *end || ttl < 1 || ttl > TTL_MAX) return plain(answer, 400);
	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) abort();
	struct token *token = &world->tokens[world->token_next++ % TOKENS_MAX];
	for (size_t i = 0; i < sizeof bytes; i++) snprintf(token->text + 2 * i, 3, "%02x", bytes[i]);
	token->expires_at = mono_ms() + ttl * 1000;
	snprintf(answer->extra, sizeof answer->extra, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: %ld\r\n", ttl);
	http_answer(answer, 200, "text/plain", text_dup(token->text));
}

static bool has_token(const struct world *world, const struct request *request) {
	const char *told = http_get_header(request, "x-aws-ec2-metadata-token");

	for (size_t i = 0; told && *told && i < TOKENS_MAX; i++)
		if (strcmp(world->tokens[i].text, told) == 0) return world->tokens[i].expires_at > mono_ms();
	return false;
}

void imds_serve(struct world *world, const struct request *request, const struct fault *fault, struct answer *answer) {
	const char *path = below_version(request->path);
	bool is_get = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;

	if (world->is_metadata_off) return plain(answer, 403);
	if (strcmp(path, "api/token") == 0 && strcmp(request->method, "PUT") == 0)
		return serve_token(world, request, answer);
	if (!is_get) return plain(answer, 405);
	if (!has_token(world, request)) return plain(answer, 401);
	char *value = made_value(world, path, fault);
	if (!value) value = listing(world, path);
	if (!value) return plain(answer, 404);
	http_answer(answer, 200, strcmp(path, "user-data") == 0 ? "application/octet-stream" : "text/plain", value);
}
