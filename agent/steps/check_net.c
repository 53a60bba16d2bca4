#include "steps/check_net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"

/** Most addresses of one name that are tried. */
#define ADDRESSES_MAX 8
/** Longest answer of PostgreSQL that is read: an error message is a few hundred bytes. */
#define POSTGRES_ANSWER_MAX 1024

int check_net_split(const char *text, struct arena *arena, const char **ret_host, const char **ret_port,
		    struct err *err) {
	const char *colon = strrchr(text, ':');
	int64_t port;
	if (!colon || colon == text) return err_set(err, ERR_INVALID, "'%s' is not host:port", text);
	size_t len = (size_t)(colon - text);
	bool has_brackets = text[0] == '[' && len > 2 && text[len - 1] == ']';
	if (!has_brackets && memchr(text, ':', len))
		return err_set(err, ERR_INVALID, "'%s' is not host:port; an IPv6 address is written [::1]:5432", text);
	int r = parse_i64(colon + 1, 1, 65535, &port, err);
	if (r < 0) return err_wrap(err, "port of '%s'", text);
	*ret_host = has_brackets ? arena_dup(arena, text + 1, len - 2) : arena_dup(arena, text, len);
	*ret_port = arena_strdup(arena, colon + 1);
	return 0;
}

static int wait_for(int fd, short events, int64_t until_ms, const char *address, struct err *err) {
	for (;;) {
		int64_t left = until_ms - clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = events};
		int n = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (n > 0) return 0;
		if (n == 0) {
			int r = err_set(err, ERR_TIMEOUT, "%s does not answer", address);
			err->is_retryable = true;
			return r;
		}
		if (errno != EINTR) return err_set_errno(err, errno, "poll for %s", address);
	}
}

static int fail_connect(int errnum, const char *address, struct err *err) {
	int r = err_set(err, ERR_NET, "%s: %s", address, strerror(errnum));
	err->is_retryable = true;
	return r;
}

static int connect_one(const struct addrinfo *ai, const char *address, int64_t until_ms, int *ret_fd, struct err *err) {
	AUTO_CLOSE int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) return fail_connect(errno, address, err);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		int failure = errno;
		socklen_t size = sizeof failure;
		if (failure != EINPROGRESS) return fail_connect(failure, address, err);
		int r = wait_for(fd, POLLOUT, until_ms, address, err);
		if (r < 0) return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0) failure = errno;
		if (failure) return fail_connect(failure, address, err);
	}
	*ret_fd = cleanup_take_fd(&fd);
	return 0;
}

static int connect_to(const char *address, int64_t until_ms, struct arena *arena, int *ret_fd, struct err *err) {
	const char *host = NULL, *port = NULL;
	int r = check_net_split(address, arena, &host, &port, err);
	if (r < 0) return r;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
	int failed = getaddrinfo(host, port, &hints, &list);
	if (failed) {
		r = err_set(err, ERR_NET, "cannot resolve %s: %s", host, gai_strerror(failed));
		err->is_retryable = true;
		return r;
	}
	r = err_set(err, ERR_NET, "%s has no address", host);
	size_t tried = 0;
	for (struct addrinfo *ai = list; ai && r < 0 && tried < ADDRESSES_MAX; ai = ai->ai_next, tried++)
		r = connect_one(ai, address, until_ms, ret_fd, err);
	freeaddrinfo(list);
	if (r == 0) err_clear(err);
	return r;
}

int check_net_tcp(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err) {
	AUTO_CLOSE int fd = -1;
	return connect_to(address, clock_mono_ms() + timeout_ms, arena, &fd, err);
}

/* StartupMessage, protocol 3.0, for a user that need not exist. */
static const unsigned char startup[] = {0,   0, 0,   22,  0,   3,   0,	 0,   'u', 's', 'e',
					'r', 0, 'd', 's', 'a', 'g', 'e', 'n', 't', 0,	0};

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

int check_net_postgres(const char *address, int64_t timeout_ms, struct arena *arena, struct err *err) {
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	char answer[POSTGRES_ANSWER_MAX];
	AUTO_CLOSE int fd = -1;
	int r = connect_to(address, until_ms, arena, &fd, err);
	if (r < 0) return r;
	if (send(fd, startup, sizeof startup, MSG_NOSIGNAL) != (ssize_t)sizeof startup)
		return fail_connect(errno, address, err);
	r = wait_for(fd, POLLIN, until_ms, address, err);
	if (r < 0) return r;
	ssize_t n = recv(fd, answer, sizeof answer, 0);
	if (n > 0 && answer[0] == 'R') return 0;
	if (n > 5 && answer[0] == 'E') {
		if (strncmp(sqlstate(answer, (size_t)n), "57P03", 5) != 0) return 0;
		r = err_set(err, ERR_REMOTE, "PostgreSQL at %s is still starting up", address);
	} else {
		r = err_set(err, ERR_REMOTE, "%s does not speak PostgreSQL", address);
	}
	err->is_retryable = true;
	return r;
}
