/*
 * The event loop: connections, heads, bodies, answers, waits. The world's lock is held while events are worked off and
 * given back while there is nothing to do, so that the control door sees a state between two events.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "s3.h"

#define EVENTS_MAX 256
#define READ_MAX (256 * 1024)	   /* one read of a body */
#define TURN_MAX (4 * 1024 * 1024) /* sent to one connection before the next one's turn */
#define SMALL_MAX (64 * 1024)	   /* a piece that is sent with its head in one call */

static void want(struct s3 *s3, struct s3_conn *c, uint32_t events) {
	struct epoll_event event = {.events = events, .data.ptr = c};

	if (events == c->events) return;
	(void)epoll_ctl(s3->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
	c->events = events;
}

static void request_end(struct s3_conn *c) {
	http_request_clear(&c->request);
	s3_sink_clear(&c->sink);
	s3_object_release(c->object);
	free(c->bucket_name);
	free(c->key);
	c->bucket_name = c->key = NULL;
	c->object = NULL;
	c->out.len = c->out_at = 0;
	c->left = 0;
}

static void conn_free(struct s3 *s3, struct s3_conn *c) {
	if (c->state == S3_WAIT) s3->waiting--;
	if (c->resets) http_arm_reset(c->fd);
	close(c->fd);
	request_end(c);
	free(c->in.at);
	free(c->out.at);
	if (c->prev)
		c->prev->next = c->next;
	else
		s3->conns = c->next;
	if (c->next) c->next->prev = c->prev;
	free(c);
}

static void accept_all(struct s3 *s3) {
	for (;;) {
		int one = 1, fd = accept4(s3->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) return;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct s3_conn *c = must(calloc(1, sizeof *c));
		c->fd = fd;
		c->events = EPOLLIN;
		c->next = s3->conns;
		if (c->next) c->next->prev = c;
		s3->conns = c;
		s3->connections++;
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
		if (epoll_ctl(s3->epoll_fd, EPOLL_CTL_ADD, fd, &event)) abort();
	}
}

/* The beginning of a large piece, or the whole of a small one, goes out with the head. */
static void join_small(struct s3 *s3, struct s3_conn *c) {
	int64_t n = c->left <= SMALL_MAX ? c->left : c->fault.is_wrong ? 1 : 0;
	size_t from = c->out.len;

	if (!n) return;
	if (c->object->data) {
		out_add(&c->out, c->object->data + c->from, (size_t)n);
	} else {
		char piece[SMALL_MAX];
		s3_pattern_copy(s3, c->object->pattern_at + (size_t)c->from, piece, (size_t)n);
		out_add(&c->out, piece, (size_t)n);
	}
	if (c->fault.is_wrong) c->out.at[from] = (char)~c->out.at[from];
	c->from += n;
	c->left -= n;
}

/* Makes the answer of the request that is complete. */
static void answer(struct world *w, struct s3_conn *c) {
	s3_fault_before(w, c);
	if (s3_is_false(&c->fault))
		s3_answer_falsely(c);
	else
		s3_serve(w, c);
	w->counters[c->kind]++;
	s3_log(w, c);
	c->closes = c->closes || c->request.wants_close;
	join_small(w->s3, c);
	c->send_limit = s3_send_limit(c);
	c->state = S3_WRITE;
}

static void body_done(struct world *w, struct s3_conn *c) {
	if (c->fault.action == FAULT_STALL) {
		c->state = S3_STALL;
		want(w->s3, c, EPOLLRDHUP);
	} else if (c->fault.delay_ms) {
		c->state = S3_WAIT;
		c->wake_ms = mono_ms() + c->fault.delay_ms;
		w->s3->waiting++;
		want(w->s3, c, EPOLLRDHUP);
	} else {
		answer(w, c);
	}
}

/* 0: nothing more to do for now; 1: go on; -1: the connection is over. */
static int take_body(struct world *w, struct s3_conn *c) {
	static char buffer[READ_MAX];
	size_t limit = c->body_left < READ_MAX ? (size_t)c->body_left : READ_MAX;
	ssize_t n = 0;

	if (c->in.len) {
		n = (ssize_t)(c->in.len < limit ? c->in.len : limit);
		s3_sink_add(&c->sink, c->in.at, (size_t)n);
		c->in.len -= (size_t)n;
		memmove(c->in.at, c->in.at + n, c->in.len);
	} else if (c->body_left) {
		n = recv(c->fd, buffer, limit, 0);
		if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (n == 0) return -1;
		s3_sink_add(&c->sink, buffer, (size_t)n);
	}
	c->body_left -= n;
	w->s3->bytes_in += (uint64_t)n;
	if (c->fault.action == FAULT_RESET && c->request.body_len && c->sink.len >= c->fault.bytes) {
		c->resets = true;
		return -1;
	}
	if (c->body_left == 0) body_done(w, c);
	return 1;
}

static int begin_request(struct world *w, struct s3_conn *c) {
	const char *length = http_get_header(&c->request, "content-length");
	const char *expect = http_get_header(&c->request, "expect");

	if (http_get_header(&c->request, "transfer-encoding")) return -1;
	c->body_left = length ? strtoll(length, NULL, 10) : 0;
	c->request.body_len = (size_t)c->body_left;
	s3_address(w->s3, c);
	c->kind = s3_kind(&c->request, *c->bucket_name, *c->key);
	c->fault = fault_take(w, c->kind, c->request.target);
	bool is_document = c->kind == KIND_DELETE_OBJECTS || c->kind == KIND_COMPLETE_UPLOAD;
	if (is_document && c->body_left > S3_DOCUMENT_MAX) return -1;
	s3_sink_begin(&c->sink, &c->request, is_document || (c->bucket && c->bucket->keeps), !w->trusts_payload);
	if (expect && send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25) return -1;
	c->state = S3_BODY;
	return take_body(w, c);
}

static int take_head(struct world *w, struct s3_conn *c) {
	char *end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n\r\n", 4) : NULL;

	if (!end) {
		char buffer[16 * 1024];
		if (c->in.len > HEAD_MAX) return -1;
		ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
		if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (n == 0) return -1;
		out_add(&c->in, buffer, (size_t)n);
		return 1;
	}
	size_t len = (size_t)(end - c->in.at) + 4;
	char *head = must(strndup(c->in.at, len));
	memset(&c->request, 0, sizeof c->request);
	bool is_http = http_parse_head(head, &c->request);
	free(head);
	c->in.len -= len;
	memmove(c->in.at, c->in.at + len, c->in.len);
	return is_http ? begin_request(w, c) : -1;
}

/* One send; as take_body. */
static int send_some(struct s3 *s3, struct s3_conn *c, int64_t *ret_sent) {
	int64_t limit = c->send_limit >= 0 ? c->send_limit : INT64_MAX;
	size_t len = c->out.len - c->out_at;
	ssize_t n;

	if (len) {
		if ((int64_t)len > limit) len = (size_t)limit;
		n = send(c->fd, c->out.at + c->out_at, len,
			 MSG_NOSIGNAL | (c->left && limit > (int64_t)len ? MSG_MORE : 0));
		if (n > 0) c->out_at += (size_t)n;
	} else {
		len = c->left < TURN_MAX ? (size_t)c->left : TURN_MAX;
		if ((int64_t)len > limit) len = (size_t)limit;
		if (c->object->data) {
			n = send(c->fd, c->object->data + c->from, len, MSG_NOSIGNAL);
		} else {
			size_t at = (c->object->pattern_at + (size_t)c->from) % S3_PATTERN_SIZE;
			off_t offset = (off_t)at;
			if (len > S3_PATTERN_SIZE - at) len = S3_PATTERN_SIZE - at;
			n = sendfile(c->fd, s3->pattern_fd, &offset, len);
		}
		if (n > 0) {
			c->from += n;
			c->left -= n;
		}
	}
	if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
	s3->bytes_out += (uint64_t)n;
	*ret_sent += n;
	if (c->send_limit >= 0) c->send_limit -= n;
	return 1;
}

static int write_answer(struct s3 *s3, struct s3_conn *c) {
	int64_t sent = 0;

	while (c->out_at < c->out.len || c->left) {
		if (c->send_limit == 0) return -1;
		if (sent > TURN_MAX) {
			want(s3, c, EPOLLOUT);
			return 0;
		}
		int result = send_some(s3, c, &sent);
		if (result == 0) want(s3, c, EPOLLOUT);
		if (result <= 0) return result;
	}
	if (c->closes || c->send_limit >= 0) return -1;
	request_end(c);
	c->state = S3_HEAD;
	want(s3, c, EPOLLIN);
	return 1;
}

static void go_on(struct world *w, struct s3_conn *c) {
	int result = 1;

	while (result > 0) {
		switch (c->state) {
		case S3_HEAD: result = take_head(w, c); break;
		case S3_BODY: result = take_body(w, c); break;
		case S3_WRITE: result = write_answer(w->s3, c); break;
		case S3_WAIT:
		case S3_STALL: return;
		}
	}
	if (result < 0) conn_free(w->s3, c);
}

/* Those whose wait is over. One that is answered may wait again at once, for the request that was there already. */
static void wake(struct world *w) {
	for (struct s3_conn *c = w->s3->waiting ? w->s3->conns : NULL, *after; c; c = after) {
		after = c->next;
		if (c->state != S3_WAIT || c->wake_ms > mono_ms()) continue;
		w->s3->waiting--;
		answer(w, c);
		go_on(w, c);
	}
}

/* Milliseconds until the next wait is over, -1 where nobody waits. */
static int next_wake(const struct s3 *s3) {
	int64_t next = INT64_MAX, now;

	for (const struct s3_conn *c = s3->waiting ? s3->conns : NULL; c; c = c->next)
		if (c->state == S3_WAIT && c->wake_ms < next) next = c->wake_ms;
	if (next == INT64_MAX) return -1;
	now = mono_ms();
	return next > now ? (int)(next - now) : 0;
}

static void *run(void *arg) {
	struct world *w = arg;
	struct epoll_event events[EVENTS_MAX];
	int timeout = -1;

	for (;;) {
		int n = epoll_wait(w->s3->epoll_fd, events, EVENTS_MAX, timeout);
		pthread_mutex_lock(&w->lock);
		for (int i = 0; i < n; i++) {
			struct s3_conn *c = events[i].data.ptr;
			bool is_over = c && (events[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP));
			if (!c)
				accept_all(w->s3);
			else if (is_over && (c->state == S3_WAIT || c->state == S3_STALL))
				conn_free(w->s3, c);
			else
				go_on(w, c);
		}
		wake(w);
		timeout = next_wake(w->s3);
		pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

struct s3 *s3_start(struct world *w, const char *address, int port) {
	struct s3 *s3 = must(calloc(1, sizeof *s3));
	struct epoll_event event = {.events = EPOLLIN};
	pthread_t thread;

	s3->listen_fd = world_listen(address, port, &s3->port);
	s3->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s3_pattern_make(s3);
	w->s3 = s3;
	if (s3->listen_fd < 0 || s3->epoll_fd < 0 || fcntl(s3->listen_fd, F_SETFL, O_NONBLOCK) ||
	    epoll_ctl(s3->epoll_fd, EPOLL_CTL_ADD, s3->listen_fd, &event) || pthread_create(&thread, NULL, run, w))
		return NULL;
	return s3;
}
