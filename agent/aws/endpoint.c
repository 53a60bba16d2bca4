/*
 * Where a request goes. Sources: botocore's endpoints.json for the partitions; S3 User Guide, "Virtual hosting of
 * buckets": a bucket is part of the host name unless it holds dots (the wildcard certificate covers one label) or the
 * endpoint is one's own.
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
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return env[i][len + 1] ? env[i] + len + 1 : NULL;
	return NULL;
}

const char *aws_domain_for_region(const char *region) {
	/* More special prefixes first. */
	static const struct {
		const char *prefix, *domain;
	} rows[] = {
		{"cn-", "amazonaws.com.cn"},   {"us-gov-", "amazonaws.com"},   {"us-iso-", "c2s.ic.gov"},
		{"us-isob-", "sc2s.sgov.gov"}, {"eu-isoe-", "cloud.adc-e.uk"}, {"us-isof-", "csp.hci.ic.gov"},
		{"eusc-", "amazonaws.eu"},
	};

	for (size_t i = 0; region && i < sizeof rows / sizeof *rows; i++)
		if (str_starts(region, rows[i].prefix)) return rows[i].domain;
	return "amazonaws.com";
}

static const char *upper(const char *s, struct arena *arena) {
	char *copy = arena_strdup(arena, s);

	for (char *p = copy; *p; p++) *p = (char)toupper((unsigned char)*p);
	return copy;
}

/** What is asked of the endpoint of one service. */
struct wish {
	const char *service, *url; /* url: set for this request alone, or NULL */
	bool uses_dualstack, uses_fips;
};

/** The endpoint that the user set for the service, or NULL. */
static const char *own_endpoint(const struct aws *aws, const struct wish *wish, struct arena *arena) {
	const char *url = aws_env(aws->env, arena_printf(arena, "AWS_ENDPOINT_URL_%s", upper(wish->service, arena)));
	const char *ignores = aws_env(aws->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

	if (wish->url) return wish->url;
	if (ignores && strcasecmp(ignores, "true") == 0) return NULL;
	return url ? url : aws_env(aws->env, "AWS_ENDPOINT_URL");
}

/** "https://s3-fips.dualstack.us-east-1.amazonaws.com": S3 User Guide, "Using dual-stack endpoints", and FIPS 140. */
static const char *endpoint_in(const struct aws *aws, const struct wish *wish, const char *region,
			       struct arena *arena) {
	const char *url = own_endpoint(aws, wish, arena);
	size_t len = url ? strlen(url) : 0;

	if (!url)
		return arena_printf(arena, "https://%s%s%s.%s.%s", wish->service, wish->uses_fips ? "-fips" : "",
				    wish->uses_dualstack ? ".dualstack" : "", region,
				    aws->domain ? aws->domain : aws_domain_for_region(region));
	while (len > 0 && url[len - 1] == '/') len--;
	return arena_dup(arena, url, len);
}

const char *aws_endpoint(const struct aws *aws, const char *service, struct arena *arena) {
	const struct wish wish = {.service = service};

	return endpoint_in(aws, &wish, str_is_empty(aws->region) ? "us-east-1" : aws->region, arena);
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
	const struct wish wish = {req->service, req->endpoint_url, req->uses_dualstack, req->uses_fips};
	bool is_own = own_endpoint(aws, &wish, arena) != NULL, has_bucket_host;
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
