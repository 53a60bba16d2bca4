#include "base/err.h"
#include "base/str.h"
#include "fmt/xml.h"
#include "fuzz.h"

struct seen {
	size_t left; /* elements until the parse is stopped */
	bool is_stopped;
};

static int on_element(const char *path, const char *text, void *arg) {
	struct seen *seen = arg;
	FUZZ_CLAIM(!seen->is_stopped);
	FUZZ_CLAIM(path[0] == '/' && strlen(text) <= XML_TEXT_MAX && str_is_utf8(text, strlen(text)));
	seen->is_stopped = seen->left == 0;
	if (seen->left) seen->left--;
	return seen->is_stopped;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct seen seen = {.left = len % 8 ? SIZE_MAX : len / 8 % 5};
	struct err err = {0};
	int rc = xml_parse((const char *)data, len, on_element, &seen, &err);
	FUZZ_CLAIM((rc == 0) == (err.msg[0] == '\0'));
	FUZZ_CLAIM(!seen.is_stopped || rc == 0);
	return 0;
}
