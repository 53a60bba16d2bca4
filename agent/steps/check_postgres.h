#pragma once
/*
 * One attempt at a PostgreSQL server: is it past its start-up, and does it let an account in? 0: yes; else err says why
 * not (yet).
 */
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct err;
struct step_ctx;

/**
 * The server at "host:port" answers a start-up message with an authentication request or an error of the session itself
 * (PostgreSQL manual, "Message Formats"; SQLSTATE 57P03 means: not yet). Where it offers TLS, by TLS: a handshake that
 * fails is an error, for clients would meet the same.
 */
CHECK_RESULT int check_postgres(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err);

/** A session of its own for an account, by psycopg 3 or 2 of a venv, which does all that libpq can. */
struct check_postgres_login {
	const char *address, *venv, *user;
	const char *password; /* NULL: as libpq finds one (PGPASSFILE, PGPASSWORD of the step's env) or none */
	const char *database; /* NULL: the user's own, as libpq has it */
};

CHECK_RESULT int check_postgres_login(const struct check_postgres_login *login, int64_t timeout_ms,
				      struct step_ctx *ctx, struct err *err);
