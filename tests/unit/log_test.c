#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/log.h"

static const struct {
	const char *secrets[3];
	const char *text, *clean;
} rows[] = {
	{{NULL}, "nothing to hide", "nothing to hide"},
	{{"hunter2"}, "pw=hunter2, again hunter2hunter2.", "pw=***, again ******."},
	{{"short"}, "short", "short"}, /* below LOG_SECRET_MIN */
	{{"abcdef", "abcdefgh"}, "abcdefgh abcdef", "*** ***"},
	{{"abcdef", "defghi"}, "xabcdefghix", "x***x"}, /* one begins inside the other */
	{{"line-one\nline-two\r\nx"}, "a line-one b line-two c x", "a *** b *** c x"},
	{{"line-one\nline-two"}, "line-one\nline-two", "***"},
	{{"secret"}, "sec", "sec"},   /* below LOG_REMNANT_MIN */
	{{"secret"}, "secre", "***"}, /* cut off in a secret */
	{{"hunter2secret"},
	 "echo hunter2sec\xe2\x80\xa6 failed: no hunter2sec ",
	 "echo ***\xe2\x80\xa6 failed: no hunter2sec "},
	{{"secret"}, "", ""},
};

static void redacts(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out AUTO_BUF = BUF_INIT(1000);

		for (size_t k = 0; k < 3; k++) log_secret_add(rows[i].secrets[k]);
		log_redact(rows[i].text, &out);
		assert_string_equal(buf_str(&out), rows[i].clean);
		log_secrets_clear();
		buf_reset(&out);
		log_redact("hunter2", &out);
		assert_string_equal(buf_str(&out), "hunter2");
	}
}

static const struct {
	const char *secret, *text;
	size_t len, cut;
} cut_rows[] = {
	{"hunter2", "pw=hunter2!", 11, 11},
	{"hunter2", "pw=hunter2!", 10, 10},
	{"hunter2", "pw=hunter2!", 9, 3},
	{"hunter2", "pw=hunter2!", 4, 3},
	{"hunter2", "pw=hunter2!", 3, 3},
	{"hunter2", "hunter", 6, 0},
	{"hunter2", "", 0, 0},
};

static void cuts_no_secret(void **state) {
	for (size_t i = 0; i < sizeof cut_rows / sizeof *cut_rows; i++) {
		log_secret_add(cut_rows[i].secret);
		assert_int_equal(log_cut(cut_rows[i].text, cut_rows[i].len), cut_rows[i].cut);
		log_secrets_clear();
	}
}

static int exit_status(pid_t pid) {
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void too_many_secrets_end_the_process(void **state) {
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, STDERR_FILENO);
		for (int i = 0; i < LOG_SECRETS_MAX; i++) {
			char secret[32];

			(void)snprintf(secret, sizeof secret, "secret-%d", i);
			log_secret_add(secret);
			log_secret_add(secret); /* known already: takes no room */
		}
		log_secret_add("one too many");
		_exit(7);
	}
	assert_int_equal(exit_status(pid), 1);
}

static void write_lines(bool has_debug) {
	log_secret_add("hunter2");
	if (has_debug)
		(void)setenv("DSAGENT_DEBUG", "1", 1);
	else
		(void)unsetenv("DSAGENT_DEBUG");
	log_error("disk %d", 1);
	log_warning("two\nlines\n");
	log_info("pw hunter2 \x1b[31m");
	log_write(LOG_LEVEL_NOTICE, "tab\there");
	log_debug("detail");
	_exit(0);
}

/* What a child logs with its stderr on a file, as the journal or not. */
static void captured(bool has_debug, bool is_journal, struct buf *out) {
	char path[] = "/tmp/log_test.XXXXXX";
	int fd AUTO_CLOSE = mkostemp(path, O_CLOEXEC);
	char chunk[2000];
	ssize_t n;
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	pid = fork();
	if (pid == 0) {
		char stream[64] = "1:1"; /* somebody else's stream */
		struct stat st;

		(void)fstat(fd, &st);
		if (is_journal)
			(void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
				       (unsigned long long)st.st_ino);
		(void)setenv("JOURNAL_STREAM", stream, 1);
		(void)dup2(fd, STDERR_FILENO);
		write_lines(has_debug);
	}
	assert_int_equal(exit_status(pid), 0);
	n = pread(fd, chunk, sizeof chunk, 0);
	assert_true(n >= 0);
	buf_add(out, chunk, (size_t)n);
}

static void lines_on_a_terminal(void **state) {
	struct buf out AUTO_BUF = BUF_INIT(2000);

	captured(true, false, &out);
	assert_string_equal(buf_str(&out), "dsagent: error: disk 1\n"
					   "dsagent: warning: two\n"
					   "dsagent: warning: lines\n"
					   "dsagent: pw *** ?[31m\n"
					   "dsagent: tab\there\n"
					   "dsagent: debug: detail\n");
}

static void lines_in_the_journal(void **state) {
	struct buf out AUTO_BUF = BUF_INIT(2000);

	captured(false, true, &out);
	assert_string_equal(buf_str(&out), "<3>disk 1\n<4>two\n<4>lines\n<6>pw *** ?[31m\n<5>tab\there\n");
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(redacts),
		cmocka_unit_test(cuts_no_secret),
		cmocka_unit_test(too_many_secrets_end_the_process),
		cmocka_unit_test(lines_on_a_terminal),
		cmocka_unit_test(lines_in_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
