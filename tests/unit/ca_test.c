/*
 * A TLS server of our own on loopback: who is trusted, in which order, and what is said of one who is not. ca_places
 * and ca_roots are this program's: no bundle of the machine has a say, and the built-in roots have a key that is known
 * here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#define ERR_STATE openssl_err_state /* as in fmt/cert.c */
#include <openssl/ssl.h>
#undef ERR_STATE

#include "base/str.h"
#include "fmt/cert.h"
#include "io/http.h"
#include "tree.h"

#define PEM_MAX (16 * 1024)
/* Not io/ca.h: there it is constant, and here it is made when the test begins. */
char ca_roots[PEM_MAX];
const char *const ca_places[] = {"debian.pem", "amazon.pem", NULL};

/* A server's own certificate, which is its CA too, and that of somebody else. */
static struct buf own = BUF_INIT(PEM_MAX), own_key = BUF_INIT(PEM_MAX);
static struct buf other = BUF_INIT(PEM_MAX), other_key = BUF_INIT(PEM_MAX);
static struct tree folder; /* of the files that rows name; the tests run in it */

struct server {
	SSL_CTX *tls;
	int listener;
	pthread_t thread;
	char url[64];
};

static void answer(SSL *tls) {
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	char request[1024];

	if (SSL_accept(tls) != 1) return; /* refused */
	if (SSL_read(tls, request, sizeof request) > 0) (void)SSL_write(tls, text, sizeof text - 1);
	(void)SSL_shutdown(tls);
}

static void *serve_one(void *arg) {
	struct server *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	SSL *tls;

	if (fd < 0) return NULL; /* nobody has come: the request did not even begin */
	tls = SSL_new(s->tls);
	if (!tls || SSL_set_fd(tls, fd) != 1) abort();
	answer(tls);
	SSL_free(tls);
	close(fd);
	return NULL;
}

static SSL_CTX *make_tls(void) {
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	BIO *cert = BIO_new_mem_buf(buf_str(&own), -1), *key = BIO_new_mem_buf(buf_str(&own_key), -1);
	X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	if (!tls || SSL_CTX_use_certificate(tls, x) != 1 || SSL_CTX_use_PrivateKey(tls, k) != 1) abort();
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert);
	BIO_free(key);
	return tls;
}

static void server_start(struct server *s) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	*s = (struct server){.tls = make_tls(), .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (bind(s->listener, (struct sockaddr *)&address, size) != 0 || listen(s->listener, 4) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&address, &size) != 0 ||
	    pthread_create(&s->thread, NULL, serve_one, s) != 0)
		abort();
	(void)snprintf(s->url, sizeof s->url, "https://127.0.0.1:%d/", ntohs(address.sin_port));
}

static void server_stop(struct server *s) {
	(void)shutdown(s->listener, SHUT_RDWR); /* where nobody has come */
	pthread_join(s->thread, NULL);
	close(s->listener);
	SSL_CTX_free(s->tls);
}

/* What holds the server's own certificate ('+'), somebody else's ('-') or is not there (' '). */
static const struct {
	const char *name;
	char roots, debian, amazon, environment, request;
	const char *refused; /* the end of the message; NULL: the server is trusted */
} rows[] = {
	{"the built-in roots where nothing else is", '+', ' ', ' ', ' ', ' ', NULL},
	{"another CA's server is refused by them", '-', ' ', ' ', ' ', ' ',
	 "(no CA bundle found, so only Amazon's own roots, which are built in, are trusted; install ca-certificates, "
	 "or "
	 "set SSL_CERT_FILE)"},
	{"the machine's bundle", '-', '+', ' ', ' ', ' ', NULL},
	{"the next place", '-', ' ', '+', ' ', ' ', NULL},
	{"the first place alone counts", '+', '-', '+', ' ', ' ',
	 "(CA bundle: debian.pem; check the clock, install ca-certificates, or set SSL_CERT_FILE)"},
	{"the built-in roots do not count beside a bundle", '+', ' ', '-', ' ', ' ',
	 "(CA bundle: amazon.pem; check the clock, install ca-certificates, or set SSL_CERT_FILE)"},
	{"SSL_CERT_FILE", '-', '-', '-', '+', ' ', NULL},
	{"SSL_CERT_FILE alone counts", '+', '+', '+', '-', ' ',
	 "(CA bundle: environment.pem; check the clock, install ca-certificates, or set SSL_CERT_FILE)"},
	{"SSL_CERT_FILE that is not there", '+', '+', '+', '!', ' ',
	 "(CA bundle: environment.pem; check the clock, install ca-certificates, or set SSL_CERT_FILE)"},
	{"the request's own", '-', '-', '-', '-', '+', NULL},
	{"the request's own alone counts", '+', '+', '+', '+', '-',
	 "(CA bundle: request.pem; check the clock, install ca-certificates, or set SSL_CERT_FILE)"},
};

static void put(char which, const char *file) {
	if (which == '+' || which == '-')
		tree_write(&folder, file, buf_str(which == '+' ? &own : &other), 0644);
	else
		(void)unlink(file + 1);
}

static int get(const char *url, const char *ca_file, struct err *err) {
	AUTO_HTTP struct http *http = NULL;
	AUTO_HTTP_RESPONSE struct http_response response = {0};

	assert_int_equal(http_open(&http, err), 0);
	return http_do(http,
		       &(struct http_request){.method = "GET",
					      .url = url,
					      .connect_timeout_ms = 20000,
					      .total_timeout_ms = 60000,
					      .body_max = 10,
					      .bypasses_proxy = true,
					      .ca_file = ca_file},
		       &response, err);
}

static void one(size_t i) {
	const struct buf *roots = rows[i].roots == '+' ? &own : &other;
	struct server server;
	struct err err = {0};
	int rc;

	memcpy(ca_roots, buf_str(roots), roots->len + 1);
	put(rows[i].debian, "/debian.pem");
	put(rows[i].amazon, "/amazon.pem");
	put(rows[i].environment, "/environment.pem");
	put(rows[i].request, "/request.pem");
	if (rows[i].environment == ' ')
		unsetenv("SSL_CERT_FILE");
	else
		setenv("SSL_CERT_FILE", "environment.pem", 1);
	server_start(&server);
	rc = get(server.url, rows[i].request == ' ' ? NULL : "request.pem", &err);
	server_stop(&server);
	if (rc != (rows[i].refused ? -ERR_NET : 0)) fail_msg("%s: %d: %s", rows[i].name, rc, err.msg);
	if (!rows[i].refused) return;
	if (!str_ends(err.msg, rows[i].refused)) fail_msg("%s: %s", rows[i].name, err.msg);
	assert_false(err.is_retryable);
}

static void trusts(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) one(i);
}

static int make_certificates(void **state) {
	struct strs names = {0};
	struct err err = {0};
	int64_t now_s = clock_now_ms() / 1000;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN); /* a client that refuses the server hangs up while it still writes */
	strs_add(&names, "127.0.0.1");
	assert_int_equal(cert_make(&names, now_s, 2, &own, &own_key, &err), 0);
	assert_int_equal(cert_make(&names, now_s, 2, &other, &other_key, &err), 0);
	strs_clear(&names);
	tree_open(&folder);
	return chdir(folder.dir);
}

static int clear(void **state) {
	(void)state;
	tree_close(&folder);
	buf_clear(&own);
	buf_clear(&own_key);
	buf_clear(&other);
	buf_clear(&other_key);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(trusts)};

	return cmocka_run_group_tests_name("ca", tests, make_certificates, clear);
}
