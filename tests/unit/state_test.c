#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "engine/state.h"
#include "recipe/plan.h"

struct fixture {
	char dir[64];
	struct fs_root root;
};

static int set_up(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	struct err err;
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/dsagent-state-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(fs_root_open(f->dir, &f->root, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	char path[96];
	(void)snprintf(path, sizeof path, "%s/state.json", f->dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof path, "%s/state.json.damaged", f->dir);
	(void)unlink(path);
	assert_int_equal(rmdir(f->dir), 0); /* so no temporary file was left either */
	fs_root_clear(&f->root);
	free(f);
	return 0;
}

static struct state *open_as(struct fixture *f, const char *instance, const char *boot, bool *ret_was_damaged) {
	struct state *s = NULL;
	struct err err = {0};
	int rc = state_open(&f->root, "/", &(struct state_machine){instance, boot}, &s, ret_was_damaged, &err);
	assert_int_equal(rc, 0);
	return s;
}

/* What was recorded on i-1, boot b-1 with hash h1, asked for from elsewhere. */
static const struct {
	enum step_frequency frequency;
	const char *hash, *instance, *boot;
	bool is_done;
} done_rows[] = {
	{STEP_ON_CHANGE, "h1", "i-1", "b-1", true},    {STEP_ON_CHANGE, "h1", "i-1", "b-2", true},
	{STEP_ON_CHANGE, "h2", "i-1", "b-1", false},   {STEP_ON_CHANGE, "h1", "i-2", "b-1", false},
	{STEP_PER_INSTANCE, "h2", "i-1", "b-2", true}, {STEP_PER_INSTANCE, "h1", "i-2", "b-1", false},
	{STEP_PER_BOOT, "h1", "i-1", "b-1", true},     {STEP_PER_BOOT, "h1", "i-1", "b-2", false},
	{STEP_PER_BOOT, "h2", "i-1", "b-1", false},    {STEP_ALWAYS, "h1", "i-1", "b-1", false},
};

static void test_frequencies(void **state) {
	struct err err = {0};
	bool was_damaged = false;
	struct plan_step step = {.hash = "h1", .common = {.id = "a"}};
	struct state *s = open_as(*state, "i-1", "b-1", &was_damaged);
	assert_int_equal(state_mark(s, "r", &step, STATE_OK, &err), 0);
	state_free(s);
	for (size_t i = 0; i < sizeof done_rows / sizeof *done_rows; i++) {
		s = open_as(*state, done_rows[i].instance, done_rows[i].boot, &was_damaged);
		step.hash = done_rows[i].hash;
		step.common.frequency = done_rows[i].frequency;
		if (state_is_done(s, "r", &step) != done_rows[i].is_done) fail_msg("row %zu", i);
		assert_false(state_is_done(s, "other", &step));
		state_free(s);
	}
}

static void test_only_ok_counts(void **state) {
	struct err err = {0};
	bool was_damaged = false;
	struct plan_step step = {.hash = "h1", .common = {.id = "a"}};
	static const enum state_mark marks[] = {STATE_RUNNING, STATE_FAILED, STATE_OK};
	for (size_t i = 0; i < 3; i++) {
		struct state *s = open_as(*state, "i-1", "b-1", &was_damaged);
		assert_int_equal(state_mark(s, "r", &step, marks[i], &err), 0);
		state_free(s);
		s = open_as(*state, "i-1", "b-1", &was_damaged);
		assert_int_equal(state_is_done(s, "r", &step), marks[i] == STATE_OK);
		state_free(s);
	}
}

static void test_damaged_is_kept_aside(void **state) {
	static const char *const rows[] = {"", "{", "[]", "{\"version\":2,\"steps\":[]}",
					   "{\"version\":1,\"steps\":[{\"id\":\"a\"}]}"};
	struct fixture *f = *state;
	struct err err = {0};
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf aside = BUF_INIT(1024);
		bool was_damaged = false;
		assert_int_equal(fs_write(&f->root, "/state.json", rows[i], strlen(rows[i]), &how, &err), 0);
		struct state *s = open_as(f, "i-1", "b-1", &was_damaged);
		assert_true(was_damaged);
		state_free(s);
		assert_int_equal(fs_read(&f->root, "/state.json.damaged", &aside, &err), 0);
		assert_string_equal(buf_str(&aside), rows[i]);
		buf_clear(&aside);
	}
}

static void test_nothing_new_is_not_written(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	bool was_damaged = false;
	struct stat before, after;
	struct plan_step step = {.hash = "h1", .common = {.id = "a"}};
	struct state *s = open_as(f, "i-1", "b-1", &was_damaged);
	assert_int_equal(state_mark(s, "r", &step, STATE_OK, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/state.json", &before, &err), 0);
	assert_int_equal(state_mark(s, "r", &step, STATE_OK, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/state.json", &after, &err), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mode & 07777, 0600);
	state_free(s);
}

/* Begun on boot b-1: done once the machine has booted again, and not before. */
static void test_done_by_reboot(void **state) {
	static const struct step_type type = {.name = "reboot", .is_done_by_reboot = true};
	static const struct plan_step step = {.type = &type, .hash = "h1", .common = {.id = "a"}};
	static const struct plan_step other = {.type = &type, .hash = "h2", .common = {.id = "a"}};
	struct fixture *f = *state;
	struct err err;
	bool was_damaged;
	struct state *s = open_as(f, "i-1", "b-1", &was_damaged);
	assert_int_equal(state_mark(s, "r", &step, STATE_RUNNING, &err), 0);
	assert_false(state_is_done(s, "r", &step));
	state_free(s);
	s = open_as(f, "i-1", "b-2", &was_damaged);
	assert_true(state_is_done(s, "r", &step));
	assert_false(state_is_done(s, "r", &other));
	state_free(s);
	s = open_as(f, "i-2", "b-2", &was_damaged);
	assert_false(state_is_done(s, "r", &step));
	state_free(s);
}

static void test_reboots_are_counted(void **state) {
	struct fixture *f = *state;
	struct err err;
	bool was_damaged;
	struct state *s = open_as(f, "i-1", "b-1", &was_damaged);
	assert_int_equal(state_forget_reboots(s, &err), 0);
	assert_false(fs_exists(&f->root, "/state.json")); /* nothing to forget, nothing written */
	assert_int_equal(state_note_reboot(s, "h", "kernel", &err), 0);
	assert_int_equal(state_note_reboot(s, "h", "kernel", &err), 0);
	state_free(s);
	s = open_as(f, "i-1", "b-2", &was_damaged);
	assert_int_equal(state_reboots(s, "h"), 2);
	assert_int_equal(state_reboots(s, "other"), 0);
	state_free(s);
	s = open_as(f, "i-2", "b-2", &was_damaged);
	assert_int_equal(state_reboots(s, "h"), 0); /* a copy of the machine starts over */
	state_free(s);
	s = open_as(f, "i-1", "b-2", &was_damaged);
	assert_int_equal(state_forget_reboots(s, &err), 0);
	state_free(s);
	s = open_as(f, "i-1", "b-2", &was_damaged);
	assert_int_equal(state_reboots(s, "h"), 0);
	state_free(s);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {T(frequencies),	     T(only_ok_counts),
					   T(damaged_is_kept_aside), T(nothing_new_is_not_written),
					   T(done_by_reboot),	     T(reboots_are_counted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
