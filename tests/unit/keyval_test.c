#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "fmt/keyval.h"

struct row {
	const char *name, *text, *expected; /* section|key=value; by line */
};

static const struct row os_release[] = {
	{"Ubuntu",
	 "PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n",
	 "|PRETTY_NAME=Ubuntu 24.04.3 LTS;|NAME=Ubuntu;|VERSION_ID=24.04;|ID=ubuntu;|ID_LIKE=debian;"},
	{"Amazon Linux", "NAME=\"Amazon Linux\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"",
	 "|NAME=Amazon Linux;|ID=amzn;|ID_LIKE=fedora;|VERSION_ID=2023;"},
	{"quotes and escapes", "A='it is \\n'\nB=\"a \\\"b\\\" \\$c \\\\\"\nC=\nD=\"\"\nE=a=b\n",
	 "|A=it is \\n;|B=a \"b\" $c \\;|C=;|D=;|E=a=b;"},
	{"white space and CRLF", "  ID=x  \r\n\r\n\tB=y\n", "|ID=x;|B=y;"},
	{"what does not fit is skipped", "# ID=no\nno equals\n=x\nA B=c\nC=\"open\nD=\"x\" y\nE='\nF=ok\n", "|F=ok;"},
	{"empty", "", ""},
};

static const struct row ini[] = {
	{"credentials",
	 "[default]\naws_access_key_id = AKIA\nAWS_SECRET_ACCESS_KEY=a/b=c+\n\n[profile dev]\nregion=eu-1\n",
	 "default|aws_access_key_id=AKIA;default|aws_secret_access_key=a/b=c+;profile dev|region=eu-1;"},
	{"comments at the start of a line only", "# a = b\n; c = d\n[x] # note\nk = v # w\n", "x|k=v # w;"},
	{"nested settings", "[default]\ns3 =\n  max_concurrent_requests = 20\n\tx = y\nregion = r\n",
	 "default|s3=;default|s3.max_concurrent_requests=20;default|s3.x=y;default|region=r;"},
	{"nested below nothing", "  a = b\n[s]\n c = d\nk = v\n  e = f\nn =\n[t]\n g = h\n", "s|k=v;s|n=;"},
	{"before any section", "a = b\n", "|a=b;"},
	{"white space in brackets and CRLF", "[ profile  x ]\r\nk = v \r\n", "profile  x|k=v;"},
	{"no equals, no key", "[s]\nabc\n = v\n=v\nk=\n", "s|k=;"},
	{"a broken section hides its keys", "[a]\nk=1\n[b\nk=2\n[c]\nk=3\n", "a|k=1;c|k=3;"},
	{"no newline at the end", "[a]\nk=v", "a|k=v;"},
};

static void collect(const char *section, const char *key, const char *value, void *arg) {
	buf_addf(arg, "%s|%s=%s;", section, key, value);
}

static void check(const struct row *rows, size_t count, void (*parse)(const char *, size_t, keyval_fn, void *)) {
	for (size_t i = 0; i < count; i++) {
		struct buf out AUTO_BUF = BUF_INIT(4096);
		parse(rows[i].text, strlen(rows[i].text), collect, &out);
		if (strcmp(buf_str(&out), rows[i].expected) != 0) fail_msg("%s: %s", rows[i].name, buf_str(&out));
	}
}

static void reads_os_release(void **state) {
	check(os_release, sizeof os_release / sizeof *os_release, keyval_os_release);
}

static void reads_ini(void **state) { check(ini, sizeof ini / sizeof *ini, keyval_ini); }

static void skips_an_endless_section_name(void **state) {
	struct buf text AUTO_BUF = BUF_INIT(4096), out AUTO_BUF = BUF_INIT(4096);
	buf_addc(&text, '[');
	for (int i = 0; i < 300; i++) buf_addc(&text, 'x');
	buf_adds(&text, "]\nk=v\n[y]\nk=w\n");
	keyval_ini(text.data, text.len, collect, &out);
	assert_string_equal(buf_str(&out), "y|k=w;");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_os_release),
		cmocka_unit_test(reads_ini),
		cmocka_unit_test(skips_an_endless_section_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
