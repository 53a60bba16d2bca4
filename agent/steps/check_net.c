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

int check_net_wait(int fd, short events, int64_t until_ms, const char *address, struct err *err) {
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

int check_net_fail(int errnum, const char *address, struct err *err) {
	int r = err_set(err, ERR_NET, "%s: %s", address, strerror(errnum));
	err->is_retryable = true;
	return r;
}

static int connect_one(const struct addrinfo *ai, const char *address, int64_t until_ms, int *ret_fd, struct err *err) {
	AUTO_CLOSE int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) return check_net_fail(errno, address, err);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		int failure = errno;
		socklen_t size = sizeof failure;
		if (failure != EINPROGRESS) return check_net_fail(failure, address, err);
		int r = check_net_wait(fd, POLLOUT, until_ms, address, err);
		if (r < 0) return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0) failure = errno;
		if (failure) return check_net_fail(failure, address, err);
	}
	*ret_fd = cleanup_take_fd(&fd);
	return 0;
}

int check_net_connect(const char *address, int64_t until_ms, struct arena *arena, int *ret_fd, struct err *err) {
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
	return check_net_connect(address, clock_mono_ms() + timeout_ms, arena, &fd, err);
}
