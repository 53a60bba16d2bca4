/*
 * Where a request goes. Sources: botocore's partitions.json and endpoint rule sets (e2e/test_signer.py compares); S3
 * User Guide, "Virtual hosting of buckets": a bucket is part of the host name unless it holds dots (the wildcard
 * certificate covers one label) or the endpoint is one's own; "Using dual-stack endpoints"; AWS SDKs and Tools
 * Reference Guide, "Service-specific endpoints", "Dual-stack and FIPS endpoints".
 */
#include <ctype.h>
#include <strings.h>

#include "aws/call.h"
#include "aws/call_private.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

const char *aws_env(const char *const *env, const char *name) {
	size_t len = strlen(name);

	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=' && env[i][len + 1]) return env[i] + len + 1;
	return NULL;
}

/* True for NAME=true, in any case. */
static bool is_true(const char *const *env, const char *name) {
	const char *value = aws_env(env, name);

	return value && strcasecmp(value, "true") == 0;
}

/** A partition by how its regions begin; more special prefixes first. */
struct partition {
	const char *prefix, *domain;
	const char *dualstack; /* the domain of endpoints that speak IPv6 too; S3 has them below the first one */
};

static const struct partition *partition_of(const char *region) {
	static const struct partition rows[] = {
		{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
		{"us-gov-", "amazonaws.com", "api.aws"},
		{"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
		{"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
		{"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
		{"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
		{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
		{"", "amazonaws.com", "api.aws"},
	};
	const struct partition *p = rows;

	while (!str_starts(region, p->prefix)) p++;
	return p;
}

const char *aws_domain_for_region(const char *region) { return partition_of(region ? region : "")->domain; }

static const char *upper(const char *s, struct arena *arena) {
	char *copy = arena_strdup(arena, s);

	for (char *p = copy; *p; p++) *p = (char)toupper((unsigned char)*p);
	return copy;
}

/** What is asked of the endpoint of one service. */
struct wish {
	const char *service, *own; /* own: the URL that the user set, or NULL */
	bool uses_dualstack, uses_fips;
};

static struct wish wish_of(const struct aws *aws, const struct aws_request *req, struct arena *arena) {
	return (struct wish){
		.service = req->service,
		.own = aws_own_endpoint(aws, req->service, req->endpoint_url, arena),
		.uses_dualstack = req->uses_dualstack || is_true(aws->env, "AWS_USE_DUALSTACK_ENDPOINT"),
		.uses_fips = is_true(aws->env, "AWS_USE_FIPS_ENDPOINT"),
	};
}

const char *aws_own_endpoint(const struct aws *aws, const char *service, const char *url, struct arena *arena) {
	const char *of_service = arena_printf(arena, "AWS_ENDPOINT_URL_%s", upper(service, arena));

	if (url) return url;
	if (is_true(aws->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) return NULL;
	url = aws_env(aws->env, of_service);
	return url ? url : aws_env(aws->env, "AWS_ENDPOINT_URL");
}

/** "https://s3-fips.dualstack.us-east-1.amazonaws.com", "https://ec2-fips.us-east-1.api.aws" */
static const char *public_endpoint(const struct aws *aws, const struct wish *wish, const char *region,
				   struct arena *arena) {
	const struct partition *p = partition_of(region);
	bool is_s3 = str_eq(wish->service, "s3");
	/* In GovCloud all endpoints but S3's are FIPS's by their plain name. */
	bool is_plain = !is_s3 && !wish->uses_dualstack && str_eq(p->prefix, "us-gov-");
	const char *domain = aws->domain ? aws->domain : p->domain;

	return arena_printf(arena, "https://%s%s%s.%s.%s", wish->service, wish->uses_fips && !is_plain ? "-fips" : "",
			    is_s3 && wish->uses_dualstack ? ".dualstack" : "", region,
			    !is_s3 && wish->uses_dualstack ? p->dualstack : domain);
}

static const char *endpoint_in(const struct aws *aws, const struct wish *wish, const char *region,
			       struct arena *arena) {
	size_t len = wish->own ? strlen(wish->own) : 0;

	if (!wish->own) return public_endpoint(aws, wish, region, arena);
	while (len > 0 && wish->own[len - 1] == '/') len--;
	return arena_dup(arena, wish->own, len);
}

/** Whoever asks for FIPS has a reason: what cannot be had is refused, as the AWS SDKs do. */
static int check_fips(const struct wish *wish, const char *region, struct err *err) {
	if (!wish->uses_fips) return 0;
	if (wish->own)
		return err_set(err, ERR_INVALID,
			       "AWS_USE_FIPS_ENDPOINT and the endpoint '%.200s' exclude each other: unset one of them",
			       wish->own);
	if (str_eq(wish->service, "s3") && str_starts(region, "cn-"))
		return err_set(err, ERR_INVALID,
			       "S3 has no FIPS endpoints in China (%.80s): unset AWS_USE_FIPS_ENDPOINT", region);
	return 0;
}

/** True for a text of letters, digits and the given other characters, min to max bytes long. */
static bool is_word(const char *s, const char *others, size_t min, size_t max) {
	size_t len = strlen(s);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(others, s[i])) return false;
	return len >= min && len <= max;
}

/** True when the bucket may be one label of a host name. */
static bool is_label(const char *bucket) {
	for (const char *p = bucket; *p; p++)
		if (isupper((unsigned char)*p)) return false;
	return is_word(bucket, "-", 3, 63) && *bucket != '-' && !str_ends(bucket, "-");
}

/** Splits "https://host:port/prefix"; the default port goes, as libcurl leaves it out of the Host header. */
static int split_endpoint(const char *url, struct arena *arena, const char **ret_scheme, const char **ret_host,
			  const char **ret_prefix, struct err *err) {
	bool is_https = strncasecmp(url, "https://", 8) == 0;
	const char *start = url + (is_https ? 8 : 7), *port = is_https ? ":443" : ":80";
	char *host;

	if (!is_https && strncasecmp(url, "http://", 7) != 0)
		return err_set(err, ERR_INVALID, "the endpoint '%.200s' must begin with https:// or http://", url);
	host = arena_dup(arena, start, strcspn(start, "/"));
	if (!is_word(host, "-.:[]", 1, 300))
		return err_set(err, ERR_INVALID, "the endpoint's host must be a name or address, with a port at most");
	*ret_prefix = start + strlen(host);
	if (!is_word(*ret_prefix, "/-._~", 0, 300))
		return err_set(err, ERR_INVALID, "the endpoint's path must hold only letters, digits and /-._~");
	if (str_ends(host, port)) host[strlen(host) - strlen(port)] = '\0';
	*ret_scheme = is_https ? "https" : "http";
	*ret_host = host;
	return 0;
}

int call_aim(const struct aws *aws, const struct aws_request *req, const char *region, struct arena *arena,
	     struct call_target *ret_target, struct err *err) {
	const struct wish wish = wish_of(aws, req, arena);
	bool is_own = wish.own != NULL, has_bucket_host;
	const char *scheme = "", *host = "", *prefix = "", *path = str_is_empty(req->path) ? "/" : req->path;

	if (str_is_empty(region) && is_own) region = "us-east-1"; /* own servers do not care */
	if (str_is_empty(region))
		return err_set(err, ERR_INVALID, "no AWS region is known: set AWS_REGION (for example eu-central-1)");
	if (!is_word(region, "-", 2, CALL_WORD_SIZE - 1))
		return err_set(err, ERR_INVALID, "'%.80s' is not the name of an AWS region", region);
	if (req->bucket && !is_word(req->bucket, "-._", 3, 255))
		return err_set(err, ERR_INVALID,
			       "'%.80s' is not the name of a bucket (3 to 63 lower-case letters, digits, '-' and '.'; "
			       "ARNs are not supported)",
			       req->bucket);
	if (check_fips(&wish, region, err) != 0) return -(int)err->code;
	if (split_endpoint(endpoint_in(aws, &wish, region, arena), arena, &scheme, &host, &prefix, err) != 0)
		return -(int)err->code;
	has_bucket_host = req->bucket && !is_own && is_label(req->bucket);
	if (has_bucket_host) host = arena_printf(arena, "%s.%s", req->bucket, host);
	if (req->bucket && !has_bucket_host) prefix = arena_printf(arena, "%s/%s", prefix, req->bucket);
	*ret_target = (struct call_target){
		.origin = arena_printf(arena, "%s://%s", scheme, host),
		.host = host,
		.path = arena_printf(arena, "%s%s", prefix, path),
		.region = region,
		.is_own = is_own,
	};
	return 0;
}
