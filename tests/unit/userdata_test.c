#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "fmt/codec.h"
#include "fmt/yml.h"
#include "recipe/userdata.h"

/* printf 'steps: []\n' | gzip -n | base64 */
#define GZIP_BASE64 "H4sIAAAAAAAAAysuSS0otlKIjuUCAODB5G4KAAAA"
#define PLAIN "steps: []\n"
#define MIME(parts) "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n" parts "--b--\n"
#define PART(type, body) "--b\nContent-Type: " type "\n\n" body "\n"

static const struct {
	const char *name, *data;
	const char *expected; /* the documents, each followed by "|"; or the error */
} rows[] = {
	{"plain", PLAIN, "steps: []\n|"},
	{"shebang of ours", "#!/usr/bin/dsagent boot\nsteps: []\n", "#!/usr/bin/dsagent boot\nsteps: []\n|"},
	{"base64 of text", "c3RlcHM6IFtdCg==\n", "steps: []\n|"},
	{"base64 of gzip", GZIP_BASE64, "steps: []\n|"},
	{"base64 in lines", "H4sIAAAAAAAA\nAysuSS0otlKI\njuUCAODB5G4K\nAAAA\n", "steps: []\n|"},
	{"a short word is no base64", "steps", "steps|"},
	{"empty", "", "|"},
	{"mime", MIME(PART("text/x-dsagent", "steps: [a]")), "steps: [a]|"},
	{"mime: cloud-init's own parts are passed over",
	 MIME(PART("text/cloud-config", "packages: [git]") PART("text/x-shellscript", "#!/bin/sh\ntrue") PART(
		 "text/plain", "steps: [a]") PART("text/x-shellscript", "#!/usr/bin/dsagent boot\nsteps: [b]")),
	 "steps: [a]|#!/usr/bin/dsagent boot\nsteps: [b]|"},
	{"mime: nothing for us", MIME(PART("text/cloud-config", "a: b")), "none of its MIME parts is a recipe"},
	{"mime: gzip in base64 in a part", MIME(PART("text/x-dsagent", GZIP_BASE64)), "steps: []\n|"},
	{"cloud-config", "#cloud-config\npackages: [git]\n", "this is cloud-config for cloud-init, not a recipe"},
	{"script", "#!/bin/bash\necho hi\n", "this is a script, not a recipe"},
	{"include list", "#include\nhttps://example.com\n", "this is an include list for cloud-init, not a recipe"},
	{"jinja", "## template: jinja\n#cloud-config\n", "this is a template for cloud-init, not a recipe"},
};

static void test_rows(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena arena = {0};
		AUTO_BUF struct buf out = BUF_INIT(1000);
		struct userdata_doc *docs;
		size_t count;
		struct err err;
		if (userdata_decode(rows[i].data, strlen(rows[i].data), &arena, &docs, &count, &err) < 0) {
			buf_adds(&out, err.msg);
		} else {
			for (size_t k = 0; k < count; k++) {
				buf_add(&out, docs[k].data, docs[k].len);
				buf_addc(&out, '|');
			}
		}
		assert_string_equal(buf_str(&out), rows[i].expected);
		arena_clear(&arena);
	}
}

/* base64 of base64 of … of a recipe: ends at the depth, whatever it holds. */
static void test_nesting_is_capped(void **state) {
	struct arena arena = {0};
	AUTO_BUF struct buf inner = BUF_INIT(100000);
	AUTO_BUF struct buf outer = BUF_INIT(100000);
	struct userdata_doc *docs;
	size_t count;
	struct err err;
	buf_adds(&inner, "recipe: nested\nsteps: []\n");
	for (unsigned depth = 1; depth <= USERDATA_DEPTH_MAX + 1; depth++) {
		buf_reset(&outer);
		codec_base64(inner.data, inner.len, &outer);
		int rc = userdata_decode(outer.data, outer.len, &arena, &docs, &count, &err);
		assert_int_equal(rc, depth <= USERDATA_DEPTH_MAX ? 0 : -ERR_LIMIT);
		buf_reset(&inner);
		buf_add(&inner, outer.data, outer.len);
	}
	assert_string_equal(err.msg, "encoded more than 4 times over");
	arena_clear(&arena);
}

static void test_damaged_gzip(void **state) {
	struct arena arena = {0};
	AUTO_BUF struct buf bytes = BUF_INIT(1000);
	struct userdata_doc *docs;
	size_t count;
	struct err err;
	assert_int_equal(codec_unbase64(GZIP_BASE64, strlen(GZIP_BASE64), &bytes, &err), 0);
	for (size_t len = 3; len < bytes.len; len++) {
		assert_int_not_equal(userdata_decode(bytes.data, len, &arena, &docs, &count, &err), 0);
	}
	assert_int_equal(userdata_decode(bytes.data, bytes.len, &arena, &docs, &count, &err), 0);
	assert_int_equal(count, 1);
	arena_clear(&arena);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nesting_is_capped),
		cmocka_unit_test(test_damaged_gzip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
