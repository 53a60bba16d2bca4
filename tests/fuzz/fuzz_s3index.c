/*
 * An index file as the disk may give it: the bytes as records, one after the other. What is read follows what was
 * before and, written again, is read the same.
 */
#include <string.h>

#include "aws/s3index_record.h"
#include "base/buf.h"
#include "fuzz.h"

#define OUT_MAX (64 * 1024)

static void check_again(const struct s3record *record) {
	AUTO_BUF struct buf out = BUF_INIT(OUT_MAX);
	struct s3record again = {.path = ""};

	s3record_put(&record->entry, "", &out);
	FUZZ_CLAIM(!out.has_overflowed && out.len <= S3RECORD_MAX);
	FUZZ_CLAIM(s3record_get((const unsigned char *)out.data, out.len, &again) == out.len);
	FUZZ_CLAIM(strcmp(again.path, record->path) == 0 && strcmp(again.etag, record->etag) == 0);
	FUZZ_CLAIM(again.entry.size == record->entry.size && again.entry.mtime_ns == record->entry.mtime_ns);
	FUZZ_CLAIM(again.entry.modified_at_ms == record->entry.modified_at_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct s3record record = {.path = ""};
	char before[S3RECORD_PATH_MAX + 1] = "";

	for (size_t at = 0, n; at < len; at += n) {
		n = s3record_get(data + at, len - at, &record);
		if (!n) break;
		FUZZ_CLAIM(n <= len - at);
		FUZZ_CLAIM(strcmp(before, record.path) < 0 && strlen(record.path) <= S3RECORD_PATH_MAX);
		FUZZ_CLAIM(strlen(record.etag) < S3_ETAG_MAX);
		memcpy(before, record.path, sizeof before);
		check_again(&record);
	}
	return 0;
}
