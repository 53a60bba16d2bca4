#pragma once
/*
 * One attempt each at a condition on the network. 0: it holds; ERR_NET, ERR_TIMEOUT, ERR_REMOTE with the reason: it
 * does not (yet).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct err;

/** Splits "host:port", "[::1]:port"; the host goes to the arena. ERR_INVALID. */
CHECK_RESULT int check_net_split(const char *text, struct arena *arena, const char **ret_host, const char **ret_port,
				 struct err *err);

/** Somebody accepts connections at "host:port". */
CHECK_RESULT int check_net_tcp(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err);

/**
 * A PostgreSQL server at "host:port" is past its start-up: it answers a start-up message with an authentication
 * request or an error of the session itself (PostgreSQL manual, "Message Formats"; SQLSTATE 57P03 means: not yet).
 */
CHECK_RESULT int check_net_postgres(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err);
