#include "base/buf.h"
#include "base/err.h"
#include "fmt/js.h"
#include "fuzz.h"

/* What was read is printed so that reading it again prints the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct js *js AUTO_JS = NULL, *again AUTO_JS = NULL;
	struct buf first AUTO_BUF = BUF_INIT((size_t)8 << 20), second AUTO_BUF = BUF_INIT((size_t)8 << 20);
	struct err err = {0};
	if (js_parse((const char *)data, len, &js, &err) < 0) {
		FUZZ_CLAIM(!js && err.msg[0]);
		return 0;
	}
	js_print(js, len % 2 ? JS_INDENTED : JS_COMPACT, &first);
	FUZZ_CLAIM(js_parse(first.data, first.len, &again, &err) == 0);
	js_print(again, len % 2 ? JS_INDENTED : JS_COMPACT, &second);
	FUZZ_CLAIM(strcmp(buf_str(&first), buf_str(&second)) == 0);

	/* Any bytes at all become a string that can be read back. */
	char *text AUTO_FREE = fuzz_text(data, len);
	struct js *object AUTO_JS = js_object(), *back AUTO_JS = NULL;
	js_set_str(object, "key", text);
	buf_reset(&first);
	js_print(object, JS_COMPACT, &first);
	FUZZ_CLAIM(js_parse(first.data, first.len, &back, &err) == 0 && js_get_str(back, "key"));
	return 0;
}
