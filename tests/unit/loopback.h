#pragma once
/*
 * A scripted HTTP server on 127.0.0.1 in a thread of the test: row i answers request i, whichever connection it comes
 * by. What was asked is kept whole and looked at after lo_stop.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define LO_REQUESTS_MAX 64
#define LO_CONNECTIONS_MAX 16
#define LO_REQUEST_SIZE (64 * 1024)

enum { LO_CLOSE = 0, LO_STALL = -1, LO_RAW = -2 };

struct lo_row {
	const char *request; /* how the request must begin; NULL: the script ends */
	int status; /* LO_CLOSE: hang up; LO_STALL: never answer; LO_RAW: body is all that is sent, then hang up */
	const char *headers; /* further ones, each ended by "\r\n"; may be NULL */
	const char *body;    /* may be NULL */
};

struct lo_connection {
	int fd;
	size_t len, dropped; /* dropped: what of a large body came after LO_REQUEST_SIZE bytes */
	char *data;
};

struct lo {
	int listener, wake[2];
	pthread_t thread;
	const struct lo_row *rows;
	char url[64];
	char *requests[LO_REQUESTS_MAX];
	size_t count;
	unsigned connections;
	struct lo_connection conn[LO_CONNECTIONS_MAX];
};

static inline void lo_drop(struct lo_connection *c) {
	close(c->fd);
	free(c->data);
	*c = (struct lo_connection){.fd = -1};
}

static inline void lo_send(struct lo_connection *c, const struct lo_row *row, bool is_head) {
	const char *body = row->body ? row->body : "";
	char head[8192];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\n%sContent-Length: %zu\r\n\r\n", row->status,
			 row->headers ? row->headers : "", strlen(body));

	if (row->status == LO_STALL) return;
	if (row->status > 0) (void)!send(c->fd, head, (size_t)n, MSG_NOSIGNAL);
	if (row->status != LO_CLOSE && !is_head) (void)!send(c->fd, body, strlen(body), MSG_NOSIGNAL);
	if (row->status <= 0) lo_drop(c);
}

/** Answers the first request in the connection's bytes, if it is whole. */
static inline bool lo_answer(struct lo *lo, struct lo_connection *c) {
	static const struct lo_row over = {.request = "", .status = 599, .body = "the script has ended"};
	char *end = c->data ? strstr(c->data, "\r\n\r\n") : NULL, *field;
	size_t need, scripted = 0;

	if (!end) return false;
	need = (size_t)(end + 4 - c->data);
	field = strcasestr(c->data, "\r\ncontent-length:");
	if (field && field < end) need += strtoul(field + 17, NULL, 10);
	if (c->len + c->dropped < need || lo->count == LO_REQUESTS_MAX) return false;
	need -= c->dropped;
	c->dropped = 0;
	lo->requests[lo->count++] = strndup(c->data, need);
	memmove(c->data, c->data + need, c->len - need + 1);
	c->len -= need;
	while (lo->rows[scripted].request) scripted++;
	lo_send(c, lo->count <= scripted ? &lo->rows[lo->count - 1] : &over,
		strncmp(lo->requests[lo->count - 1], "HEAD ", 5) == 0);
	return c->fd >= 0;
}

static inline void lo_read(struct lo *lo, struct lo_connection *c) {
	char excess[16 * 1024];
	bool is_full = c->data && c->len == LO_REQUEST_SIZE;
	ssize_t n;

	if (!c->data) c->data = calloc(1, LO_REQUEST_SIZE + 1);
	n = is_full ? recv(c->fd, excess, sizeof excess, 0)
		    : recv(c->fd, c->data + c->len, LO_REQUEST_SIZE - c->len, 0);
	if (n <= 0) {
		lo_drop(c);
		return;
	}
	if (is_full)
		c->dropped += (size_t)n;
	else
		c->len += (size_t)n;
	c->data[c->len] = '\0';
	while (lo_answer(lo, c))
		;
}

static inline void lo_accept(struct lo *lo) {
	int fd = accept4(lo->listener, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < LO_CONNECTIONS_MAX; i++)
		if (lo->conn[i].fd < 0) {
			lo->conn[i].fd = fd;
			lo->connections++;
			return;
		}
	if (fd >= 0) close(fd);
}

static inline void *lo_serve(void *arg) {
	struct lo *lo = arg;

	for (;;) {
		struct pollfd fds[LO_CONNECTIONS_MAX + 2];

		for (size_t i = 0; i < LO_CONNECTIONS_MAX; i++)
			fds[i] = (struct pollfd){.fd = lo->conn[i].fd, .events = POLLIN};
		fds[LO_CONNECTIONS_MAX] = (struct pollfd){.fd = lo->listener, .events = POLLIN};
		fds[LO_CONNECTIONS_MAX + 1] = (struct pollfd){.fd = lo->wake[0], .events = POLLIN};
		if (poll(fds, LO_CONNECTIONS_MAX + 2, -1) < 0) continue;
		if (fds[LO_CONNECTIONS_MAX + 1].revents) return NULL;
		for (size_t i = 0; i < LO_CONNECTIONS_MAX; i++)
			if (fds[i].fd >= 0 && fds[i].revents) lo_read(lo, &lo->conn[i]);
		if (fds[LO_CONNECTIONS_MAX].revents) lo_accept(lo);
	}
}

/** rows end with a row whose request is NULL. */
static inline void lo_start(struct lo *lo, const struct lo_row *rows) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	*lo = (struct lo){.rows = rows, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	for (size_t i = 0; i < LO_CONNECTIONS_MAX; i++) lo->conn[i].fd = -1;
	if (bind(lo->listener, (struct sockaddr *)&address, size) != 0 || listen(lo->listener, 16) != 0 ||
	    getsockname(lo->listener, (struct sockaddr *)&address, &size) != 0 || pipe(lo->wake) != 0 ||
	    pthread_create(&lo->thread, NULL, lo_serve, lo) != 0)
		abort();
	(void)snprintf(lo->url, sizeof lo->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
}

/** Ends the thread; requests stay readable until lo_clear. */
static inline void lo_stop(struct lo *lo) {
	(void)!write(lo->wake[1], "x", 1);
	pthread_join(lo->thread, NULL);
	for (size_t i = 0; i < LO_CONNECTIONS_MAX; i++)
		if (lo->conn[i].fd >= 0) lo_drop(&lo->conn[i]);
	close(lo->listener);
	close(lo->wake[0]);
	close(lo->wake[1]);
}

static inline void lo_clear(struct lo *lo) {
	for (size_t i = 0; i < lo->count; i++) free(lo->requests[i]);
	lo->count = 0;
}

/** The first request that differs from the script, in words, or NULL when all came as scripted. Static text. */
static inline const char *lo_difference(const struct lo *lo) {
	static char text[512];

	for (size_t i = 0;; i++) {
		const char *want = lo->rows[i].request, *got = i < lo->count ? lo->requests[i] : NULL;

		if (!want && !got) return NULL;
		if (want && got && strncmp(got, want, strlen(want)) == 0) continue;
		(void)snprintf(text, sizeof text, "request %zu is '%.200s', not '%.200s'", i + 1, got ? got : "(none)",
			       want ? want : "(none)");
		return text;
	}
}
