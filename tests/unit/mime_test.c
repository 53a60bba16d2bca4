#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "fmt/mime.h"

#define TOP "Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n"

static const struct {
	const char *name, *text;
	bool is_mime;
	const char *expected; /* [type filename data] of each part, or the error */
} rows[] = {
	{"as cloud-init's make-mime writes it",
	 "Content-Type: multipart/mixed; boundary=\"===============1234==\"\r\nMIME-Version: 1.0\r\n"
	 "Number-Attachments: 2\r\n\r\npreamble\r\n--===============1234==\r\n"
	 "Content-Type: text/x-shellscript; charset=\"utf-8\"\r\nMIME-Version: 1.0\r\n"
	 "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"run.sh\"\r\n\r\n"
	 "IyEvYmlu\r\nL3No\r\n\r\n--===============1234==\r\n"
	 "Content-Type: text/x-dsagent\r\n\r\nrecipe: x\r\n\r\n--===============1234==--\r\nepilogue\r\n",
	 true, "[text/x-shellscript run.sh #!/bin/sh][text/x-dsagent - recipe: x\r\n]"},
	{"folded header, any case",
	 "MIME-version: 1.0\ncontent-TYPE: Multipart/Mixed;\n\tcharset=x;\n boundary = b;x=y\n\n--b\n\na\n--b--", true,
	 "[text/plain - a]"},
	{"not multipart", "Content-Type: text/x-dsagent; name=r.yaml\n\nrecipe: x\n", true,
	 "[text/x-dsagent r.yaml recipe: x\n]"},
	{"quoted-printable",
	 "MIME-Version: 1.0\nContent-Transfer-Encoding: Quoted-Printable\n\na=3Db =C3=a4=\nc  \nd=20\nend", true,
	 "[text/plain - a=b \xc3\xa4"
	 "c\nd \nend]"},
	{"8bit", "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa4", true, "[text/plain - \xc3\xa4]"},
	{"empty parts", TOP "--b\n--b\n\n--b\nA: b\n--b--\n", true, "[text/plain - ][text/plain - ][text/plain - ]"},
	{"no parts", TOP "--b--\n", true, ""},
	{"longer boundary is text", TOP "--b\n\n--bc\n-- b\n--b-\n--b \t\n\nx\n--b-- \n", true,
	 "[text/plain - --bc\n-- b\n--b-][text/plain - x]"},
	{"nested multipart stays whole",
	 TOP "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b--\n", true,
	 "[multipart/mixed - --c\n\nx\n--c--]"},
	{"file name with escapes", TOP "--b\nContent-Disposition: attachment; filename=\"a\\\"b;c\"\n\nx\n--b--\n",
	 true, "[text/plain a\"b;c x]"},
	{"headers without an end", "MIME-Version: 1.0", true, "[text/plain - ]"},
	{"other headers first", "From: x\nSubject: y\nContent-Type: text/plain\n\nz", true, "[text/plain - z]"},

	{"no boundary", "Content-Type: multipart/mixed\n\n--b--\n", true,
	 "the MIME document is 'multipart/mixed' without a boundary of 1 to 70 characters"},
	{"cut", TOP "--b\n\nrecipe: x\n", true, "the MIME document is cut: its last line '--b--' is missing"},
	{"cut before the first part", TOP, true, "the MIME document is cut: its last line '--b--' is missing"},
	{"bad base64", TOP "--b\n\nx\n--b\nContent-Transfer-Encoding: base64\n\n@@\n--b--\n", true,
	 "MIME part 2: byte 0 (0x40) does not belong into base64"},
	{"bad quoted-printable", TOP "--b\nContent-Transfer-Encoding: quoted-printable\n\na=4\n--b--\n", true,
	 "MIME part 1: quoted-printable is damaged: '=' without two hexadecimal digits"},
	{"unknown encoding", "MIME-Version: 1.0\nContent-Transfer-Encoding: x-uuencode\n\n", true,
	 "the MIME document: transfer encoding 'x-uuencode' is not known"},
	{"part without header end", TOP "--b\nrecipe x\n--b--\n", true,
	 "MIME part 1: a line of its header is no 'Name: value'"},

	{"recipe", "recipe: x\nsteps:\n  - run: a\n", false, NULL},
	{"script", "#!/bin/sh\nContent-Type: x\n", false, NULL},
	{"empty line first", "\nContent-Type: x\n", false, NULL},
	{"indented", " Content-Type: x\n", false, NULL},
	{"empty", "", false, NULL},
};

static void parses(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t len = strlen(rows[i].text), count = 0;
		if (mime_is(rows[i].text, len) != rows[i].is_mime) fail_msg("%s: mime_is", rows[i].name);
		if (!rows[i].expected) continue;
		struct arena arena AUTO_ARENA = {0};
		struct buf out AUTO_BUF = BUF_INIT(65536);
		struct err err = {0};
		struct mime_part *parts = NULL;
		int rc = mime_parse(rows[i].text, len, &arena, &parts, &count, &err);
		for (size_t k = 0; k < count; k++) {
			const struct mime_part *p = &parts[k];
			assert_int_equal(strlen(p->data), p->len);
			buf_addf(&out, "[%s %s %s]", p->type, p->filename ? p->filename : "-", p->data);
		}
		if (rc < 0) buf_adds(&out, err.msg);
		if (strcmp(buf_str(&out), rows[i].expected) != 0) fail_msg("%s: %s", rows[i].name, buf_str(&out));
	}
}

static void keeps_its_limits(void **state) {
	static const struct {
		const char *before, *unit;
		int times;
		const char *after, *expected;
	} limits[] = {
		{TOP, "--b\n\nx\n", MIME_PARTS_MAX, "--b--\n", ""},
		{TOP, "--b\n\nx\n", MIME_PARTS_MAX + 1, "--b--\n", "the MIME document has more than 64 parts"},
		{"", "A: b\n", 65, "\n", "the MIME document: its header has more than 64 fields"},
		{"A: b\n", " x\n", 3000, "\n", "the MIME document: a field of its header is larger than 4096 bytes"},
	};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct arena arena AUTO_ARENA = {0};
		struct buf text AUTO_BUF = BUF_INIT(65536);
		struct err err = {0};
		struct mime_part *parts;
		size_t count;
		buf_adds(&text, limits[i].before);
		for (int k = 0; k < limits[i].times; k++) buf_adds(&text, limits[i].unit);
		buf_adds(&text, limits[i].after);
		int rc = mime_parse(text.data, text.len, &arena, &parts, &count, &err);
		assert_int_equal(rc < 0, *limits[i].expected != '\0');
		assert_string_equal(err.msg, limits[i].expected);
	}
}

static void decodes_bytes(void **state) {
	static const char text[] = "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\nH4sIAAA=";
	struct arena arena AUTO_ARENA = {0};
	struct mime_part *parts;
	size_t count;
	struct err err = {0};
	assert_int_equal(mime_parse(text, strlen(text), &arena, &parts, &count, &err), 0);
	assert_int_equal(parts[0].len, 5);
	assert_memory_equal(parts[0].data, "\x1f\x8b\x08\x00\x00", 6);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(keeps_its_limits),
		cmocka_unit_test(decodes_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
