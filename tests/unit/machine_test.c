#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tree.h"

static const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C", "HOME=/root", "EMPTY=", NULL};

/* What both listeners were told. */
struct told {
	char text[1024];
};

static FORMAT(2, 3) void tell(struct told *t, const char *fmt, ...) {
	size_t n = strlen(t->text);
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(t->text + n, sizeof t->text - n, fmt, args);
	va_end(args);
}

static void on_machine_line(enum exec_stream stream, const char *line, void *arg) { tell(arg, "machine %s\n", line); }
static void on_own_line(enum exec_stream stream, const char *line, void *arg) { tell(arg, "own %s\n", line); }
static void on_note(const char *text, int64_t done, int64_t total, void *arg) {
	tell(arg, "note %s %lld/%lld\n", text, (long long)done, (long long)total);
}
static void on_bytes(const char *text, int64_t done, int64_t total, void *arg) {
	tell(arg, "bytes '%s' %lld/%lld\n", text, (long long)done, (long long)total);
}
static void on_wait(const char *what, int64_t waited_ms, void *arg) {
	tell(arg, "wait %s %lld\n", what, (long long)waited_ms);
}

static struct fs_root host;

static struct machine machine(struct told *told) {
	return (struct machine){.root = &host,
				.env = env,
				.deadline_at_ms = clock_mono_ms() + 60000,
				.on_line = on_machine_line,
				.on_note = on_note,
				.on_wait = on_wait,
				.arg = told};
}

static const struct {
	const char *name;
	bool is_quiet, has_own;
	const char *told;
} listeners[] = {
	{"the machine's", false, false, "machine hi\n"},
	{"both", false, true, "own hi\nmachine hi\n"},
	{"quiet: none", true, false, ""},
	{"quiet: the own one", true, true, "own hi\n"},
};

static void lines_go_where_they_should(void **state) {
	static const char *const argv[] = {"echo", "hi", NULL};
	for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
		AUTO_EXEC_RESULT struct exec_result result = {0};
		struct told told = {0};
		struct err err = {0};
		struct machine m = machine(&told);
		struct machine_command cmd = {.argv = argv,
					      .is_quiet = listeners[i].is_quiet,
					      .on_line = listeners[i].has_own ? on_own_line : NULL,
					      .arg = &told};
		if (machine_check(&m, &cmd, &result, &err)) fail_msg("%s: %s", listeners[i].name, err.msg);
		assert_string_equal(told.text, listeners[i].told);
	}
}

static void extra_environment_replaces(void **state) {
	static const char *const argv[] = {"env", NULL};
	static const char *const extra[] = {"LANG=fr_FR.UTF-8", "LAN=x", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct told told = {0};
	struct err err = {0};
	struct machine m = machine(&told);
	struct machine_command cmd = {.argv = argv, .extra_env = extra, .is_quiet = true, .stdout_max = 4096};
	assert_int_equal(machine_run(&m, &cmd, &result, &err), 0);
	assert_string_equal(buf_str(&result.out), "LANG=fr_FR.UTF-8\nLAN=x\nPATH=/usr/bin:/bin\nHOME=/root\nEMPTY=\n");
}

static void stdin_and_exit_status(void **state) {
	static const char *const cat_argv[] = {"cat", NULL}, *const false_argv[] = {"false", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0}, failed = {0};
	struct told told = {0};
	struct err err = {0};
	struct machine m = machine(&told);
	struct machine_command cmd = {.argv = cat_argv, .stdin_data = "in", .stdout_max = 10};
	assert_int_equal(machine_run(&m, &cmd, &result, &err), 0);
	assert_string_equal(buf_str(&result.out), "in");
	cmd = (struct machine_command){.argv = false_argv};
	assert_int_equal(machine_run(&m, &cmd, &failed, &err), 0);
	assert_int_equal(failed.exit_code, 1);
	assert_int_equal(machine_check(&m, &cmd, NULL, &err), -ERR_COMMAND);
}

static void nothing_starts_after_the_deadline(void **state) {
	static const char *const argv[] = {"touch", "/nonexistent/x", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct told told = {0};
	struct err err = {0};
	struct machine m = machine(&told);
	struct machine_command cmd = {.argv = argv, .timeout_ms = 1000};
	m.deadline_at_ms = clock_mono_ms() - 1;
	assert_int_equal(machine_left_ms(&m), 0);
	assert_int_equal(machine_run(&m, &cmd, &result, &err), -ERR_TIMEOUT);
	assert_string_equal(err.msg, "no time is left to start 'touch': the step's timeout has passed");
}

static void notes_and_waits_are_formatted(void **state) {
	struct told told = {0};
	struct machine m = machine(&told), mute = {0};
	machine_note(&m, 3, 12, "downloading %d of %d", 3, 12);
	machine_wait(&m, 1500, "the %s", "lock");
	machine_progress_bytes(&m, 41, 63, "copying");
	m.on_bytes = on_bytes;
	machine_progress_bytes(&m, 42, 63, NULL);
	machine_note(&mute, 0, 0, "nobody %s", "listens");
	machine_wait(&mute, 0, "nobody");
	machine_progress_bytes(&mute, 1, 2, NULL);
	assert_string_equal(told.text, "note downloading 3 of 12 3/12\nwait the lock 1500\nnote copying 41/63\n"
				       "bytes '' 42/63\n");
}

static void environment_is_read(void **state) {
	struct machine m = {.env = env}, none = {0};
	assert_string_equal(machine_env(&m, "LANG"), "C");
	assert_string_equal(machine_env(&m, "EMPTY"), "");
	assert_null(machine_env(&m, "LAN"));
	assert_null(machine_env(&m, "EMPTY="));
	assert_null(machine_env(&none, "LANG"));
}

static int set_up(void **state) {
	struct err err = {0};
	return fs_root_open(NULL, &host, &err);
}
static int tear_down(void **state) {
	fs_root_clear(&host);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_go_where_they_should),	 cmocka_unit_test(extra_environment_replaces),
		cmocka_unit_test(stdin_and_exit_status),	 cmocka_unit_test(nothing_starts_after_the_deadline),
		cmocka_unit_test(notes_and_waits_are_formatted), cmocka_unit_test(environment_is_read),
	};
	return cmocka_run_group_tests_name("machine", tests, set_up, tear_down);
}
