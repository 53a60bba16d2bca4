#include "step_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "steps/check_postgres.h"
#include "steps/steps.h"

struct answer_part {
	const char *text;
	size_t len;
};

static void conditions_on_the_machine(void **state) {
	static const char *const rows[][2] = {
		{"true", ""},
		{"{command: [test, -d, /]}", ""},
		{"{path: /usr, disk: 1K, memory: 8G}", ""},
		{"{path: /nonexistent-xyz}",
		 "require /nonexistent-xyz to exist (now: /nonexistent-xyz does not exist)\n"},
		{"{memory: 64G}",
		 "require 64 GiB of memory (now: the machine has 8 GiB of memory, 64 GiB are needed: use "
		 "a larger instance type)\n"},
		{"{}",
		 "r:1:1: check needs a condition: command, tcp, postgres, http, disk, memory, python, path or mount\n"},
		{"{path: /, status: 200}", "r:1:1: status and contains belong to http\n"},
		{"{http: \"ftp://x\"}", "r:1:1: http 'ftp://x' is no http:// or https:// address\n"},
		{"{mount: /proc}", ""},
		{"{mount: /usr/bin}", "require a mount at /usr/bin (now: nothing is mounted at /usr/bin)\n"},
		{"{mount: data}", "r:1:1: mount 'data' is not absolute\n"},
		{"{disk: {path: /proc, free: 1G}}",
		 "require 1 GiB free on /proc (now: /proc has 0 bytes free, 1 GiB are needed: make room or use a "
		 "larger volume)\n"},
		{"{postgres: {address: \"h:1\", user: me}}",
		 "r:1:1: postgres: a login needs both `user` and the `venv` that has psycopg\n"},
		{"{postgres: {address: \"h:1\", password: secret1}}",
		 "r:1:1: postgres: password and database belong to a login: give `user` and `venv` too\n"},
		{"{postgres: nohost}", "r:1:1: 'nohost' is not host:port\n"},
		{"{python: [json, sys]}", ""},
		{"{python: nosuchmodule}",
		 "require import of nosuchmodule (now: 'python3: import nosuchmodule' ended with exit status 1: "
		 "ModuleNotFoundError: No module named 'nosuchmodule')\n"},
		{"{command: \"echo why >&2; exit 3\"}", "require 'echo why >&2; exit 3' to succeed (now: 'echo why "
							">&2; exit 3' ended with exit status 3: why)\n"},
		{"{tcp: nohost}", "r:1:1: 'nohost' is not host:port\n"},
		{"{tcp: \"::1:80\"}", "r:1:1: '::1:80' is not host:port; an IPv6 address is written [::1]:5432\n"},
	};
	struct fixture f;
	fixture_open(&f, true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_check, rows[i][0]), rows[i][1]);
	fixture_close(&f);
}

static int listener(uint16_t *ret_port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 4) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* A child that answers one connection with these bytes. */
static pid_t answer_once(int fd, const char *answer, size_t len) {
	pid_t pid = fork();
	if (pid != 0) return pid;
	char request[2048];
	int c = accept(fd, NULL, NULL);
	bool is_ok = c >= 0 && read(c, request, sizeof request) > 0 && write(c, answer, len) == (ssize_t)len;
	_exit(is_ok ? 0 : 1);
}

static void tcp_answers_or_not(void **state) {
	struct fixture f;
	uint16_t port;
	fixture_open(&f, true);
	int fd = listener(&port);
	const char *yaml = arena_printf(&f.arena, "{tcp: \"127.0.0.1:%u\"}", port);
	assert_string_equal(fixture_probe(&f, &step_check, yaml), "");
	close(fd);
	assert_string_equal(fixture_probe(&f, &step_check, yaml),
			    arena_printf(&f.arena,
					 "require tcp 127.0.0.1:%u to answer (now: 127.0.0.1:%u: Connection refused)\n",
					 port, port));
	const char *waits = arena_printf(&f.arena, "{tcp: \"127.0.0.1:%u\", wait: 1s}", port);
	assert_true(str_starts(fixture_apply(&f, &step_check, waits), "net: waited "));
	assert_string_equal(buf_str(&f.notes), arena_printf(&f.arena, "wait tcp 127.0.0.1:%u to answer\n", port));
	fixture_close(&f);
}

static void waits_until_it_holds(void **state) {
	struct fixture f;
	fixture_open(&f, true);
	/* The first try makes the file that the second one finds. */
	const char *yaml = arena_printf(&f.arena, "{command: \"test -e %s/x || { touch %s/x; false; }\", wait: 30s}",
					f.dir, f.dir);
	const char *diagnoses;
	const void *params = fixture_bind(&f, &step_check, yaml, &diagnoses);
	assert_non_null(params);
	assert_int_equal(step_check.apply(params, &f.ctx, NULL, &f.err), 0);
	assert_string_equal(fixture_probe(&f, &step_check, yaml), "");
	fixture_close(&f);
}

static void http_is_asked_for_status_and_text(void **state) {
	static const char answer[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
	static const struct {
		const char *more, *wanted;
	} rows[] = {
		{"status: 404, contains: ell", ""},
		{"contains: ell", "require U to answer (now: U answers 404)\n"},
		{"status: 200", "require U to answer (now: U answers 404, not 200)\n"},
		{"status: 404, contains: xyz", "require U to answer (now: the answer of U does not contain 'xyz')\n"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fixture f;
		uint16_t port;
		int status;
		AUTO_BUF struct buf wanted = BUF_INIT(4096);
		fixture_open(&f, true);
		int fd = listener(&port);
		const char *url = arena_printf(&f.arena, "http://127.0.0.1:%u/x", port);
		for (const char *c = rows[i].wanted; *c; c++) {
			if (*c == 'U')
				buf_adds(&wanted, url);
			else
				buf_addc(&wanted, *c);
		}
		pid_t pid = answer_once(fd, answer, sizeof answer - 1);
		const char *yaml = arena_printf(&f.arena, "{http: \"%s\", %s}", url, rows[i].more);
		assert_string_equal(fixture_probe(&f, &step_check, yaml), buf_str(&wanted));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		close(fd);
		fixture_close(&f);
	}
}

/* A child that answers one connection: each request by the next of these answers. */
static pid_t answer_each(int fd, const struct answer_part *parts, size_t count) {
	pid_t pid = fork();
	if (pid != 0) return pid;
	char request[2048];
	int c = accept(fd, NULL, NULL);
	bool is_ok = c >= 0;
	for (size_t i = 0; is_ok && i < count; i++)
		is_ok = read(c, request, sizeof request) > 0 &&
			write(c, parts[i].text, parts[i].len) == (ssize_t)parts[i].len;
	_exit(is_ok ? 0 : 1);
}

static void postgres_is_told_apart(void **state) {
	static const char starting[] = "E\0\0\0\x28SFATAL\0C57P03\0Mstarting up\0";
	static const char no_such_user[] = "E\0\0\0\x20SFATAL\0C28000\0Mno role\0";
	static const struct {
		struct answer_part parts[2];
		size_t count;
		int code;
		const char *says; /* A: the address */
	} rows[] = {
		{{{"N", 1}, {"R\0\0\0\x08\0\0\0\x05", 9}}, 2, 0, ""},
		{{{"N", 1}, {no_such_user, sizeof no_such_user}}, 2, 0, ""},
		{{{"N", 1}, {starting, sizeof starting}}, 2, -ERR_REMOTE, "PostgreSQL at A is still starting up"},
		{{{"N", 1}, {"HTTP/1.1 400", 12}}, 2, -ERR_REMOTE, "A does not speak PostgreSQL"},
		{{{"HTTP/1.1 400", 12}}, 1, -ERR_REMOTE, "A does not speak PostgreSQL"},
		{{{"S", 1}, {"no TLS at all", 13}}, 2, -ERR_NET, NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_BUF struct buf says = BUF_INIT(1000);
		struct err err = {0};
		uint16_t port;
		int fd = listener(&port), status;
		pid_t pid = answer_each(fd, rows[i].parts, rows[i].count);
		const char *address = arena_printf(&arena, "127.0.0.1:%u", port);
		assert_int_equal(check_postgres(address, 60000, &arena, &err), rows[i].code);
		for (const char *c = rows[i].says ? rows[i].says : err.msg; *c; c++)
			if (*c == 'A' && rows[i].says)
				buf_adds(&says, address);
			else
				buf_addc(&says, *c);
		assert_string_equal(err.msg, buf_str(&says));
		if (!rows[i].says)
			assert_true(str_starts(
				err.msg,
				arena_printf(&arena, "PostgreSQL at %s offers TLS: TLS handshake: ", address)));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		close(fd);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions_on_the_machine), cmocka_unit_test(tcp_answers_or_not),
		cmocka_unit_test(waits_until_it_holds),	     cmocka_unit_test(http_is_asked_for_status_and_text),
		cmocka_unit_test(postgres_is_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
