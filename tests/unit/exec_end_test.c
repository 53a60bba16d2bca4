#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "exec_fixture.h"

static pid_t pid_in(const struct exec_result *r) { return (pid_t)strtol(buf_str(&r->out), NULL, 10); }

/* Waits for a process to be gone (or a zombie that init has not met yet). */
static bool is_gone(pid_t pid) {
	for (int i = 0; i < 500; i++) {
		char path[64], line[256] = "";
		const struct fs_root host = {.fd = -1, .path = NULL};

		(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		fs_read_line(&host, path, line, sizeof line);
		if (!line[0] || strstr(line, ") Z ")) return true;
		clock_sleep_ms(10);
	}
	return false;
}

static void a_timeout_ends_the_whole_group(void **state) {
	struct exec_spec spec = SPEC(SH("sleep 1000 & echo $!; wait"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};

	spec.timeout_ms = 300;
	spec.stdout_max = 100;
	assert_int_equal(exec_check(&spec, &r, &err), -ERR_TIMEOUT);
	assert_true(r.has_timed_out);
	assert_true(pid_in(&r) > 1);
	assert_true(is_gone(pid_in(&r)));
	assert_int_equal(r.signal, SIGTERM);
	assert_true(str_starts(err.msg, "'/bin/sh -c sleep 1000 & echo $!; wait' did not end within 300 ms: "));
	exec_result_clear(&r);
	spec.argv = SH("exec sleep 1000");
	spec.timeout_ms = 1000;
	assert_int_equal(exec_check(&spec, &r, &err), -ERR_TIMEOUT);
	assert_string_equal(err.msg, "'/bin/sh -c exec sleep 1000' did not end within 1 s");
	spec.timeout_ms = 985; /* what is left of a step's second */
	assert_int_equal(exec_check(&spec, &r, &err), -ERR_TIMEOUT);
	assert_string_equal(err.msg, "'/bin/sh -c exec sleep 1000' did not end within 1 s");
}

/* SIGTERM is ignored by all: SIGKILL follows. The leader ends at once in the second case, its child must not survive.
 */
static void who_ignores_sigterm_is_killed(void **state) {
	static const char *const scripts[] = {
		"trap '' TERM; sleep 1000 & echo $!; wait; wait",
		"(trap '' TERM; exec sleep 1000) & echo $!; sleep 1000",
	};
	static const int signals[] = {SIGKILL, SIGTERM};

	for (int i = 0; i < 2; i++) {
		struct exec_spec spec = SPEC(SH(scripts[i]));
		struct exec_result r AUTO_EXEC_RESULT = {0};
		struct err err = {0};

		spec.timeout_ms = 200;
		spec.stdout_max = 100;
		assert_int_equal(exec_run(&spec, &r, &err), 0);
		assert_true(r.has_timed_out);
		assert_false(r.was_oom_killed);
		assert_int_equal(r.signal, signals[i]);
		assert_true(pid_in(&r) > 1);
		assert_true(is_gone(pid_in(&r)));
	}
}

/* A daemon keeps our pipe: we do not wait for it, and leave it alone, since a service may have been started so. */
static void a_background_process_does_not_hold_us(void **state) {
	struct exec_spec spec = SPEC(SH("(setsid sleep 1000 & echo $!) ; exit 0"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};
	int64_t before = clock_mono_ms();

	spec.stdout_max = 100;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_true(clock_mono_ms() - before < LONG_MS / 2);
	assert_int_equal(r.exit_code, 0);
	assert_int_equal(kill(pid_in(&r), 0), 0);
	assert_int_equal(kill(pid_in(&r), SIGKILL), 0);
}

static void a_command_that_closes_its_output_is_waited_for(void **state) {
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};

	assert_int_equal(exec_run(&SPEC(SH("exec >&- 2>&-; sleep 0.7; exit 5")), &r, &err), 0);
	assert_int_equal(r.exit_code, 5);
}

static void on_alarm(int sig) { exec_cancel(); }

/* In a process of its own: a cancelled process stays so. Exit status 0 is success, else the failed check. */
static void cancel_in_child(void) {
	struct sigaction action = {.sa_handler = on_alarm};
	struct exec_spec spec = SPEC(SH("sleep 1000 & wait"));
	struct exec_result r = {0};
	struct err err = {0};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)ualarm(200000, 0);
	if (exec_run(&spec, &r, &err) != -ERR_CANCELLED) _exit(1);
	if (!str_eq(err.msg, "'/bin/sh -c sleep 1000 & wait' was told to stop")) _exit(2);
	if (waitpid(-1, NULL, WNOHANG) != -1) _exit(3);
	if (exec_run(&spec, &r, &err) != -ERR_CANCELLED) _exit(4);
	_exit(str_eq(err.msg, "'/bin/sh' was not started: told to stop") ? 0 : 5);
}

static void cancel_ends_the_command(void **state) {
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) cancel_in_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A caller that dies takes its command along. */
static void the_command_dies_with_us(void **state) {
	int out[2];
	char text[32] = "";
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct exec_spec spec;
		struct exec_result r;
		struct err err;
		char script[64];

		(void)snprintf(script, sizeof script, "echo $$ >/proc/%d/fd/%d; exec sleep 1000", (int)getpid(),
			       out[1]);
		spec = SPEC(SH(script));
		(void)!exec_run(&spec, &r, &err);
		_exit(1);
	}
	assert_true(read(out[0], text, sizeof text - 1) > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(is_gone((pid_t)strtol(text, NULL, 10)));
	assert_int_equal(close(out[0]) + close(out[1]), 0);
}

/* A session with three processes in two groups; only its caller, in another session, survives. */
static void kill_session_leaves_none(void **state) {
	struct exec_spec spec = SPEC(SH("setsid sh -c 'sleep 1000 & echo $$ $!; exec sleep 1000' & sleep 0.3; exit 0"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};
	char *end;
	pid_t leader, member;

	spec.stdout_max = 100;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	leader = (pid_t)strtol(buf_str(&r.out), &end, 10);
	member = (pid_t)strtol(end, NULL, 10);
	assert_true(leader > 1 && member > 1);
	assert_int_equal(kill(member, 0), 0);
	exec_kill_session(0); /* never "every process" */
	exec_kill_session(leader);
	assert_true(is_gone(leader));
	assert_true(is_gone(member));
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timeout_ends_the_whole_group),
		cmocka_unit_test(who_ignores_sigterm_is_killed),
		cmocka_unit_test(a_background_process_does_not_hold_us),
		cmocka_unit_test(a_command_that_closes_its_output_is_waited_for),
		cmocka_unit_test(cancel_ends_the_command),
		cmocka_unit_test(the_command_dies_with_us),
		cmocka_unit_test(kill_session_leaves_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
