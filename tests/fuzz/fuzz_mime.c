#include "base/arena.h"
#include "base/err.h"
#include "fmt/mime.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct arena arena AUTO_ARENA = {0};
	struct mime_part *parts = NULL;
	size_t count = 0, total = 0;
	struct err err = {0};
	(void)mime_is((const char *)data, len); /* no claim: both answers are fine for any bytes */
	int rc = mime_parse((const char *)data, len, &arena, &parts, &count, &err);
	FUZZ_CLAIM((rc == 0) == (parts != NULL) && (rc == 0) == (err.msg[0] == '\0'));
	if (rc < 0) return 0;
	FUZZ_CLAIM(count <= MIME_PARTS_MAX);
	for (size_t i = 0; i < count; i++) {
		FUZZ_CLAIM(parts[i].type && parts[i].data && parts[i].data[parts[i].len] == '\0');
		total += parts[i].len;
	}
	FUZZ_CLAIM(total <= len); /* no encoding makes more of less */
	return 0;
}
