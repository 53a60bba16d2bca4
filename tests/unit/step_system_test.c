#include "step_fixture.h"

#include "steps/steps.h"
#include "steps/text_lines.h"

struct row {
	const char *yaml, *probe;
};

static void put(struct fixture *f, const char *path, const char *text) {
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	char dir[128];
	(void)snprintf(dir, sizeof dir, "%s", path);
	*strrchr(dir, '/') = '\0';
	if (dir[0]) assert_int_equal(fs_mkdirs(&f->root, dir, 0755, (uid_t)-1, (gid_t)-1, &f->err), 0);
	assert_int_equal(fs_write(&f->root, path, text, strlen(text), &how, &f->err), 0);
}

static const char *get(struct fixture *f, const char *path) {
	AUTO_BUF struct buf b = BUF_INIT(64 * 1024);
	if (fs_read(&f->root, path, &b, &f->err) < 0) return "(none)";
	return arena_strdup(&f->arena, buf_str(&b));
}

static const struct {
	text_key_fn key_of;
	const char *text, *line, *result;
} lines[] = {
	{text_key_assign, "", "a = 1", "a = 1\n"},
	{text_key_assign, "# a = 0\nb=2", "a = 1", "# a = 0\nb=2\na = 1\n"},
	{text_key_assign, " a=0\nb = 2\na = 9\n", "a = 1", "a = 1\nb = 2\n"},
	{text_key_word, "/swapfile none swap sw 0 0\nUUID=x / ext4 defaults 0 1\n", "/swapfile new",
	 "/swapfile new\nUUID=x / ext4 defaults 0 1\n"},
	{text_key_line, "# de_DE.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n", "en_US.UTF-8 UTF-8",
	 "# de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n"},
};

static void lines_take_their_place(void **state) {
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		AUTO_STRS struct strs wanted = {0};
		strs_add(&wanted, lines[i].line);
		assert_string_equal(text_lines_set(lines[i].text, &wanted, lines[i].key_of, &arena), lines[i].result);
		assert_string_equal(text_lines_set(lines[i].result, &wanted, lines[i].key_of, &arena), lines[i].result);
	}
}

/* In a tree beside the machine: files alone, nothing of the running kernel. */
static void an_image_converges(void **state) {
	static const char yaml[] = "{timezone: Europe/Berlin, locale: C.UTF-8, hostname: box, sysctl: {vm.swappiness: "
				   "10}, limits: [{item: nofile, value: 9}]}";
	struct fixture f;
	fixture_open(&f, false);
	(void)snprintf(f.facts.os.package_manager, sizeof f.facts.os.package_manager, "apt");
	put(&f, "/usr/share/zoneinfo/Europe/Berlin", "TZif2");
	put(&f, "/etc/hosts", "127.0.0.1 localhost\n");
	put(&f, "/etc/cloud/cloud.cfg.d/05.cfg", "x: y\n");
	assert_string_equal(fixture_apply(&f, &step_system, yaml), "");
	assert_string_equal(fixture_probe(&f, &step_system, yaml), "");
	assert_string_equal(get(&f, "/etc/localtime"), "TZif2");
	assert_string_equal(get(&f, "/etc/timezone"), "Europe/Berlin\n");
	assert_string_equal(get(&f, "/etc/default/locale"), "LANG=C.UTF-8\n");
	assert_string_equal(get(&f, "/etc/hostname"), "box\n");
	assert_string_equal(get(&f, "/etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 box\n");
	assert_string_equal(get(&f, "/etc/cloud/cloud.cfg.d/99-dsagent-hostname.cfg"), "preserve_hostname: true\n");
	assert_string_equal(get(&f, "/etc/sysctl.d/90-dsagent.conf"),
			    "# Written by dsagent: change the recipe instead.\nvm.swappiness = 10\n");
	assert_string_equal(get(&f, "/etc/security/limits.d/90-dsagent.conf"),
			    "# Written by dsagent: change the recipe instead.\n* - nofile 9\n");
	assert_string_equal(fixture_probe(&f, &step_system, "{hostname: other}"),
			    "write /etc/hostname\n--- /etc/hostname\n+++ /etc/hostname\n@@ -1 +1 @@\n-box\n+other\n"
			    "put other into /etc/hosts\n");
	assert_string_equal(fixture_apply(&f, &step_system, "{hostname: other}"), "");
	assert_string_equal(get(&f, "/etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 other\n");
	fixture_close(&f);
}

static void swap_is_told_and_nothing_else_overwritten(void **state) {
	struct fixture f;
	fixture_open(&f, false);
	assert_string_equal(fixture_probe(&f, &step_system, "{swap: 4G}"),
			    "make swap file /swapfile of 4.3 GB\nswap on /swapfile\nwrite /etc/fstab\n--- /dev/null\n"
			    "+++ /etc/fstab\n@@ -0,0 +1 @@\n+/swapfile none swap sw,nofail 0 0\n");
	put(&f, "/swapfile", "mine");
	assert_string_equal(fixture_probe(&f, &step_system, "{swap: 4G}"),
			    "error: /swapfile is there and is no swap file: give another path, or move it away");
	assert_string_equal(fixture_apply(&f, &step_system, "{swap: 4G}"),
			    "invalid: /swapfile is there and is no swap file: give another path, or move it away");
	assert_string_equal(get(&f, "/swapfile"), "mine");
	fixture_close(&f);
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"{}", "r:1:1: system needs one of swap, timezone, locale, hostname, sysctl, limits\n"},
		{"{swap: 4}", "r:1:1: swap: 4 bytes is too little; sizes are such as 4G\n"},
		{"{swap: {size: 4G, path: swap}}", "r:1:1: swap: path 'swap' is not absolute, or has blanks in it\n"},
		{"{timezone: ../../etc/passwd}", "r:1:1: '../../etc/passwd' is no time zone, such as Europe/Berlin\n"},
		{"{locale: 'a b'}", "r:1:1: 'a b' is no locale, such as en_US.UTF-8\n"},
		{"{hostname: my_box}", "r:1:1: 'my_box' is no host name: letters, digits and - between dots\n"},
		{"{sysctl: {'a b': 1}}", "r:1:1: sysctl: 'a b' is no kernel parameter, such as vm.swappiness\n"},
		{"{limits: [{item: nofiles, value: 1}]}",
		 "r:1:1: limits: there is no item 'nofiles'; did you mean 'nofile'?\n"},
		{"{limits: [{item: nofile, value: many}]}",
		 "r:1:1: limits: value 'many' is neither a number nor unlimited\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_system, rows[i].yaml), rows[i].probe);
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_take_their_place),
		cmocka_unit_test(an_image_converges),
		cmocka_unit_test(swap_is_told_and_nothing_else_overwritten),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
