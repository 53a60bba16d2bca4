#include "aws/s3url.h"

#include <string.h>

#include "aws/s3.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define SCHEME "s3://"
/* S3 User Guide, "Bucket naming rules": 3 to 63; older buckets of us-east-1 have up to 255. Other services have fewer.
 */
#define BUCKET_MAX 255

bool s3url_is(const char *text) { return str_starts(text, SCHEME); }

static bool is_bucket_name(const char *name) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t n = strlen(name);
	return n <= BUCKET_MAX && strspn(name, letters) == n && name[0] != '.' && name[0] != '-';
}

int s3url_parse(const char *text, struct arena *arena, struct s3url *ret_url, struct err *err) {
	if (!s3url_is(text)) return err_set(err, ERR_INVALID, "'%s' is no s3:// URL", text);
	const char *bucket = text + strlen(SCHEME);
	size_t n = strcspn(bucket, "/");
	struct s3url url = {.bucket = arena_dup(arena, bucket, n)};
	url.key = arena_strdup(arena, bucket[n] ? bucket + n + 1 : "");
	if (str_starts(bucket, "arn:"))
		return err_set(err, ERR_UNSUPPORTED,
			       "'%s' is an ARN: use the alias of the access point as the bucket's name", text);
	if (!n) return err_set(err, ERR_INVALID, "'%s' names no bucket: write s3://BUCKET/PREFIX", text);
	if (!is_bucket_name(url.bucket))
		return err_set(err, ERR_INVALID, "'%s' in '%s' is no name of a bucket", url.bucket, text);
	if (str_ends(url.bucket, "--x-s3"))
		return err_set(err, ERR_UNSUPPORTED,
			       "'%s' is a directory bucket (S3 Express One Zone), which needs sessions and lists in no "
			       "order: that is not supported",
			       url.bucket);
	if (strlen(url.key) > S3_KEY_MAX)
		return err_set(err, ERR_INVALID, "the key in '%.80s…' is longer than %d bytes", text, S3_KEY_MAX);
	*ret_url = url;
	return 0;
}

const char *s3url_folder(const char *key, struct arena *arena) {
	return !key[0] || str_ends(key, "/") ? key : arena_printf(arena, "%s/", key);
}
