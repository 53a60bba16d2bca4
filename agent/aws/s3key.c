#include "aws/s3key.h"

#include <limits.h>
#include <string.h>

#include "aws/s3.h"
#include "base/err.h"
#include "base/str.h"

bool s3key_is_folder(const char *key) { return str_ends(key, "/"); }

/* One part of n bytes; is_last: nothing follows. */
static int check_part(const char *part, size_t n, bool is_last, struct err *err) {
	if (!n) return err_set(err, ERR_INVALID, "no file can have the name: it has an empty part between slashes");
	if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
		return err_set(err, ERR_INVALID,
			       "no file can have the name: its part '%.*s' would lead elsewhere; nothing was written",
			       (int)n, part);
	if (n > NAME_MAX)
		return err_set(err, ERR_INVALID,
			       "no file can have the name: a part of it is %zu bytes long, %d are the most", n,
			       NAME_MAX);
	if (is_last && s3_is_temporary(part))
		return err_set(err, ERR_INVALID,
			       "the name is of the kind that dsagent gives unfinished files: it is left alone");
	return 0;
}

int s3key_check(const char *key, struct err *err) {
	if (!*key) return err_set(err, ERR_INVALID, "the name is empty");
	for (const char *part = key;;) {
		size_t n = strcspn(part, "/");
		bool is_last = !part[n];
		int rc = check_part(part, n, is_last, err);
		if (rc || is_last || !part[n + 1]) return rc; /* one slash at the end is a folder's */
		part += n + 1;
	}
}

int s3key_check_path(const char *prefix, const char *path, struct err *err) {
	size_t n = strlen(prefix) + strlen(path);
	if (n > S3_KEY_MAX)
		return err_set(err, ERR_INVALID, "the key would be %zu bytes long, %d are the most", n, S3_KEY_MAX);
	if (!str_is_utf8(path, strlen(path)))
		return err_set(err, ERR_INVALID, "the name is not UTF-8, which keys must be: rename the file");
	return 0;
}
