#include "aws/s3_one.h"

#include "aws/call.h"
#include "base/err.h"

#define CONNECT_TIMEOUT_MS 5000
#define ANSWER_MAX (256 * 1024) /* a page of one key, with its names */

/* Bucket and "/key" of s3://bucket/key into req. */
static int aim(const char *url, struct arena *arena, struct aws_request *req, struct err *err) {
	if (!str_starts(url, "s3://")) return err_set(err, ERR_INVALID, "'%.200s' is not s3://bucket/key", url);
	const char *bucket = url + strlen("s3://");
	size_t len = strcspn(bucket, "/");
	req->bucket = arena_dup(arena, bucket, len);
	req->path = bucket[len] ? bucket + len : "/";
	return 0;
}

/* The remedy too, where it is a permission. */
static int explain(const char *url, const char *action, const char *code, struct err *err) {
	if (err->code == ERR_DENIED && str_eq(code, "AccessDenied"))
		return err_wrap(err, "%s: s3:%s is not allowed to this role", url, action);
	if (err->code == ERR_DENIED) return err_wrap(err, "%s: refused; s3:%s needs to be allowed", url, action);
	if (err->code == ERR_NOT_FOUND) return err_wrap(err, "%s is not there", url);
	return err_wrap(err, "%s", url);
}

static int ask(struct aws *aws, struct aws_request *req, const char *url, const char *action,
	       const struct retry_policy *retry, int64_t timeout_ms, struct arena *arena, struct err *err) {
	AUTO_BUF struct buf answer = {0};
	char code[64] = "";
	int rc = aim(url, arena, req, err);
	if (rc) return rc;
	req->service = "s3";
	req->body_max = ANSWER_MAX;
	req->retry = *retry;
	req->connect_timeout_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;
	req->total_timeout_ms = timeout_ms;
	return aws_call(aws, req, &answer, code, err) ? explain(url, action, code, err) : 0;
}

int s3_one_may_get(struct aws *aws, const char *url, const struct retry_policy *retry, int64_t timeout_ms,
		   struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct aws_request req = {.method = "HEAD"};
	return ask(aws, &req, url, "GetObject", retry, timeout_ms, &arena, err);
}

int s3_one_may_list(struct aws *aws, const char *url, const struct retry_policy *retry, int64_t timeout_ms,
		    struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	const char *bucket = str_starts(url, "s3://") ? url + strlen("s3://") : url;
	const char *prefix = strchr(bucket, '/') ? strchr(bucket, '/') + 1 : "";
	const char *const query[] = {"list-type", "2", "max-keys", "1", "prefix", prefix, NULL};
	struct aws_request req = {.method = "GET", .query = query};
	const char *whole = arena_dup(&arena, url, strlen(url) - strlen(prefix));
	int rc = ask(aws, &req, whole, "ListBucket", retry, timeout_ms, &arena, err);
	return rc && *prefix ? err_wrap(err, "prefix %s", prefix) : rc;
}

int s3_one_put(struct aws *aws, const char *url, const void *data, size_t len, const char *content_type,
	       const struct retry_policy *retry, int64_t timeout_ms, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct aws_request req = {.method = "PUT", .content_type = content_type, .body = data, .body_len = len};
	return ask(aws, &req, url, "PutObject", retry, timeout_ms, &arena, err);
}
