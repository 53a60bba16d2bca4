/* A page of a listing in pieces, and the decoding of its keys. */
#include "aws/s3_page.h"
#include "base/err.h"
#include "fuzz.h"

static void check_page(const struct s3_page_reader *page) {
	for (size_t i = 0; i < page->objects.count; i++) {
		const struct s3_object *o = &page->objects.items[i];

		FUZZ_CLAIM(o->key && o->etag && o->storage_class && o->size >= 0);
		FUZZ_CLAIM(i == 0 || strcmp(page->objects.items[i - 1].key, o->key) < 0);
	}
	FUZZ_CLAIM(!page->is_truncated || page->token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	size_t step = len ? 1 + data[0] % 97U : 1;
	struct s3_page_reader page = {0};
	struct err err = {0};
	char *text = fuzz_text(data, len);
	size_t before = strlen(text);
	int rc = 0;

	FUZZ_CLAIM(!s3_url_decode(text, step % 2) || strlen(text) <= before);
	free(text);
	s3_page_open(&page);
	for (size_t at = 0; at < len && rc == 0; at += step)
		rc = s3_page_push(&page, data + at, len - at < step ? len - at : step, &err);
	if (rc == 0) rc = s3_page_end(&page, &err);
	FUZZ_CLAIM((rc == 0) == (err.msg[0] == '\0'));
	if (rc == 0) check_page(&page);
	s3_page_close(&page);
	return 0;
}
