#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "fmt/xml.h"

#define DEEP_15 "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
#define DEEP_15_END "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"

static const struct {
	const char *name, *xml, *expected; /* path=text of each element by line; then the error */
} rows[] = {
	{"error answer",
	 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>Denied</Code>\n"
	 "<Message>You are\n not &lt;it&gt; </Message></Error></Errors></Response>\n",
	 "/Response/Errors/Error/Code=Denied\n/Response/Errors/Error/Message=You are\n not <it>\n"
	 "/Response/Errors/Error=\n/Response/Errors=\n/Response=\n"},
	{"namespaces", "<s:R xmlns:s=\"u\" xmlns=\"v\"><s:a>1</s:a><b x=\"2\">3</b></s:R>", "/R/a=1\n/R/b=3\n/R=\n"},
	{"own text around children", "<a> x <b>y</b> z </a>", "/a/b=y\n/a=x  z\n"},
	{"text does not leak", "<a><b>1</b><b/><b> </b></a>", "/a/b=1\n/a/b=\n/a/b=\n/a=\n"},
	{"CDATA", "<a><![CDATA[<x>&]]></a>", "/a=<x>&\n"},
	{"character reference", "<a>&#228;</a>", "/a=\xc3\xa4\n"},
	{"stopped by the caller", "<a><b>1</b><stop/><b>2</b></a> junk", "/a/b=1\n/a/stop=\n"},
	{"DOCTYPE", "<!DOCTYPE a [<!ENTITY x \"y\">]>\n<a>&x;</a>",
	 "XML, line 1, column 13: a DOCTYPE is refused: no answer of AWS has one"},
	{"unknown entity", "<a>&x;</a>", "XML, line 1, column 4: undefined entity"},
	{"cut", "<a><b>1</b>", "/a/b=1\nXML, line 1, column 12: no element found"},
	{"empty", "", "XML, line 1, column 1: no element found"},
	{"mismatch", "<a>\n<b></a>", "XML, line 2, column 6: mismatched tag"},
	{"HTML", "<html><br></html>", "XML, line 1, column 13: mismatched tag"},
	{"junk after", "<a/><b/>", "/a=\nXML, line 1, column 5: junk after document element"},
	{"deepest", DEEP_15 "<b/>" DEEP_15_END, NULL},
	{"too deep", DEEP_15 "<b><c/></b>" DEEP_15_END, "XML is nested more than 16 deep"},
};

static int collect(const char *path, const char *text, void *arg) {
	buf_addf(arg, "%s=%s\n", path, text);
	return strcmp(path, "/a/stop") == 0;
}

static void parses(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out AUTO_BUF = BUF_INIT(65536);
		struct err err = {0};
		int rc = xml_parse(rows[i].xml, strlen(rows[i].xml), collect, &out, &err);
		if (rc < 0) buf_adds(&out, err.msg);
		if (!rows[i].expected)
			assert_int_equal(rc, 0);
		else if (strcmp(buf_str(&out), rows[i].expected) != 0)
			fail_msg("%s: %s", rows[i].name, buf_str(&out));
	}
}

static void keeps_its_limits(void **state) {
	static const struct {
		const char *name, *before;
		size_t count;
		const char *after, *expected;
	} limits[] = {
		{"longest text", "<a>", XML_TEXT_MAX, "</a>", ""},
		{"too long text", "<a>", XML_TEXT_MAX + 1, "</a>",
		 "the text of an XML element is larger than 8192 bytes"},
		{"too long name", "<", 1100, "/>", "the path of an XML element is larger than 1024 bytes"},
	};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct buf xml AUTO_BUF = BUF_INIT(65536), out AUTO_BUF = BUF_INIT(65536);
		struct err err = {0};
		buf_adds(&xml, limits[i].before);
		for (size_t k = 0; k < limits[i].count; k++) buf_addc(&xml, 'x');
		buf_adds(&xml, limits[i].after);
		int rc = xml_parse(xml.data, xml.len, collect, &out, &err);
		if (strcmp(err.msg, limits[i].expected) != 0) fail_msg("%s: %d %s", limits[i].name, rc, err.msg);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(parses), cmocka_unit_test(keeps_its_limits)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
