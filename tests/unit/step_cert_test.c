#include "step_fixture.h"

#include <sys/stat.h>

#include "fmt/cert.h"
#include "steps/steps.h"

struct row {
	const char *yaml, *probe;
};

#define FILES "cert: /etc/ssl/c.pem, key: /etc/ssl/k.pem"

static void put(struct fixture *f, const char *path, const char *text, mode_t mode) {
	struct fs_write how = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	assert_int_equal(fs_write(&f->root, path, text, strlen(text), &how, &f->err), 0);
}

static const char *get(struct fixture *f, const char *path) {
	AUTO_BUF struct buf b = BUF_INIT(64 * 1024);
	assert_int_equal(fs_read(&f->root, path, &b, &f->err), 0);
	return arena_strdup(&f->arena, buf_str(&b));
}

static void it_is_made_once_and_mended(void **state) {
	struct fixture f;
	struct stat st;
	fixture_open(&f, false);
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES "}"),
			    "make the certificate /etc/ssl/c.pem for localhost, 127.0.0.1, ::1\n");
	assert_string_equal(fixture_apply(&f, &step_cert, "{" FILES "}"), "");
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES "}"), "");
	const char *cert = get(&f, "/etc/ssl/c.pem"), *key = get(&f, "/etc/ssl/k.pem");
	assert_int_equal(stat(arena_printf(&f.arena, "%s/etc/ssl/k.pem", f.dir), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(fixture_apply(&f, &step_cert, "{" FILES "}"), "");
	assert_string_equal(get(&f, "/etc/ssl/c.pem"), cert);
	/* Other spellings of the same names are the same. */
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES ", names: ['0:0::1', localhost, 127.0.0.1]}"), "");
	assert_string_equal(
		fixture_probe(&f, &step_cert, "{" FILES ", names: [box]}"),
		"make the certificate /etc/ssl/c.pem for box anew (its names are localhost, 127.0.0.1, ::1)\n");
	assert_string_equal(fixture_apply(&f, &step_cert, "{" FILES ", days: 20, renew_before: 10d}"), "");
	assert_string_equal(get(&f, "/etc/ssl/c.pem"), cert); /* a shorter life is no reason */
	put(&f, "/etc/ssl/k.pem", key, 0644);
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES "}"),
			    "change the mode of /etc/ssl/k.pem from 0644 to 0600\n");
	assert_string_equal(fixture_apply(&f, &step_cert, "{" FILES "}"), "");
	assert_string_equal(get(&f, "/etc/ssl/k.pem"), key);
	put(&f, "/etc/ssl/c.pem", "nonsense", 0644);
	assert_true(strstr(fixture_probe(&f, &step_cert, "{" FILES "}"), "anew (it is no certificate in PEM"));
	assert_string_equal(fixture_apply(&f, &step_cert, "{" FILES "}"), "");
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES "}"), "");
	put(&f, "/etc/ssl/k.pem", key, 0600);
	assert_string_equal(
		fixture_probe(&f, &step_cert, "{" FILES "}"),
		"make the certificate /etc/ssl/c.pem for localhost, 127.0.0.1, ::1 anew (the key is another's)\n");
	fixture_close(&f);
}

static void it_is_renewed_in_time(void **state) {
	AUTO_STRS struct strs names = {0};
	AUTO_BUF struct buf cert = BUF_INIT(65536), key = BUF_INIT(65536);
	struct fixture f;
	char end[CLOCK_ISO8601_SIZE];
	int64_t made_s = clock_now_ms() / 1000 - 25 * 86400;
	fixture_open(&f, false);
	strs_add(&names, "box");
	assert_int_equal(cert_make(&names, made_s, 50, &cert, &key, &f.err), 0);
	assert_int_equal(fs_mkdirs(&f.root, "/etc/ssl", 0755, (uid_t)-1, (gid_t)-1, &f.err), 0);
	put(&f, "/etc/ssl/c.pem", buf_str(&cert), 0644);
	put(&f, "/etc/ssl/k.pem", buf_str(&key), 0600);
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES ", names: box, renew_before: 20d}"), "");
	assert_string_equal(fixture_probe(&f, &step_cert, "{" FILES ", names: box}"),
			    arena_printf(&f.arena, "make the certificate /etc/ssl/c.pem for box anew (it ends at %s)\n",
					 clock_iso8601((made_s - 3600 + 50 * 86400 - 1) * 1000, end)));
	fixture_close(&f);
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"{cert: /c, key: k}", "r:1:1: key 'k' is no absolute path of a file\n"},
		{"{cert: /c, key: /c}", "r:1:1: cert and key are the same file: the key must stay with its owner\n"},
		{"{" FILES ", names: [a b]}", "r:1:1: 'a b' is neither a DNS name nor an address\n"},
		{"{" FILES ", days: 30}",
		 "r:1:1: renew_before is as long as the certificate is valid: it would be made "
		 "anew each time\n"},
		{"{" FILES ", owner: nobody-here}",
		 "make the certificate /etc/ssl/c.pem for localhost, 127.0.0.1, ::1\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_cert, rows[i].yaml), rows[i].probe);
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_once_and_mended),
		cmocka_unit_test(it_is_renewed_in_time),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
