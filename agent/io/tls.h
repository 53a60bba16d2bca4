#pragma once
/*
 * A TLS client on a socket that is already connected, for protocols that turn to TLS in their midst (PostgreSQL); HTTP
 * has its own (io/http). By OpenSSL. The peer's certificate is not judged: this answers whether TLS works, not who is
 * there.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct tls;

/** Handshake on the non-blocking fd, which stays the caller's, until clock_mono_ms() is until_ms. ERR_NET, ERR_TIMEOUT.
 */
CHECK_RESULT int tls_open(int fd, const char *server_name, int64_t until_ms, struct tls **ret_tls, struct err *err);

/** All of data; and at most size bytes, at least one: 0 when the peer has closed. */
CHECK_RESULT int tls_write(struct tls *tls, const void *data, size_t len, struct err *err);
CHECK_RESULT int tls_read(struct tls *tls, void *data, size_t size, size_t *ret_len, struct err *err);

void tls_close(struct tls *tls); /* NULL is fine */
void tls_close_p(struct tls **tls);
#define AUTO_TLS AUTO(tls_close_p)
