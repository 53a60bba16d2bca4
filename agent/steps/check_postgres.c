#include "steps/check_postgres.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "recipe/step.h"
#include "steps/check_net.h"

/** Longest answer that is read: an error message is a few hundred bytes. */
#define ANSWER_MAX 1024

const char *const check_postgres_tls_words[] = {"prefer", "disable", "require", "verify-full", NULL};

/* StartupMessage, protocol 3.0, for a user that need not exist. */
static const unsigned char startup[] = {0,   0, 0,   22,  0,   3,   0,	 0,   'u', 's', 'e',
					'r', 0, 'd', 's', 'a', 'g', 'e', 'n', 't', 0,	0};
static const unsigned char ssl_request[] = {0, 0, 0, 8, 4, 210, 22, 47};

static const char login[] =
	"import sys\n"
	"try:\n"
	"    import psycopg as pg\n"
	"except ImportError:\n"
	"    try:\n"
	"        import psycopg2 as pg\n"
	"    except ImportError:\n"
	"        sys.exit('neither psycopg nor psycopg2 is in this environment: install one of them with a python "
	"step')\n"
	"host, port, user, database, tls, seconds = sys.argv[1:]\n"
	"try:\n"
	"    with pg.connect(host=host, port=port, user=user, dbname=database, password=sys.stdin.read() or None,\n"
	"                    sslmode=tls, connect_timeout=int(seconds), application_name='dsagent') as connection:\n"
	"        connection.cursor().execute('select 1')\n"
	"except pg.Error as e:\n"
	"    sys.exit(' '.join(str(e).split()))\n";

/* Sends a message and receives the beginning of what is answered. */
static int ask(const char *address, const unsigned char *message, size_t len, int64_t until_ms, struct arena *arena,
	       char answer[ANSWER_MAX], size_t *ret_len, struct err *err) {
	AUTO_CLOSE int fd = -1;
	int r = check_net_connect(address, until_ms, arena, &fd, err);
	if (r < 0) return r;
	if (send(fd, message, len, MSG_NOSIGNAL) != (ssize_t)len) return check_net_failed(errno, address, err);
	r = check_net_wait(fd, POLLIN, until_ms, address, err);
	if (r < 0) return r;
	ssize_t n = recv(fd, answer, ANSWER_MAX, 0);
	if (n < 0) return check_net_failed(errno, address, err);
	*ret_len = (size_t)n;
	return 0;
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

static int takes_sessions(const char *address, int64_t until_ms, struct arena *arena, struct err *err) {
	char answer[ANSWER_MAX];
	size_t len = 0;
	int r = ask(address, startup, sizeof startup, until_ms, arena, answer, &len, err);
	if (r < 0) return r;
	if (len > 0 && answer[0] == 'R') return 0;
	if (len > 5 && answer[0] == 'E') {
		if (strncmp(sqlstate(answer, len), "57P03", 5) != 0) return 0;
		r = err_set(err, ERR_REMOTE, "PostgreSQL at %s is still starting up", address);
	} else {
		r = err_set(err, ERR_REMOTE, "%s does not speak PostgreSQL", address);
	}
	err->is_retryable = true;
	return r;
}

static int offers_tls(const char *address, int64_t until_ms, struct arena *arena, struct err *err) {
	char answer[ANSWER_MAX];
	size_t len = 0;
	int r = ask(address, ssl_request, sizeof ssl_request, until_ms, arena, answer, &len, err);
	if (r < 0 || (len == 1 && answer[0] == 'S')) return r;
	if (len == 1 && answer[0] == 'N')
		return err_set(err, ERR_REMOTE,
			       "PostgreSQL at %s offers no TLS: set ssl = on there, or say tls: prefer", address);
	return err_set(err, ERR_REMOTE, "%s does not speak PostgreSQL", address);
}

/* The password goes by standard input: no process list and no environment has it. */
static int lets_in(const struct check_postgres *p, int64_t timeout_ms, struct step_ctx *ctx, struct err *err) {
	const char *host, *port;
	if (check_net_split(p->address, ctx->arena, &host, &port, err) < 0) return -(int)err->code;
	const char *python = arena_printf(ctx->arena, "%s/bin/python", p->venv);
	const char *database = p->database ? p->database : p->user;
	const char *argv[] = {python,
			      "-c",
			      login,
			      host,
			      port,
			      p->user,
			      database,
			      check_postgres_tls_words[p->tls],
			      arena_printf(ctx->arena, "%lld", (long long)(timeout_ms + 999) / 1000),
			      NULL};
	struct machine_command cmd = {
		.argv = argv,
		.label =
			arena_printf(ctx->arena, "login of '%s' to database '%s' at %s", p->user, database, p->address),
		.user = ctx->user,
		.stdin_data = p->password ? p->password : "",
		.timeout_ms = timeout_ms + timeout_ms, /* libpq ends it before */
		.is_quiet = true,
	};
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

int check_postgres(const struct check_postgres *wanted, int64_t timeout_ms, struct step_ctx *ctx, struct err *err) {
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	int r = takes_sessions(wanted->address, until_ms, ctx->arena, err);
	if (r == 0 && (wanted->tls == POSTGRES_TLS_REQUIRE || wanted->tls == POSTGRES_TLS_VERIFY))
		r = offers_tls(wanted->address, until_ms, ctx->arena, err);
	return r < 0 || !wanted->venv ? r : lets_in(wanted, timeout_ms, ctx, err);
}
