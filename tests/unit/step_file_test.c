#include "step_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "steps/steps.h"

struct row {
	const char *yaml, *probe; /* what the probe says first; after apply it must say nothing */
};

static const char *host(struct fixture *f, const char *path) { return arena_printf(&f->arena, "%s%s", f->dir, path); }

/* Each row builds on the ones before. */
static void states_converge(void **state) {
	static const struct row rows[] = {
		{"{path: /etc/app/motd, content: \"a\\nb\\n\"}",
		 "write /etc/app/motd\n--- /dev/null\n+++ /etc/app/motd\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		{"{path: /etc/app/motd, content: \"a\\nb\\n\"}", ""},
		{"{path: /etc/app/motd, content: \"a\\nc\\n\", mode: 0600}",
		 "write /etc/app/motd\n--- /etc/app/motd\n+++ /etc/app/motd\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
		 "change the mode of /etc/app/motd from 0644 to 0600\n"},
		{"{path: /etc/app/motd, content: \"x\"}", "write /etc/app/motd\n--- /etc/app/motd\n+++ "
							  "/etc/app/motd\n@@ -1,2 +1 @@\n-a\n-c\n+x\n\\ No newline at "
							  "end of file\n"},
		{"{path: /etc/app/motd, mode: 0640}", "change the mode of /etc/app/motd from 0600 to 0640\n"},
		{"{path: /copy, from: /etc/app/motd}",
		 "write /copy\n--- /dev/null\n+++ /copy\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"},
		{"{path: /empty}", "write /empty\n"},
		{"{path: /d/e, state: directory, mode: 0750}", "make directory /d/e\n"},
		{"{path: /d/e, state: directory, mode: 0700}", "change the mode of /d/e from 0750 to 0700\n"},
		{"{path: /l, target: /d/e}", "link /l to /d/e\n"},
		{"{path: /l, target: /d}", "link /l to /d (now to /d/e)\n"},
		{"{path: /l, state: directory}", ""},
		{"{path: /l, content: \"\"}", "replace the link by a file: /l\n"},
		{"{path: /l, state: absent}", "remove file /l\n"},
		{"{path: /l, state: absent}", ""},
		{"{path: /d/e, state: absent}", "remove directory /d/e\n"},
		{"{path: /etc, state: absent, recursive: true}", "remove directory /etc\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_string_equal(fixture_probe(&f, &step_file, rows[i].yaml), rows[i].probe);
		assert_string_equal(fixture_apply(&f, &step_file, rows[i].yaml), "");
		assert_string_equal(fixture_probe(&f, &step_file, rows[i].yaml), "");
	}
	fixture_close(&f);
}

static void modes_are_kept_and_given(void **state) {
	struct fixture f;
	struct stat st;
	fixture_open(&f, false);
	assert_string_equal(fixture_apply(&f, &step_file, "{path: /a/b/new, content: x}"), "");
	assert_int_equal(stat(host(&f, "/a/b/new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(stat(host(&f, "/a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(chmod(host(&f, "/a/b/new"), 0711), 0);
	assert_string_equal(fixture_apply(&f, &step_file, "{path: /a/b/new, content: y}"), "");
	assert_int_equal(stat(host(&f, "/a/b/new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_string_equal(fixture_apply(&f, &step_file, "{path: /a/secret, content: k, mode: 0600}"), "");
	assert_int_equal(stat(host(&f, "/a/secret"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fixture_close(&f);
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"{path: rel}", "r:1:1: path 'rel' is not absolute\n"},
		{"{path: //.}", "r:1:1: path '//.' is the root directory itself\n"},
		{"{path: /x, content: a, from: /b}", "r:1:1: content and from exclude each other\n"},
		{"{path: /x, state: directory, content: a}",
		 "r:1:1: content and from belong to `state: file`, not to `state: directory`\n"},
		{"{path: /x, state: link}", "r:1:1: a link needs its target\n"},
		{"{path: /x, state: absent, target: /y}",
		 "r:1:1: target belongs to `state: link`, not to `state: absent`\n"},
		{"{path: /dir}",
		 "error: /dir is a directory, the recipe wants a file there: move it away or remove it first"},
		{"{path: /dir/x, state: directory}",
		 "error: /dir/x is a file, the recipe wants a directory there: move it away or remove it first"},
		{"{path: /dir, state: absent}",
		 "error: /dir is a directory with 1 entries: add `recursive: true` to remove "
		 "it with all that is in it"},
	};
	struct fixture f;
	fixture_open(&f, false);
	assert_string_equal(fixture_apply(&f, &step_file, "{path: /dir/x, content: a}"), "");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_file, rows[i].yaml), rows[i].probe);
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_converge),
		cmocka_unit_test(modes_are_kept_and_given),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
