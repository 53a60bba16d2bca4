#pragma once
/*
 * A PostgreSQL server as a condition: it takes sessions, offers TLS where that is asked for, and lets a user in.
 * Source: PostgreSQL manual, "Message Flow" and "Message Formats" (StartupMessage, SSLRequest, ErrorResponse).
 */
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct step_ctx;

enum postgres_tls { POSTGRES_TLS_PREFER, POSTGRES_TLS_DISABLE, POSTGRES_TLS_REQUIRE, POSTGRES_TLS_VERIFY };

/** The words of enum postgres_tls, as libpq's sslmode has them. */
extern const char *const check_postgres_tls_words[];

struct check_postgres {
	const char *address; /* "host:port" */
	const char *user, *password, *database;
	const char *venv; /* with psycopg or psycopg2: who logs in; NULL: nobody does */
	int64_t tls;	  /* enum postgres_tls */
};

/**
 * One attempt. Without a venv: a start-up message is answered by an authentication request or an error of the session
 * itself (SQLSTATE 57P03 means: not yet), and an SSLRequest by yes where TLS is required. With one: logs in and reads
 * one row. ERR_NET, ERR_TIMEOUT, ERR_REMOTE, ERR_COMMAND with the reason.
 */
CHECK_RESULT int check_postgres(const struct check_postgres *wanted, int64_t timeout_ms, struct step_ctx *ctx,
				struct err *err);
