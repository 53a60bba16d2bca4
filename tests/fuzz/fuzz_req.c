#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fuzz.h"
#include "steps/python_req.h"
#include "steps/python_version.h"

static int sign(int n) { return (n > 0) - (n < 0); }

/* Versions have one order, whichever comes first. */
static void order_of(const char *a, const char *b) {
	struct py_version v, w;
	if (!py_version_parse(a, strlen(a), &v) || !py_version_parse(b, strlen(b), &w)) return;
	FUZZ_CLAIM(py_version_compare(&v, &v) == 0);
	FUZZ_CLAIM(sign(py_version_compare(&v, &w)) == -sign(py_version_compare(&w, &v)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	static const struct py_env env = {.version = "3.11", .full_version = "3.11.2", .machine = "x86_64"};
	char *text AUTO_FREE = fuzz_text(data, len);
	struct arena arena AUTO_ARENA = {0};
	struct buf all AUTO_BUF = BUF_INIT(64 * 1024);
	struct err err = {0};
	struct py_reqs reqs = {0};
	/* `-r other` is refused without a directory; only an absolute one would be read from the disk */
	if (strstr(text, "-r") && strchr(text, '/')) return 0;
	int rc = py_reqs_add_text(&reqs, "set", text, NULL, NULL, &env, &all, &arena, &err);
	FUZZ_CLAIM(rc == 0 || err.msg[0]);
	FUZZ_CLAIM(reqs.count <= PY_REQS_MAX);
	for (size_t i = 0; i < reqs.count; i++) {
		const struct py_req *req = &reqs.items[i];
		FUZZ_CLAIM(req->name && req->text && req->specs);
		FUZZ_CLAIM(str_eq(py_normalise(req->name, strlen(req->name), &arena), req->name));
		/* what was taken as specifiers is understood for every version */
		FUZZ_CLAIM(!*req->specs || py_version_match(req->specs, "2.0.post1") != PY_MATCH_BAD_SPECIFIER);
		if (i) order_of(req->text, reqs.items[i - 1].text);
	}
	return 0;
}
