#include "step_fixture.h"

#include "aws/fetch.h"
#include "base/str.h"
#include "io/http.h"
#include "loopback.h"
#include "steps/steps.h"
#include "tree.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static const struct {
	const char *yaml, *said;
} checks[] = {
	{"{url: s3://b/k, to: /a}", ""},
	{"{url: 's3://${vars.b}/k', to: '${vars.to}'}", ""},
	{"{url: https://h/f, to: /a, sha256: " HELLO "}", ""},
	{"{url: https://h/f, to: /a}", "r:1:1: sha256 is needed, so that the file is the one that you mean: take it "
				       "from the publisher, or from `curl "
				       "-fsSL URL | sha256sum` where you trust the line\n"},
	{"{url: /etc/motd, to: /a}", "r:1:1: url '/etc/motd' is neither https:// nor s3://: to copy a file of this "
				     "machine, use a `file` step with `from`\n"},
	{"{url: ftp://h/f, to: /a}", "r:1:1: url 'ftp://h/f' is neither https:// nor s3://\n"},
	{"{url: s3://b/k, to: a}", "r:1:1: to 'a' is not absolute\n"},
	{"{url: s3://b/k, to: /, unpack: true}", "r:1:1: to '/' is the root directory itself\n"},
	{"{url: s3://b/k, to: /a/}",
	 "r:1:1: to '/a/' names a directory: give the file's own name, or `unpack: true`\n"},
	{"{url: s3://b/k, to: /a, sha256: 2cf24d}",
	 "r:1:1: sha256 '2cf24d' is not a SHA-256: 64 hexadecimal digits are needed\n"},
	{"{url: s3://b/k, to: /a, strip: 1}", "r:1:1: strip belongs to `unpack: true`\n"},
	{"{url: s3://b/k, to: /a, unpack: true, mode: 0755}",
	 "r:1:1: mode belongs to a file: what is unpacked has the modes of the archive\n"},
};

static void parameters_are_checked(void **state) {
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct fixture f;
		const char *said;
		fixture_open(&f, false);
		(void)fixture_bind(&f, &step_download, checks[i].yaml, &said);
		assert_string_equal(said, checks[i].said);
		fixture_close(&f);
	}
}

/* A fixture with a server. */
struct site {
	struct fixture f;
	struct lo lo;
	struct fetch fetch;
};

static void site_open(struct site *s, const struct lo_row *rows) {
	fixture_open(&s->f, false);
	lo_start(&s->lo, rows);
	assert_int_equal(http_open(&s->fetch.http, &s->f.err), 0);
	s->fetch.aws = NULL;
	s->f.ctx.fetch = &s->fetch;
}

static void site_close(struct site *s) {
	http_close(s->fetch.http);
	lo_stop(&s->lo);
	if (lo_difference(&s->lo)) fail_msg("%s", lo_difference(&s->lo));
	lo_clear(&s->lo);
	fixture_close(&s->f);
}

static const char *yaml_of(struct site *s, const char *more) {
	return arena_printf(&s->f.arena, "{url: %s/dir/f.bin?q, to: /srv/f, sha256: %s%s}", s->lo.url, HELLO, more);
}

static char *content(struct site *s, const char *path) {
	struct tree t = {.root = s->f.root};
	return tree_read(&t, path);
}

static void a_file_is_fetched_once_and_again_when_changed(void **state) {
	static const struct lo_row rows[] = {
		{"GET /dir/f.bin?q ", 200, NULL, "hello"}, {"GET /dir/f.bin?q ", 200, NULL, "hello"}, {0}};
	struct site s;
	site_open(&s, rows);
	const char *yaml = yaml_of(&s, ", mode: 0755");
	assert_string_equal(fixture_probe(&s.f, &step_download, yaml), "download f.bin to /srv/f\n");
	assert_string_equal(fixture_apply(&s.f, &step_download, yaml), "");
	assert_string_equal(fixture_probe(&s.f, &step_download, yaml), "");
	assert_int_equal(fs_chmod(&s.f.root, "/srv/f", 0600, &s.f.err), 0);
	assert_string_equal(fixture_probe(&s.f, &step_download, yaml), "change the mode of /srv/f from 0600 to 0755\n");
	assert_string_equal(fixture_apply(&s.f, &step_download, yaml), "");
	const struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	assert_int_equal(fs_write(&s.f.root, "/srv/f", "other", 5, &how, &s.f.err), 0);
	assert_string_equal(fixture_probe(&s.f, &step_download, yaml),
			    "download f.bin to /srv/f (what is there has the SHA-256 d9298a10d1b0…)\n");
	assert_string_equal(fixture_apply(&s.f, &step_download, yaml), "");
	AUTO_FREE char *text = content(&s, "/srv/f");
	assert_string_equal(text, "hello");
	AUTO_STRS struct strs names = {0};
	assert_int_equal(fs_list(&s.f.root, "/srv", &s.f.arena, &names, &s.f.err), 0);
	assert_string_equal(strs_join(&names, " ", &s.f.arena), "f");
	site_close(&s);
}

static void a_wrong_hash_keeps_nothing_and_harms_nothing(void **state) {
	static const struct lo_row rows[] = {{"GET /dir/f.bin?q ", 200, NULL, "evil!"}, {0}};
	struct site s;
	site_open(&s, rows);
	const struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	assert_int_equal(fs_mkdirs(&s.f.root, "/srv", 0755, (uid_t)-1, (gid_t)-1, &s.f.err), 0);
	assert_int_equal(fs_write(&s.f.root, "/srv/f", "old", 3, &how, &s.f.err), 0);
	const char *said = fixture_apply(&s.f, &step_download, yaml_of(&s, ""));
	assert_string_equal(said, "invalid: f.bin: SHA-256 is "
				  "d058e3b77560e4e1dc4b6affe370f560574402d1cf42d989c8dfe22a574ad6fc, not " HELLO
				  " as the recipe says: the file behind the URL has changed or was tampered with; "
				  "nothing of it was kept");
	AUTO_FREE char *text = content(&s, "/srv/f");
	assert_string_equal(text, "old");
	AUTO_STRS struct strs names = {0};
	assert_int_equal(fs_list(&s.f.root, "/srv", &s.f.arena, &names, &s.f.err), 0);
	assert_string_equal(strs_join(&names, " ", &s.f.arena), "f");
	site_close(&s);
}

/* What a killed run left is gone on with, but only when it is of this URL. */
static void a_killed_run_is_gone_on_with(void **state) {
	static const struct lo_row rows[] = {{"GET /dir/f.bin?q ", 206, "Content-Range: bytes 2-4/5\r\n", "llo"}, {0}};
	struct site s;
	site_open(&s, rows);
	struct tree t = {.root = s.f.root};
	tree_write(&t, "/srv/.f.dsagent-part", "he", 0600);
	tree_write(&t, "/srv/.f.dsagent-part.note",
		   arena_printf(&s.f.arena, "%s/dir/f.bin?q\nIf-Match: \"x\"\n", s.lo.url), 0600);
	assert_string_equal(fixture_apply(&s.f, &step_download, yaml_of(&s, "")), "");
	assert_non_null(strstr(s.lo.requests[0], "Range: bytes=2-\r\nIf-Match: \"x\"\r\n"));
	site_close(&s);
}

static void a_part_of_another_url_is_dropped(void **state) {
	static const struct lo_row rows[] = {{"GET /dir/f.bin?q ", 200, NULL, "hello"}, {0}};
	struct site s;
	site_open(&s, rows);
	struct tree t = {.root = s.f.root};
	tree_write(&t, "/srv/.f.dsagent-part", "he", 0600);
	tree_write(&t, "/srv/.f.dsagent-part.note", "https://elsewhere/f\nIf-Match: \"x\"\n", 0600);
	assert_string_equal(fixture_apply(&s.f, &step_download, yaml_of(&s, "")), "");
	assert_null(strstr(s.lo.requests[0], "Range:"));
	site_close(&s);
}

static void what_is_no_file_is_left_alone(void **state) {
	static const struct lo_row rows[] = {{0}};
	struct site s;
	site_open(&s, rows);
	assert_int_equal(fs_mkdirs(&s.f.root, "/srv/f", 0755, (uid_t)-1, (gid_t)-1, &s.f.err), 0);
	assert_string_equal(fixture_probe(&s.f, &step_download, yaml_of(&s, "")),
			    "error: /srv/f is no file: move it away, or download to another name");
	site_close(&s);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_checked),
		cmocka_unit_test(a_file_is_fetched_once_and_again_when_changed),
		cmocka_unit_test(a_wrong_hash_keeps_nothing_and_harms_nothing),
		cmocka_unit_test(a_killed_run_is_gone_on_with),
		cmocka_unit_test(a_part_of_another_url_is_dropped),
		cmocka_unit_test(what_is_no_file_is_left_alone),
	};
	return cmocka_run_group_tests_name("step_download", tests, NULL, NULL);
}
