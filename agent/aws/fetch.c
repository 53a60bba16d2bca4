#include "aws/fetch.h"

#include "aws/fetch_private.h"

#include <limits.h>
#include <strings.h>

#include "aws/call.h"
#include "aws/pause.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/digest.h"
#include "io/http.h"

#define TOTAL_TIMEOUT_MS (120 * 1000) /* a wheel of some megabytes over a slow line */

static const struct retry_policy policy = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 180 * 1000, .attempts = 4};

bool fetch_is_url(const char *url) {
	return str_starts(url, "https://") || str_starts(url, "http://") || str_starts(url, "s3://");
}

const char *fetch_visible(const char *url, struct arena *arena) {
	return fetch_is_url(url) && !str_starts(url, "s3://") ? arena_dup(arena, url, strcspn(url, "?#")) : url;
}

/** Where a Location leads from url (RFC 3986, 5.2, as far as servers use it). */
static const char *resolve(const char *url, const char *location, struct arena *arena) {
	const char *authority = strstr(url, "://") + 3;
	size_t origin_len = (size_t)(authority - url) + strcspn(authority, "/?#");
	size_t path_len = strcspn(url + origin_len, "?#");

	location = arena_dup(arena, location, strcspn(location, "#"));
	if (location[strcspn(location, ":/?")] == ':') return location; /* it has a scheme of its own */
	if (str_starts(location, "//")) return arena_printf(arena, "%.*s%s", (int)(authority - 2 - url), url, location);
	if (*location != '/') {
		while (path_len > 0 && url[origin_len + path_len - 1] != '/') path_len--;
		return arena_printf(arena, "%.*s%s%s", (int)(origin_len + path_len), url, path_len ? "" : "/",
				    location);
	}
	return arena_printf(arena, "%.*s%s", (int)origin_len, url, location);
}

int fetch_follow(const char *url, const char *location, struct arena *arena, const char **ret_url, struct err *err) {
	const char *next = resolve(url, location, arena);

	if (strncasecmp(next, "https://", 8) != 0 &&
	    (strncasecmp(url, "https://", 8) == 0 || strncasecmp(next, "http://", 7) != 0))
		return err_set(err, ERR_DENIED, "redirected to %s, which is not https", fetch_visible(next, arena));
	*ret_url = next;
	return 0;
}

bool fetch_is_redirect(int status) {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

int fetch_explain_status(int status, struct err *err) {
	enum err_code code = status == 404 || status == 410   ? ERR_NOT_FOUND
			     : status == 401 || status == 403 ? ERR_DENIED
							      : ERR_REMOTE;

	(void)err_set(err, code, "HTTP %d", status);
	err->is_retryable = status == 429 || status >= 500;
	return -(int)err->code;
}

/** One GET with its redirects. The answer's body goes to *body. */
static int get_once(struct fetch *fetch, const char *url, struct arena *arena, struct buf *body, struct err *err) {
	for (unsigned hops = 0;; hops++) {
		AUTO_HTTP_RESPONSE struct http_response answer = {0};
		AUTO_FREE char *location = NULL;
		const struct http_request req = {
			.method = "GET",
			.url = url,
			.connect_timeout_ms = FETCH_CONNECT_TIMEOUT_MS,
			.total_timeout_ms = TOTAL_TIMEOUT_MS,
			.body_max = body->max,
			.ca_file = fetch->aws ? aws_env(fetch->aws->env, "AWS_CA_BUNDLE") : NULL,
		};

		if (http_do(fetch->http, &req, &answer, err) != 0) return -(int)err->code;
		if (answer.status == 200) {
			buf_clear(body);
			*body = answer.body;
			answer.body = (struct buf){0};
			return 0;
		}
		location = fetch_is_redirect(answer.status) ? http_header(&answer, "Location") : NULL;
		if (!location) return fetch_explain_status(answer.status, err);
		if (hops == FETCH_REDIRECTS_MAX)
			return err_set(err, ERR_LIMIT, "more than %d redirects", FETCH_REDIRECTS_MAX);
		if (fetch_follow(url, location, arena, &url, err) != 0) return -(int)err->code;
	}
}

bool fetch_is_cancelled(const struct fetch *fetch) {
	return fetch->aws && fetch->aws->is_cancelled && fetch->aws->is_cancelled();
}

static int get_http(struct fetch *fetch, const char *url, struct buf *body, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	int64_t began_ms = clock_mono_ms();

	for (unsigned attempt = 1;; attempt++) {
		int64_t wait;

		if (fetch_is_cancelled(fetch)) return err_set(err, ERR_CANCELLED, "told to stop");
		if (get_once(fetch, url, &arena, body, err) == 0) return 0;
		wait = retry_wait_ms(&policy, attempt, clock_mono_ms() - began_ms, 0, clock_random(UINT64_MAX), err);
		if (wait == RETRY_STOP)
			return attempt == 1 ? -(int)err->code : err_wrap(err, "after %u tries", attempt);
		if (pause_ms(wait, fetch->aws ? fetch->aws->is_cancelled : NULL, "to fetch again", err) != 0)
			return -(int)err->code;
	}
}

int fetch_aim_s3(const struct fetch *fetch, const char *url, struct arena *arena, struct aws_request *req,
		 struct err *err) {
	const char *bucket = url + strlen("s3://"), *key = strchr(bucket, '/');

	if (!fetch->aws)
		return err_set(err, ERR_UNSUPPORTED,
			       "s3:// needs AWS credentials and a region, which are not in use here");
	if (!key || !key[1]) return err_set(err, ERR_INVALID, "no key after the bucket: write s3://bucket/key");
	if (strlen(key + 1) > FETCH_S3_KEY_MAX)
		return err_set(err, ERR_INVALID, "the key is longer than %d bytes", FETCH_S3_KEY_MAX);
	req->bucket = arena_dup(arena, bucket, (size_t)(key - bucket));
	req->path = key;
	return 0;
}

static int get_s3(struct fetch *fetch, const char *url, struct buf *body, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct buf answer = {0};
	struct aws_request req = {
		.service = "s3",
		.method = "GET",
		.body_max = body->max,
		.retry = policy,
		.connect_timeout_ms = FETCH_CONNECT_TIMEOUT_MS,
		.total_timeout_ms = TOTAL_TIMEOUT_MS,
	};

	if (fetch_aim_s3(fetch, url, &arena, &req, err) != 0) return -(int)err->code;
	if (aws_call(fetch->aws, &req, &answer, NULL, err) != 0) return -(int)err->code;
	buf_clear(body);
	*body = answer;
	return 0;
}

static int get_file(const char *path, struct buf *body, struct err *err) {
	AUTO_FS_ROOT struct fs_root root = {.fd = -1};
	AUTO_FREE char *absolute = NULL;
	char here[PATH_MAX];

	if (*path != '/') {
		if (!getcwd(here, sizeof here)) return err_set(err, ERR_IO, "the working directory cannot be named");
		absolute = mem_printf("%s/%s", here, path);
		path = absolute;
	}
	if (fs_root_open(NULL, &root, err) != 0) return -(int)err->code;
	return fs_read(&root, path, body, err);
}

/** True where plain http may be used without a hash: nobody sits in between. */
static bool is_loopback(const char *url) {
	const char *host = strstr(url, "://") + 3;
	size_t len = strcspn(host, "/?#");

	if (memchr(host, '@', len) || memchr(host, '\\', len)) return false;
	return str_starts(host, "[::1]") || (len - strspn(host, "0123456789.:") == 0 && str_starts(host, "127.")) ||
	       (str_starts(host, "localhost") && strchr(":/", host[strlen("localhost")]));
}

int fetch_check_plain(const char *url, bool has_hash, struct err *err) {
	if (!str_starts(url, "http://") || has_hash || is_loopback(url)) return 0;
	return err_set(err, ERR_DENIED, "plain http can be changed on its way: use https:// or give the SHA-256");
}

static int get(struct fetch *fetch, const char *url, bool has_hash, struct buf *body, struct err *err) {
	if (str_starts(url, "s3://")) return get_s3(fetch, url, body, err);
	if (!fetch_is_url(url)) return get_file(url, body, err);
	if (fetch_check_plain(url, has_hash, err) != 0) return -(int)err->code;
	return get_http(fetch, url, body, err);
}

/** Both as lower-case text; the expected one is checked for form first, so that a typing error is named as one. */
static int check_hash(const struct buf *body, const char *expected, struct err *err) {
	char actual[SHA256_HEX_SIZE];

	digest_sha256_hex(buf_str(body), body->len, actual);
	if (strcasecmp(actual, expected) == 0) return 0;
	return err_set(err, ERR_INVALID, "SHA-256 is %s, not %s as expected", actual, expected);
}

int fetch_get(struct fetch *fetch, const char *url, const char *sha256_hex, struct buf *body, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	int rc;

	buf_reset(body);
	if (sha256_hex && (strlen(sha256_hex) != SHA256_HEX_SIZE - 1 ||
			   strspn(sha256_hex, "0123456789abcdefABCDEF") != SHA256_HEX_SIZE - 1))
		return err_set(err, ERR_INVALID, "%s: '%.80s' is not a SHA-256: 64 hexadecimal digits are needed",
			       fetch_visible(url, &arena), sha256_hex);
	rc = get(fetch, url, sha256_hex != NULL, body, err);
	if (rc == 0 && sha256_hex) rc = check_hash(body, sha256_hex, err);
	if (rc == 0) return 0;
	buf_reset(body);
	return err_wrap(err, "%s", fetch_visible(url, &arena));
}
