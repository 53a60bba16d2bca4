/*
 * References: PostgreSQL manual, "Frontend/Backend Protocol": SSLRequest is answered by one byte, S or N.
 */
#include "steps/check_postgres.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "io/tls.h"
#include "recipe/step.h"
#include "steps/check_net.h"

/** Longest answer that is read: an error message is a few hundred bytes. */
#define ANSWER_MAX 1024

/* Protocol 3.0, for a user that need not exist. */
static const unsigned char startup[] = {0,   0, 0,   22,  0,   3,   0,	 0,   'u', 's', 'e',
					'r', 0, 'd', 's', 'a', 'g', 'e', 'n', 't', 0,	0};
static const unsigned char ssl_request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

struct session {
	const char *address;
	int64_t until_ms;
	int fd;
	struct tls *tls; /* NULL: plain */
};

static int send_all(struct session *s, const void *data, size_t len, struct err *err) {
	if (s->tls) return tls_write(s->tls, data, len, err);
	if (send(s->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len) return 0;
	return check_net_fail(errno, s->address, err);
}

static int receive(struct session *s, char *data, size_t size, size_t *ret_len, struct err *err) {
	if (s->tls) return tls_read(s->tls, data, size, ret_len, err);
	int r = check_net_wait(s->fd, POLLIN, s->until_ms, s->address, err);
	if (r < 0) return r;
	ssize_t n = recv(s->fd, data, size, 0);
	if (n < 0) return check_net_fail(errno, s->address, err);
	*ret_len = (size_t)n;
	return 0;
}

static int fail_foreign(const struct session *s, struct err *err) {
	int r = err_set(err, ERR_REMOTE, "%s does not speak PostgreSQL", s->address);
	err->is_retryable = true;
	return r;
}

/* Turns to TLS where the server offers it. */
static int ask_for_tls(struct session *s, struct arena *arena, struct err *err) {
	const char *host, *port;
	char answer[1] = {0};
	size_t len = 0;
	int r = send_all(s, ssl_request, sizeof ssl_request, err);
	if (r == 0) r = receive(s, answer, sizeof answer, &len, err);
	if (r == 0 && (len != 1 || !strchr("SNE", answer[0]))) r = fail_foreign(s, err);
	if (r < 0 || answer[0] != 'S') return r;
	r = check_net_split(s->address, arena, &host, &port, err);
	if (r == 0) r = tls_open(s->fd, host, s->until_ms, &s->tls, err);
	return r < 0 ? err_wrap(err, "PostgreSQL at %s offers TLS", s->address) : 0;
}

/* The SQLSTATE field ('C') of an ErrorResponse, or "". */
static const char *sqlstate(const char *answer, size_t len) {
	for (size_t at = 5; at + 1 < len && answer[at];) {
		const char *end = memchr(answer + at, 0, len - at);
		if (!end) return "";
		if (answer[at] == 'C') return answer + at + 1;
		at = (size_t)(end - answer) + 1;
	}
	return "";
}

static int judge(const struct session *s, const char *answer, size_t len, struct err *err) {
	if (len > 0 && answer[0] == 'R') return 0;
	if (len <= 5 || answer[0] != 'E') return fail_foreign(s, err);
	if (strncmp(sqlstate(answer, len), "57P03", 5) != 0) return 0;
	int r = err_set(err, ERR_REMOTE, "PostgreSQL at %s is still starting up", s->address);
	err->is_retryable = true;
	return r;
}

int check_postgres(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err) {
	struct session s = {.address = address, .until_ms = clock_mono_ms() + timeout_ms, .fd = -1};
	char answer[ANSWER_MAX];
	size_t len = 0;
	int r = check_net_connect(address, s.until_ms, arena, &s.fd, err);
	if (r < 0) return r;
	r = ask_for_tls(&s, arena, err);
	if (r == 0) r = send_all(&s, startup, sizeof startup, err);
	if (r == 0) r = receive(&s, answer, sizeof answer, &len, err);
	if (r == 0) r = judge(&s, answer, len, err);
	tls_close(s.tls);
	cleanup_close(&s.fd);
	return r;
}

/* argv: host, port, user, database; the password comes by stdin, for argv is everybody's to read. */
static const char login_script[] =
	"import sys\n"
	"host, port, user, database = sys.argv[1:5]\n"
	"password = sys.stdin.read()\n"
	"try: import psycopg as pg\n"
	"except ImportError:\n"
	" try: import psycopg2 as pg\n"
	" except ImportError: sys.exit('neither psycopg nor psycopg2 is in this venv')\n"
	"more = {k: v for k, v in (('password', password), ('dbname', database)) if v}\n"
	"try:\n"
	" c = pg.connect(host=host, port=port, user=user, connect_timeout=8, application_name='dsagent', **more)\n"
	" q = c.cursor()\n"
	" q.execute('select now()')\n"
	" q.fetchone()\n"
	" c.close()\n"
	"except pg.Error as e: sys.exit(' '.join(str(e).split()))\n";

int check_postgres_login(const struct check_postgres_login *login, int64_t timeout_ms, struct step_ctx *ctx,
			 struct err *err) {
	const char *host, *port;
	int r = check_net_split(login->address, ctx->arena, &host, &port, err);
	if (r < 0) return r;
	const char *argv[] = {arena_printf(ctx->arena, "%s/bin/python", login->venv),
			      "-c",
			      login_script,
			      host,
			      port,
			      login->user,
			      login->database ? login->database : "",
			      NULL};
	struct machine_command cmd = {
		.argv = argv,
		.label = arena_printf(ctx->arena, "login as %s", login->user),
		.user = ctx->user,
		.stdin_data = login->password ? login->password : "",
		.timeout_ms = timeout_ms,
		.is_quiet = true,
	};
	r = machine_check(&ctx->machine, &cmd, NULL, err);
	return r < 0 ? err_wrap(err, "PostgreSQL at %s", login->address) : 0;
}
