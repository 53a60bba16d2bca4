#include "io/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#define ERR_STATE openssl_err_state /* OpenSSL's type of that name would hide our error code */
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

struct tls {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	int64_t until_ms;
};

static int failed(const char *what, struct err *err) {
	char text[160] = "the connection was closed";
	unsigned long code = ERR_get_error();
	if (code) ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	int r = err_set(err, ERR_NET, "%s: %s", what, text);
	err->is_retryable = true;
	return r;
}

/* After a call that returned rc <= 0: waits for what it asks for. 0: call it again. */
static int wait_for_peer(struct tls *t, int rc, const char *what, struct err *err) {
	int wants = SSL_get_error(t->ssl, rc);
	if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) return failed(what, err);
	struct pollfd p = {.fd = t->fd, .events = wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
	int64_t left_ms = t->until_ms - clock_mono_ms();
	int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
	if (n > 0 || (n < 0 && errno == EINTR)) return 0;
	if (n < 0) return err_set_errno(err, errno, "%s", what);
	int r = err_set(err, ERR_TIMEOUT, "%s: no answer", what);
	err->is_retryable = true;
	return r;
}

/* A name for the server to choose its certificate by; addresses are none (RFC 6066, 3). */
static bool is_name(const char *host) {
	struct in6_addr ignored;
	return inet_pton(AF_INET, host, &ignored) != 1 && inet_pton(AF_INET6, host, &ignored) != 1;
}

int tls_open(int fd, const char *server_name, int64_t until_ms, struct tls **ret_tls, struct err *err) {
	AUTO_TLS struct tls *t = mem_zalloc(sizeof *t);
	t->fd = fd;
	t->until_ms = until_ms;
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (t->ctx) t->ssl = SSL_new(t->ctx);
	if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1) return failed("TLS", err);
	SSL_set_verify(t->ssl, SSL_VERIFY_NONE, NULL);
	if (is_name(server_name) && SSL_set_tlsext_host_name(t->ssl, server_name) != 1) return failed("TLS", err);
	for (int rc; (rc = SSL_connect(t->ssl)) != 1;) {
		int r = wait_for_peer(t, rc, "TLS handshake", err);
		if (r < 0) return r;
	}
	*ret_tls = t;
	t = NULL;
	return 0;
}

int tls_write(struct tls *tls, const void *data, size_t len, struct err *err) {
	size_t sent;
	for (int rc; (rc = SSL_write_ex(tls->ssl, data, len, &sent)) != 1;) {
		int r = wait_for_peer(tls, rc, "TLS", err);
		if (r < 0) return r;
	}
	return 0;
}

int tls_read(struct tls *tls, void *data, size_t size, size_t *ret_len, struct err *err) {
	size_t len = 0;
	for (int rc; (rc = SSL_read_ex(tls->ssl, data, size, &len)) != 1;) {
		if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_ZERO_RETURN) break;
		int r = wait_for_peer(tls, rc, "TLS", err);
		if (r < 0) return r;
	}
	*ret_len = len;
	return 0;
}

void tls_close(struct tls *tls) {
	if (!tls) return;
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->ctx);
	free(tls);
}

void tls_close_p(struct tls **tls) { tls_close(*tls); }
