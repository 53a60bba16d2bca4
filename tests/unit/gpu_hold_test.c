#include "gpu_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "sys/gpu_hold.h"
#include "tree.h"

/* Files stand in for the nodes: what is opened, how long it is held, and what each errno means. */

#define LONG_MS (30 * 1000)

static const char *prefix_in(const struct tree *t, struct arena *arena) {
	return arena_printf(arena, "%s/nvidia", t->root.path);
}

/* True if process pid has the file of the tree open. */
static bool is_open_in(pid_t pid, const char *path) {
	char link[64], target[512];
	for (int fd = 0; fd < 16; fd++) {
		(void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, fd);
		ssize_t n = readlink(link, target, sizeof target - 1);
		if (n < 0) continue;
		target[n] = '\0';
		if (str_eq(target, path)) return true;
	}
	return false;
}

static void nodes_are_open_until_the_end(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_hold h;
	struct gpu_report r;
	struct tree t;
	int fd AUTO_CLOSE = -1;
	tree_open(&t);
	tree_write(&t, "/nvidia0", "", 0666);
	tree_write(&t, "/nvidia1", "", 0666);
	tree_write(&t, "/ours", "", 0666);
	fd = open(arena_printf(&arena, "%s/ours", t.root.path), O_RDONLY);
	const char *prefix = prefix_in(&t, &arena);
	report_fill(&r, &arena, "g5.12xlarge", 2);
	gpu_add(&r, "cuda-skipped", GPU_INFO, GPU_REMEDY_NONE, NULL, "CUDA was not tried");
	gpu_hold_start(&h, prefix, 2);
	gpu_hold_await(&h, LONG_MS);
	assert_int_equal(h.heard, 2);
	assert_true(is_open_in(h.pid, arena_printf(&arena, "%s0", prefix)));
	assert_true(is_open_in(h.pid, arena_printf(&arena, "%s1", prefix)));
	assert_false(is_open_in(h.pid, arena_printf(&arena, "%s/ours", t.root.path)));
	gpu_hold_judge(&h, &r);
	pid_t pid = h.pid;
	gpu_hold_end(&h);
	gpu_hold_end(&h); /* twice is once */
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_string_equal(report_findings(&r),
			    "info none cuda-skipped: CUDA was not tried; the driver opens every GPU\n");
	tree_close(&t);
}

static void absent_nodes_are_no_finding(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_GPU_HOLD struct gpu_hold h = GPU_HOLD_INIT;
	struct gpu_report r;
	struct tree t;
	tree_open(&t);
	tree_write(&t, "/nvidia1", "", 0666);
	report_fill(&r, &arena, "g5.12xlarge", 2);
	gpu_add(&r, "cuda-skipped", GPU_INFO, GPU_REMEDY_NONE, NULL, "CUDA was not tried");
	gpu_hold_start(&h, prefix_in(&t, &arena), 2);
	gpu_hold_await(&h, LONG_MS);
	assert_int_equal(h.heard, 2);
	assert_int_equal(h.errors[0], ENOENT);
	gpu_hold_judge(&h, &r);
	assert_string_equal(report_findings(&r), "info none cuda-skipped: CUDA was not tried\n");
	tree_close(&t);
}

/* A lease makes open(2) wait until its holder lets go, for 45 s at most. */
static void an_open_that_hangs_is_reported_and_left(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_hold h;
	struct gpu_report r;
	struct tree t;
	int fd AUTO_CLOSE = -1;
	tree_open(&t);
	tree_write(&t, "/nvidia0", "", 0666);
	tree_write(&t, "/nvidia1", "", 0666);
	(void)signal(SIGIO, SIG_IGN);
	fd = open(arena_printf(&arena, "%s1", prefix_in(&t, &arena)), O_RDONLY);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
		tree_close(&t);
		print_message("skipped: no leases on this file system\n");
		skip();
	}
	report_fill(&r, &arena, "g5.12xlarge", 2);
	gpu_hold_start(&h, prefix_in(&t, &arena), 2);
	gpu_hold_await(&h, 300);
	if (h.heard == 0) gpu_hold_await(&h, LONG_MS / 3); /* a slow machine: the first node does open */
	h.started_at_ms = clock_mono_ms();
	h.prefix = "/dev/nvidia";
	gpu_hold_judge(&h, &r);
	pid_t pid = h.pid;
	int64_t began_ms = clock_mono_ms();
	gpu_hold_end(&h);
	assert_true(clock_mono_ms() - began_ms < 10 * 1000);
	assert_true(waitpid(pid, NULL, WNOHANG) <= 0);
	assert_int_equal(h.heard, 1);
	assert_int_equal(r.finding_count, 1);
	assert_string_equal(r.findings[0].code, "gpu-hung");
	assert_true(str_starts(r.findings[0].text, "/dev/nvidia1 could not be opened within "));
	tree_close(&t);
}

static void a_process_that_was_killed_says_nothing(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_GPU_HOLD struct gpu_hold h = GPU_HOLD_INIT;
	struct gpu_report r;
	report_fill(&r, &arena, "g5.12xlarge", 1);
	gpu_hold_start(&h, "/nowhere/nvidia", GPU_MAX);
	assert_int_equal(kill(h.pid, SIGKILL), 0);
	gpu_hold_await(&h, LONG_MS);
	gpu_hold_judge(&h, &r);
	assert_int_equal(r.finding_count, 0);
}

static const struct {
	const char *name;
	size_t count, heard;
	int errors[4];
	const char *findings;
} rows[] = {
	{"all open", 2, 2, {0}, ""},
	{"it does not come up",
	 1,
	 1,
	 {EIO},
	 "fail reboot gpu-open: /dev/nvidia0 cannot be opened: the driver cannot bring it up: reboot; if it returns, "
	 "stop and start the instance, or relaunch it [$]\n"},
	{"two are lost",
	 4,
	 4,
	 {0, ENODEV, 0, ENODEV},
	 "fail replace gpu-open: /dev/nvidia1, /dev/nvidia3 cannot be opened: the driver has lost it: stop and start "
	 "the instance, or relaunch it (a reboot keeps the same hardware) [$]\n"},
	{"excluded and kept",
	 2,
	 2,
	 {EPERM, EBUSY},
	 "fail fix gpu-open: /dev/nvidia0 cannot be opened: it is excluded (NVreg_ExcludedGpus in /etc/modprobe.d), or "
	 "a device cgroup forbids it [$]\n"
	 "fail reboot gpu-open: /dev/nvidia1 cannot be opened: the driver keeps it to itself: reboot; if it returns, "
	 "stop and start the instance, or relaunch it [$]\n"},
	{"what other checks say", 3, 3, {ENOENT, EACCES, ENXIO}, ""},
	{"an errno that nobody foresaw",
	 1,
	 1,
	 {ENOMEM},
	 "warn none gpu-open: /dev/nvidia0 cannot be opened: look into `sudo dmesg` [$]\n"},
};

/* The row's findings with the C library's words for its errors in the place of each $. */
static const char *spell(size_t row, struct arena *arena) {
	const char *text = rows[row].findings, *mark;
	const int *error = rows[row].errors;

	for (int last = 0; (mark = strchr(text, '$')) != NULL; last = *error++) {
		while (*error == 0 || *error == last) error++;
		text = arena_printf(arena, "%.*s%s%s", (int)(mark - text), text, strerror(*error), mark + 1);
	}
	return text;
}

static void what_each_errno_means(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct gpu_hold h = {.fd = -1, .prefix = "/dev/nvidia", .count = rows[i].count, .heard = rows[i].heard};
		struct gpu_report r;
		memcpy(h.errors, rows[i].errors, sizeof rows[i].errors);
		report_fill(&r, &arena, "g5.12xlarge", rows[i].count);
		gpu_hold_judge(&h, &r);
		if (!str_eq(report_findings(&r), spell(i, &arena)))
			fail_msg("%s: %s", rows[i].name, report_findings(&r));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_open_until_the_end),
		cmocka_unit_test(absent_nodes_are_no_finding),
		cmocka_unit_test(an_open_that_hangs_is_reported_and_left),
		cmocka_unit_test(a_process_that_was_killed_says_nothing),
		cmocka_unit_test(what_each_errno_means),
	};
	return cmocka_run_group_tests_name("gpu_hold", tests, NULL, NULL);
}
