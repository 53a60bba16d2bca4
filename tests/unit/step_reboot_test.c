#include "step_fixture.h"

#include "steps/steps.h"

static void put(struct fixture *f, const char *path, const char *text) {
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	assert_int_equal(fs_mkdirs(&f->root, "/run", 0755, (uid_t)-1, (gid_t)-1, &f->err), 0);
	assert_int_equal(fs_write(&f->root, path, text, strlen(text), &how, &f->err), 0);
}

static void probes_say_why(void **state) {
	struct fixture f;
	fixture_open(&f, false);
	assert_string_equal(fixture_probe(&f, &step_reboot, "{}"), "reboot (the recipe asks for it)\n");
	assert_string_equal(fixture_probe(&f, &step_reboot, "new driver"), "reboot (new driver)\n");
	f.ctx.is_done = true; /* the boot id has changed since */
	assert_string_equal(fixture_probe(&f, &step_reboot, "new driver"), "");
	assert_string_equal(fixture_probe(&f, &step_reboot, "{when_needed: true}"), "");
	put(&f, "/run/reboot-required", "*** System restart required ***\n");
	assert_string_equal(fixture_probe(&f, &step_reboot, "{when_needed: true}"), "reboot (an update asks for it)\n");
	put(&f, "/run/reboot-required.pkgs", "linux-image-6.8\nlibc6\nlibc6\n");
	assert_string_equal(fixture_probe(&f, &step_reboot, "{when_needed: true}"),
			    "reboot (updated: linux-image-6.8, libc6)\n");
	fixture_close(&f);
}

/* A tree beside the machine is no reason to reboot the machine. */
static void a_tree_is_not_rebooted(void **state) {
	struct fixture f;
	fixture_open(&f, false);
	f.facts.os.has_systemd = true;
	assert_string_equal(
		fixture_apply(&f, &step_reboot, "now"),
		arena_printf(&f.arena, "unsupported: %s is no running machine: it cannot be rebooted", f.dir));
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_say_why),
		cmocka_unit_test(a_tree_is_not_rebooted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
