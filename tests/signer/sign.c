/*
 * sign: a JSON object a line in, one a line out. Lets another program ask the product's own code what it signs
 *
 *   {"sign": {"service", "method", "path", "query": [name, value, …], "headers": [line, …], "payload_hash", "region",
 *             "now", "access_key", "secret_key"}}                     → {"canonical", "authorization"}
 *
 * and where a request goes
 *
 *   {"aim": {"service", "bucket", "path", "region", "endpoint_url", "dualstack", "env": ["K=V", …]}}
 *                                                        → {"origin", "host", "path", "region"} or {"error"}
 *
 * Paths are raw, as in the product. Ends with 1 at a line that is none of these.
 */
#include <stdint.h>
#include <stdio.h>

#include "aws/call.h"
#include "aws/call_private.h"
#include "aws/cred.h"
#include "aws/sigv4.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/js.h"

#define LINE_SIZE_MAX ((size_t)1024 * 1024)

static const char *text_of(const struct js *js, const char *key) {
	const char *text = js_get_str(js, key);

	return text ? text : "";
}

static void read_list(const struct js *list, struct strs *ret_items) {
	for (size_t i = 0; i < js_count(list); i++) strs_add(ret_items, js_str(js_at(list, i)));
}

static void sign(const struct js *in, struct arena *arena, struct js *out) {
	AUTO_STRS struct strs headers = {0}, query = {0};
	const struct cred cred = {.access_key = arena_strdup(arena, text_of(in, "access_key")),
				  .secret_key = arena_strdup(arena, text_of(in, "secret_key"))};
	struct sigv4_request req = {
		.method = text_of(in, "method"),
		.path = text_of(in, "path"),
		.encodes_path_twice = !str_eq(js_get_str(in, "service"), "s3"),
		.headers = &headers,
		.payload_hash = text_of(in, "payload_hash"),
		.region = text_of(in, "region"),
		.service = text_of(in, "service"),
		.now = js_get_int(in, "now", 0),
	};

	read_list(js_get(in, "headers"), &headers);
	read_list(js_get(in, "query"), &query);
	req.query = strs_argv(&query);
	js_set_str(out, "canonical", sigv4_canonical_request(&req, arena));
	js_set_str(out, "authorization", sigv4_authorization(&req, &cred, arena));
}

static void aim(const struct js *in, struct arena *arena, struct js *out) {
	AUTO_STRS struct strs env = {0};
	const struct aws_request req = {
		.service = text_of(in, "service"),
		.bucket = js_get_str(in, "bucket"),
		.path = js_get_str(in, "path"),
		.endpoint_url = js_get_str(in, "endpoint_url"),
		.uses_dualstack = js_get_bool(in, "dualstack", false),
	};
	struct aws aws = {.region = js_get_str(in, "region")};
	struct call_target target = {0};
	struct err err = {0};

	read_list(js_get(in, "env"), &env);
	aws.env = strs_argv(&env);
	if (call_aim(&aws, &req, aws.region, arena, &target, &err) != 0) {
		js_set_str(out, "error", err.msg);
		return;
	}
	js_set_str(out, "origin", target.origin);
	js_set_str(out, "host", target.host);
	js_set_str(out, "path", target.path);
	js_set_str(out, "region", target.region);
}

static int answer(const char *line, size_t len) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf text = BUF_INIT(LINE_SIZE_MAX);
	AUTO_JS struct js *in = NULL, *out = js_object();
	struct err err = {0};

	if (js_parse(line, len, &in, &err) != 0) {
		(void)fprintf(stderr, "sign: %s\n", err.msg);
		return 1;
	}
	if (js_get(in, "sign"))
		sign(js_get(in, "sign"), &arena, out);
	else if (js_get(in, "aim"))
		aim(js_get(in, "aim"), &arena, out);
	else
		return 1;
	js_print(out, JS_COMPACT, &text);
	return puts(buf_str(&text)) < 0;
}

int main(void) {
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int rc = 0;

	while (rc == 0 && (len = getline(&line, &size, stdin)) > 0) rc = answer(line, (size_t)len);
	free(line);
	return rc;
}
