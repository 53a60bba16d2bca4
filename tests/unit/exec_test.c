#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "exec_fixture.h"

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	buf_addf(arg, "%c %s\n", stream == EXEC_STDOUT ? 'o' : 'e', line);
}

/* How commands end: what exec_check makes of them. */
static const struct {
	const char *const *argv;
	int rc, exit_code, signal;
	const char *msg;
} ends[] = {
	{SH("exit 0"), 0, 0, 0, ""},
	{SH("exit 3"), -ERR_COMMAND, 3, 0, "'/bin/sh -c exit 3' ended with exit status 3"},
	{SH("echo a; echo; echo b; exit 1"), -ERR_COMMAND, 1, 0,
	 "'/bin/sh -c echo a; echo; echo b; exit 1' ended with exit status 1: a | b"},
	{SH("for i in 1 2 3 4 5 6 7 8; do echo $i; done; false"), -ERR_COMMAND, 1, 0,
	 "'/bin/sh -c for i in 1 2 3 4 5 6 7 8; do echo $i; done; false' ended with exit status 1: 3 | 4 | 5 | 6 | 7 | "
	 "8"},
	{SH("kill -SEGV $$"), -ERR_COMMAND, -1, SIGSEGV,
	 "'/bin/sh -c kill -SEGV $$' was ended by signal 11 (Segmentation fault)"},
	{SH("kill -KILL $$"), -ERR_COMMAND, -1, SIGKILL, "'/bin/sh -c kill -KILL $$' was ended by signal 9 (Killed)"},
	{SH("echo 'x: No space left on device' >&2; exit 1"), -ERR_NO_SPACE, 1, 0,
	 "disk full, free space or take a larger volume: '/bin/sh -c echo 'x: No space left on device' >&2; exit 1' "
	 "ended with exit status 1: x: No space left on device"},
	{SH("echo 'x: Disk quota exceeded'; exit 1"), -ERR_NO_SPACE, 1, 0,
	 "disk full, free space or take a larger volume: '/bin/sh -c echo 'x: Disk quota exceeded'; exit 1' ended with "
	 "exit status 1: x: Disk quota exceeded"},
	{SH("echo 'No space left on device'"), 0, 0, 0, ""},
};

static void ends_become_errors(void **state) {
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct exec_result r AUTO_EXEC_RESULT = {0};
		struct err err = {0};
		int rc = exec_check(&SPEC(ends[i].argv), &r, &err);

		assert_string_equal(err.msg, ends[i].msg);
		assert_int_equal(rc, ends[i].rc);
		assert_int_equal(r.exit_code, ends[i].exit_code);
		assert_int_equal(r.signal, ends[i].signal);
		assert_false(r.has_timed_out);
		assert_false(r.was_oom_killed);
	}
}

/* Commands that cannot be started. */
static void missing_commands(void **state) {
	struct exec_result r = {.exit_code = 42};
	struct err err = {0};
	char script[] = "/tmp/exec_test.XXXXXX", msg[200];
	int fd;

	assert_int_equal(exec_run(&SPEC(((const char *const[]){"no-such", "x", NULL})), &r, &err), -ERR_NOT_FOUND);
	assert_string_equal(err.msg, "no such command: no-such (PATH=/usr/bin:/bin)");
	assert_int_equal(exec_run(&SPEC(((const char *const[]){"/no/such", NULL})), &r, &err), -ERR_NOT_FOUND);
	assert_string_equal(err.msg, "no such command: /no/such");
	assert_int_equal(exec_run(&SPEC(((const char *const[]){"/etc", NULL})), &r, &err), -ERR_DENIED);
	assert_string_equal(err.msg, "cannot run /etc: Permission denied");
	struct exec_spec lost = SPEC(SH("exit 0"));
	lost.cwd = "/no/such/dir";
	assert_int_equal(exec_run(&lost, &r, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "cannot run /bin/sh in directory /no/such/dir: No such file or directory");
	fd = mkostemp(script, O_CLOEXEC);
	assert_int_equal(write(fd, "#!/no/interpreter\n", 18), 18);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(exec_run(&SPEC(((const char *const[]){script, NULL})), &r, &err), -ERR_NOT_FOUND);
	(void)snprintf(msg, sizeof msg, "cannot run %s: the interpreter or loader that it names is missing", script);
	assert_string_equal(err.msg, msg);
	assert_int_equal(unlink(script), 0);
	assert_int_equal(r.exit_code, 42); /* untouched on failure */
}

static void a_spec_without_time_limit_is_refused(void **state) {
	struct exec_spec spec = SPEC(SH("exit 0"));
	struct exec_result r = {0};
	struct err err = {0};

	spec.timeout_ms = 0;
	assert_int_equal(exec_run(&spec, &r, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "'/bin/sh' has no time limit");
}

static void lines_are_streamed(void **state) {
	struct buf lines AUTO_BUF = BUF_INIT(10000);
	struct exec_spec spec =
		SPEC(SH("printf 'a\\r\\n\\nnul:\\000:\\n'; sleep 0.05; echo w >&2; sleep 0.05; printf end"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};

	spec.on_line = on_line;
	spec.arg = &lines;
	spec.stdout_max = 100;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_string_equal(buf_str(&lines), "o a\no \no nul:?:\ne w\no end\n");
	assert_string_equal(buf_str(&r.tail), "a\n\nnul:?:\nw\nend\n");
	assert_int_equal(r.out.len, 14);
	assert_memory_equal(r.out.data, "a\r\n\nnul:\0:\nend", 14);
}

/* A line above EXEC_LINE_MAX comes in pieces, none of which splits a character. */
static void long_lines_come_in_pieces(void **state) {
	struct buf lines AUTO_BUF = BUF_INIT(100000);
	struct buf want AUTO_BUF = BUF_INIT(100000);
	struct exec_spec spec =
		SPEC(SH("i=0; while [ $i -lt 2000 ]; do printf '\\342\\202\\254'; i=$((i+1)); done; echo"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};

	spec.on_line = on_line;
	spec.arg = &lines;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	buf_adds(&want, "o ");
	for (int i = 0; i < 2000; i++) buf_adds(&want, i == EXEC_LINE_MAX / 3 ? "\no \xe2\x82\xac" : "\xe2\x82\xac");
	buf_adds(&want, "\n");
	assert_string_equal(buf_str(&lines), buf_str(&want));
	assert_true(r.tail.len <= EXEC_TAIL_MAX);
}

/* 100 MB pass through in bounded memory; the tail is the last lines, whole. */
static void a_flood_is_survived(void **state) {
	struct exec_spec spec = SPEC(SH("head -c 100000000 /dev/zero | tr '\\0' 'y'; echo; seq 1 2000"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct buf want AUTO_BUF = BUF_INIT(20000);
	struct err err = {0};

	assert_int_equal(exec_check(&spec, &r, &err), 0);
	for (int i = 1; i <= 2000; i++) buf_addf(&want, "%d\n", i);
	assert_true(r.tail.len <= EXEC_TAIL_MAX && r.tail.len > EXEC_TAIL_MAX - 6);
	assert_string_equal(buf_str(&r.tail), buf_str(&want) + want.len - r.tail.len);
	assert_int_equal(buf_str(&want)[want.len - r.tail.len - 1], '\n');
}

static void kept_output_has_a_limit(void **state) {
	struct exec_spec spec = SPEC(SH("yes"));
	struct exec_result r = {0};
	struct err err = {0};

	spec.stdout_max = 1000;
	assert_int_equal(exec_run(&spec, &r, &err), -ERR_LIMIT);
	assert_string_equal(err.msg, "the output of '/bin/sh -c yes' is larger than 1000 bytes");
}

/* A megabyte in and out of cat at once: more than both pipes hold. */
static void stdin_is_fed_without_deadlock(void **state) {
	enum { SIZE = 1 << 20 };
	struct arena arena AUTO_ARENA = {0};
	char *data = arena_alloc(&arena, SIZE);
	struct exec_spec spec = SPEC(SH("cat; sleep 0.01; cat >&2"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};

	for (size_t i = 0; i < SIZE; i++) data[i] = (char)(i % 63 ? 'a' + i % 26 : '\n');
	spec.stdin_data = data;
	spec.stdin_len = SIZE;
	spec.stdout_max = SIZE;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_int_equal(r.out.len, SIZE);
	assert_memory_equal(r.out.data, data, SIZE);
	exec_result_clear(&r);
	spec.argv = SH("exec <&-; sleep 0.05; echo done"); /* wants none of it: no SIGPIPE, no error */
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_string_equal(buf_str(&r.out), "done\n");
	exec_result_clear(&r);
	spec.argv = SH("wc -c");
	spec.stdin_len = 0;
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_string_equal(buf_str(&r.out), "0\n");
	exec_result_clear(&r);
	spec.stdin_data = NULL; /* /dev/null */
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	assert_string_equal(buf_str(&r.out), "0\n");
}

/* What this process was started with for signals 32 and 33: they are libc's own, it lets nobody change them. */
static unsigned long long libc_ignored(void) {
	char line[128];
	unsigned long long ignored = 0;
	FILE *status = fopen("/proc/self/status", "re");

	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (strncmp(line, "SigIgn:", 7) == 0) ignored = strtoull(line + 7, NULL, 16);
	(void)fclose(status);
	return ignored & 3ULL << 31;
}

/* Nothing but the named environment, three descriptors, an empty signal mask and default signals. */
static void the_child_starts_clean(void **state) {
	struct exec_spec spec = SPEC(SH("env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort; pwd; "
					"for i in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && echo $i; done; "
					"grep -E '^Sig(Blk|Ign)' /proc/self/status"));
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};
	int leak AUTO_CLOSE = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */
	sigset_t mask, old;
	char expected[200];

	(void)setenv("SECRET_OF_OURS", "x", 1);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &mask, &old), 0);
	(void)signal(SIGUSR2, SIG_IGN);
	spec.stdout_max = 10000;
	spec.cwd = "/usr";
	assert_int_equal(exec_check(&spec, &r, &err), 0);
	(void)signal(SIGUSR2, SIG_DFL);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
	assert_true(leak > 2);
	(void)snprintf(expected, sizeof expected,
		       "LANG=C.UTF-8\nPATH=/usr/bin:/bin\n/usr\n0\n1\n2\n"
		       "SigBlk:\t0000000000000000\nSigIgn:\t%016llx\n",
		       libc_ignored());
	assert_string_equal(buf_str(&r.out), expected);
}

static void runs_as_a_user(void **state) {
	const struct exec_user nobody = {.name = "nobody", .home = "/nonexistent", .uid = 65534, .gid = 65533};
	struct exec_spec spec = {.argv = SH("id -u; id -g; id -G; echo $HOME; grep -E '^(Uid|Gid)' /proc/self/status"),
				 .user = &nobody,
				 .timeout_ms = LONG_MS,
				 .stdout_max = 1000};
	struct exec_result r AUTO_EXEC_RESULT = {0};
	struct err err = {0};
	int rc;

	if (getuid() != 0) {
		print_message("skipped: not root\n");
		skip();
	}
	rc = exec_check(&spec, &r, &err);
	assert_string_equal(err.msg, "");
	assert_int_equal(rc, 0);
	assert_string_equal(buf_str(&r.out), "65534\n65533\n65533\n/nonexistent\nUid:\t65534\t65534\t65534\t65534\n"
					     "Gid:\t65533\t65533\t65533\t65533\n");
}

/*
 * The kernel's kill for memory, played: /proc/vmstat is covered by a file, in a mount namespace of its own, whose
 * counter rises while the command is killed. Exit status 0 is success, 77 that this process may not mount.
 */
static void oom_in_child(const char *file) {
	struct exec_spec spec;
	struct exec_result r = {0};
	struct err err = {0};
	char script[200], want[400];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(file, "/proc/vmstat", NULL, MS_BIND, NULL) < 0)
		_exit(77);
	spec = SPEC(SH("kill -9 $$"));
	if (exec_check(&spec, &r, &err) != -ERR_COMMAND || r.was_oom_killed) _exit(1); /* the counter stood still */
	(void)snprintf(script, sizeof script, "printf 'a 1\\noom_kill 5\\n' >%s; echo big; kill -9 $$", file);
	(void)snprintf(want, sizeof want,
		       "out of memory: the kernel killed '/bin/sh -c %s'; add swap or take a larger instance: big",
		       script);
	spec = SPEC(SH(script));
	exec_result_clear(&r);
	if (exec_check(&spec, &r, &err) != -ERR_NO_MEMORY || !r.was_oom_killed) _exit(2);
	if (!str_eq(err.msg, want)) _exit(3);
	exec_result_clear(&r);
	_exit(0);
}

static void a_kill_for_memory_is_told(void **state) {
	char file[] = "/tmp/exec_test.XXXXXX";
	int fd AUTO_CLOSE = mkostemp(file, O_CLOEXEC);
	int status = 0;
	pid_t pid;

	assert_int_equal(write(fd, "a 1\noom_kill 4\n", 15), 15);
	pid = fork();
	if (pid == 0) oom_in_child(file);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(unlink(file), 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: this process may not mount over /proc/vmstat\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* The machine's own tree, mounted elsewhere with a file put over one of its own, is a --root tree with a shell. */
static void root_in_child(const char *dir) {
	struct fs_root root = {.fd = -1};
	struct exec_spec spec = SPEC(SH("cat /etc/hostname; pwd"));
	struct exec_result r = {0};
	struct err err = {0};
	char marker[200], path[64] = "";
	int fd;

	(void)snprintf(marker, sizeof marker, "%s/etc/hostname", dir);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("/", dir, NULL, MS_BIND, NULL) < 0 || mount("tmpfs", "/mnt", "tmpfs", 0, "size=64k") < 0)
		_exit(77);
	fd = open("/mnt/marker", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (write(fd, "inside\n", 7) != 7 || mount("/mnt/marker", marker, NULL, MS_BIND, NULL) < 0) _exit(77);
	if (fs_root_open(dir, &root, &err) < 0 || !root.is_system) _exit(1);
	spec.root = &root;
	spec.cwd = "/etc";
	spec.stdout_max = 100;
	if (exec_run(&spec, &r, &err) < 0) _exit(2);
	if (!str_eq(buf_str(&r.out), "inside\n/etc\n")) _exit(3);
	if (!exec_find(&root, "sh", path, sizeof path) || !str_ends(path, "bin/sh") || !str_starts(path, "/")) _exit(4);
	if (str_starts(path, dir)) _exit(5);
	exec_result_clear(&r);
	fs_root_clear(&root);
	_exit(0);
}

static void runs_inside_a_root(void **state) {
	char dir[] = "/tmp/exec_test.XXXXXX";
	int status = 0;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0) root_in_child(dir);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(dir), 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: this process may not mount\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void find_looks_along_path(void **state) {
	char path[64], small[4];

	(void)setenv("PATH", "/no/such::/etc:/usr/bin:/bin", 1);
	assert_true(exec_find(NULL, "env", path, sizeof path));
	assert_string_equal(path, "/usr/bin/env");
	assert_false(exec_find(NULL, "env", small, sizeof small));
	assert_false(exec_find(NULL, "no-such-command", path, sizeof path));
	assert_false(exec_find(NULL, "passwd-", path, sizeof path)); /* /etc/passwd-: a file, not a program */
	assert_false(exec_find(NULL, "apt", small, 0));
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_become_errors),
		cmocka_unit_test(missing_commands),
		cmocka_unit_test(a_spec_without_time_limit_is_refused),
		cmocka_unit_test(lines_are_streamed),
		cmocka_unit_test(long_lines_come_in_pieces),
		cmocka_unit_test(a_flood_is_survived),
		cmocka_unit_test(kept_output_has_a_limit),
		cmocka_unit_test(stdin_is_fed_without_deadlock),
		cmocka_unit_test(the_child_starts_clean),
		cmocka_unit_test(runs_as_a_user),
		cmocka_unit_test(a_kill_for_memory_is_told),
		cmocka_unit_test(runs_inside_a_root),
		cmocka_unit_test(find_looks_along_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
