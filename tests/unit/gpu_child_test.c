#include "gpu_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

static const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};

static struct machine machine_on(struct fs_root *root, struct arena *arena) {
	struct err err;
	assert_int_equal(fs_root_open(NULL, root, &err), 0);
	return (struct machine){.root = root, .env = env, .deadline_at_ms = clock_mono_ms() + 60000, .arena = arena};
}

static void both_streams_are_kept(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_FS_ROOT struct fs_root root;
	struct machine m = machine_on(&root, &arena);
	AUTO_GPU_CHILD struct gpu_child child = {0};
	struct err err;
	const char *const argv[] = {"/bin/sh", "-c",
				    "echo one; echo two >&2; printf '\\tlast\\001 line \\n\\n'; exit 7", NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = 30000};
	assert_int_equal(gpu_child_run(&m, &cmd, &child, &err), 0);
	assert_int_equal(child.end, GPU_CHILD_ENDED);
	assert_int_equal(child.exit_code, 7);
	assert_non_null(strstr(buf_str(&child.text), "one\n"));
	assert_string_equal(gpu_child_line_with(&child, "tw", &arena), "two");
	assert_null(gpu_child_line_with(&child, "three", &arena));
	assert_string_equal(gpu_child_evidence("\tlast\001 line ", 12, &arena), "last  line");
}

static void a_signal_and_a_missing_program(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_FS_ROOT struct fs_root root;
	struct machine m = machine_on(&root, &arena);
	AUTO_GPU_CHILD struct gpu_child killed = {0}, missing = {0};
	struct err err;
	const char *const kills[] = {"/bin/sh", "-c", "kill -SEGV $$", NULL}, *const gone[] = {"no-such-smi", NULL};
	struct machine_command cmd = {.argv = kills, .timeout_ms = 30000};
	assert_int_equal(gpu_child_run(&m, &cmd, &killed, &err), 0);
	assert_int_equal(killed.signal, SIGSEGV);
	cmd.argv = gone;
	assert_int_equal(gpu_child_run(&m, &cmd, &missing, &err), 0);
	assert_int_equal(missing.end, GPU_CHILD_MISSING);
	assert_string_equal(buf_str(&missing.text), "no such command: no-such-smi (PATH=/usr/bin:/bin)");
}

/*
 * A process that nobody can reap, as one that hangs in the kernel: SIGKILL makes it a zombie, but the kernel shows a
 * traced zombie to its tracer alone. The tracer finds it by the pid that it writes into the pipe. False if tracing is
 * forbidden here.
 */
static pid_t trace_whoever_writes(int pid_from) {
	pid_t tracer = fork();
	if (tracer) return tracer;
	pid_t target = 0;
	char text[16] = "";
	if (read(pid_from, text, sizeof text - 1) <= 0) _exit(2);
	target = (pid_t)strtol(text, NULL, 10);
	if (ptrace(PTRACE_SEIZE, target, NULL, NULL) < 0) _exit(3);
	for (;;) pause();
}

static void what_cannot_be_ended_is_left_behind(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_FS_ROOT struct fs_root root;
	struct machine m = machine_on(&root, &arena);
	AUTO_GPU_CHILD struct gpu_child child = {0};
	struct gpu_report r;
	struct err err;
	int ends[2], status;
	char fifo[64];
	(void)snprintf(fifo, sizeof fifo, "/tmp/dsagent-unit-fifo-%d", (int)getpid());
	assert_int_equal(mkfifo(fifo, 0600), 0);
	ends[0] = open(fifo, O_RDWR | O_CLOEXEC);
	assert_true(ends[0] >= 0);
	pid_t tracer = trace_whoever_writes(ends[0]);
	const char *const argv[] = {"/bin/sh", "-c", arena_printf(&arena, "echo $$ >%s; exec sleep 600", fifo), NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = 1000};
	int64_t began_ms = clock_mono_ms();
	assert_int_equal(gpu_child_run(&m, &cmd, &child, &err), 0);
	int64_t took_ms = clock_mono_ms() - began_ms;
	bool is_traced = waitpid(tracer, &status, WNOHANG) == 0;
	(void)kill(tracer, SIGKILL);
	if (is_traced) (void)waitpid(tracer, &status, 0);
	(void)close(ends[0]);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(child.end, GPU_CHILD_HUNG);
	assert_true(took_ms >= 1000 && took_ms < 20000);
	if (!is_traced) {
		print_message("tracing is forbidden here: what cannot be reaped was not played\n");
		skip();
	}
	assert_true(child.was_left_behind);
	assert_true(took_ms >= 3000);
	report_fill(&r, &arena, "g5.xlarge", 1);
	gpu_child_add_hung(&r, &child, "nvidia-smi");
	assert_string_equal(
		report_findings(&r),
		"fail reboot gpu-hung: nvidia-smi did not answer within 1.0 s and could not be ended, it hangs "
		"in the kernel: reboot; if it returns, stop and start the instance, or relaunch it\n");
	/* With its tracer gone the zombie is ours at last. */
	while (waitpid(-1, &status, 0) > 0 || errno == EINTR) continue;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_streams_are_kept),
		cmocka_unit_test(a_signal_and_a_missing_program),
		cmocka_unit_test(what_cannot_be_ended_is_left_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
