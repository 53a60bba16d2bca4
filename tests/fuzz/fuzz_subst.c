#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/subst.h"
#include "fuzz.h"

static const char *lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err) {
	(*(size_t *)arg)++;
	FUZZ_CLAIM(strchr(name, '.') && !strpbrk(name, "${} \n"));
	if (str_eq(name, "vars.a")) return "value";
	*ret_is_known_later = str_eq(name, "vars.later");
	if (!*ret_is_known_later) (void)err_set(err, ERR_INVALID, "unknown");
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	char *text AUTO_FREE = fuzz_text(data, len);
	struct arena arena AUTO_ARENA = {0};
	struct err err = {0};
	const char *expanded = NULL;
	size_t offset = 0, lookups = 0;
	int rc = subst_expand(text, lookup, &lookups, &arena, &expanded, &offset, &err);
	FUZZ_CLAIM((rc == 0) == (expanded != NULL));
	FUZZ_CLAIM(rc == 0 || (err.msg[0] && (str_starts(text + offset, "${") || offset == 0)));
	FUZZ_CLAIM(subst_has(text) || (rc == 0 && lookups == 0));
	FUZZ_CLAIM(strchr(text, '$') || str_eq(expanded, text));
	return 0;
}
