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

/** What the checks of a protocol are made of: a connected, non-blocking socket within until_ms (clock_mono_ms) … */
CHECK_RESULT int check_net_connect(const char *address, int64_t until_ms, struct arena *arena, int *ret_fd,
				   struct err *err);
/** … which is ready for events (poll's), … */
CHECK_RESULT int check_net_wait(int fd, short events, int64_t until_ms, const char *address, struct err *err);
/** … or has failed: -ERR_NET, worth another try. */
int check_net_fail(int errnum, const char *address, struct err *err);
