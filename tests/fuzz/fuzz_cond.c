#include "base/err.h"
#include "base/str.h"
#include "fuzz.h"
#include "recipe/cond.h"

static const char *lookup(const char *name, void *arg, bool *ret_is_known_later, struct err *err) {
	if (str_eq(name, "vars.a")) return "22.04";
	if (str_eq(name, "vars.b")) return "";
	if (str_eq(name, "facts.os")) return "ubuntu";
	*ret_is_known_later = str_eq(name, "vars.later");
	if (!*ret_is_known_later) (void)err_set(err, ERR_INVALID, "unknown");
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	char *text AUTO_FREE = fuzz_text(data, len);
	struct err err = {0};
	size_t offset = 0;
	bool value = false;
	int checked = cond_check(text, lookup, NULL, &offset, &err);
	FUZZ_CLAIM(offset <= strlen(text));
	int evaluated = cond_eval(text, lookup, NULL, &value, &offset, &err);
	FUZZ_CLAIM(offset <= strlen(text));
	FUZZ_CLAIM(evaluated != 0 || checked == 0); /* what has a value has passed the check */
	FUZZ_CLAIM((evaluated == 0 && checked == 0) || err.msg[0]);
	return 0;
}
