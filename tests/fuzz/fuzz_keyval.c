#include "fmt/keyval.h"
#include "fuzz.h"

static void on_pair(const char *section, const char *key, const char *value, void *arg) {
	FUZZ_CLAIM(*key && !strchr(key, '=') && !strchr(key, '\n') && !strchr(value, '\n') && !strchr(section, '\n'));
	FUZZ_CLAIM(strlen(key) + strlen(value) <= *(const size_t *)arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	keyval_os_release((const char *)data, len, on_pair, &len);
	keyval_ini((const char *)data, len, on_pair, &len);
	return 0;
}
