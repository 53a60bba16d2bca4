#include "step_fixture.h"

#include "steps/steps.h"
#include "sys/unit.h"

struct row {
	const char *yaml, *probe;
};

#define HEAD "# Written by dsagent: change the recipe instead.\n[Unit]\n"
#define NET "Wants=network-online.target\nAfter=network-online.target\n"
#define TAIL "\n[Install]\nWantedBy=multi-user.target\n"

static const struct {
	const char *yaml, *unit;
} texts[] = {
	{"{name: a, command: /bin/a --b $X %h}",
	 HEAD "Description=a\n" NET
	      "\n[Service]\nType=exec\nExecStart=/bin/a --b $X %h\nRestart=on-failure\nRestartSec=5\n" TAIL},
	{"{name: a, command: [/bin/a, 'b c', 'd\"e\\f', 50%, $HOME, ''], user: ana, directory: /srv/a}",
	 HEAD "Description=a\n" NET
	      "\n[Service]\nType=exec\nExecStart=/bin/a \"b c\" \"d\\\"e\\\\f\" \"50%%\" \"$$HOME\" \"\"\nUser=ana\n"
	      "WorkingDirectory=/srv/a\nRestart=on-failure\nRestartSec=5\n" TAIL},
	{"{name: a.b, description: A b, command: [/bin/a, x], environment: {K: '$v 5%'}, restart: 'no', type: oneshot, "
	 "after: [x.service], settings: {MemoryHigh: 4G}}",
	 HEAD
	 "Description=A b\n" NET "Wants=x.service\nAfter=x.service\n"
	 "\n[Service]\nType=oneshot\nExecStart=/bin/a x\nEnvironment=\"K=$v 5%%\"\nRestart=no\nMemoryHigh=4G\n" TAIL},
	{"{name: a, unit: \"[Service]\\nExecStart=/bin/a\"}", "[Service]\nExecStart=/bin/a\n"},
};

/* What is there is what the unit's text should be: then only its state is missing. */
static void texts_are_as_systemd_reads_them(void **state) {
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct fixture f;
		struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
		fixture_open(&f, false);
		const char *name = strstr(texts[i].yaml, "a.b") ? "a.b.service" : "a.service";
		const char *path = arena_printf(&f.arena, UNIT_DIR "/%s", name);
		assert_int_equal(fs_mkdirs(&f.root, UNIT_DIR, 0755, (uid_t)-1, (gid_t)-1, &f.err), 0);
		assert_int_equal(fs_write(&f.root, path, texts[i].unit, strlen(texts[i].unit), &how, &f.err), 0);
		assert_string_equal(fixture_probe(&f, &step_service, texts[i].yaml),
				    arena_printf(&f.arena, "enable %s\nstart %s\n", name, name));
		fixture_close(&f);
	}
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"{name: 'a b'}", "r:1:1: 'a b' is no name of a unit: letters, digits and : - _ . @\n"},
		{"{name: a, user: ana}", "r:1:1: command is missing: what the service runs\n"},
		{"{name: a, command: python3 -m x}",
		 "r:1:1: command 'python3 -m x' is not an absolute path: systemd takes no other\n"},
		{"{name: a, command: /x, unit: '[Service]'}",
		 "r:1:1: unit is the whole text: command, user, environment and the like belong in it\n"},
		{"{name: a, unit: nonsense}", "r:1:1: unit has no section such as [Service]\n"},
		{"{name: a, command: /x, user: \"u\\nExecStart=/y\"}",
		 "r:1:1: 'u…' holds a line break: give the whole unit with `unit`\n"},
		{"{name: a, command: /x, settings: {\"A=b\": c}}", "r:1:1: settings: 'A=b' is no key of a unit\n"},
		{"{name: a, command: /x, after: [network]}",
		 "r:1:1: after: 'network' is no unit, such as network.target\n"},
		{"{name: a.timer, command: /x}", "r:1:1: 'a.timer' is no service: write its text with `unit`\n"},
		{"{name: a, command: /x, directory: srv}", "r:1:1: directory 'srv' is not absolute\n"},
		{"{name: a, command: /x, state: running}",
		 "r:1:31: 'state' must be one of started, stopped, as-is, found 'running'\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_service, rows[i].yaml), rows[i].probe);
	/* A tree without a system of its own: the host's systemd is never asked instead. */
	assert_string_equal(fixture_apply(&f, &step_service, "{name: a, command: /x, enabled: false}"),
			    "unsupported: systemd does not run here (a container or chroot): give the step `when: "
			    "facts.has_systemd`");
	assert_string_equal(fixture_apply(&f, &step_service, "{name: a, command: /x, enabled: false, state: as-is}"),
			    "");
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_as_systemd_reads_them),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
