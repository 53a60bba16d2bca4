/*
 * References: libcurl's multi_socket interface (curl_multi_socket_action(3), CURLMOPT_SOCKETFUNCTION(3),
 * CURLMOPT_TIMERFUNCTION(3)), epoll(7).
 *
 * What a request costs is most of what many small objects cost. So handles are kept with their options, header chains
 * need no memory of their own, and a descriptor stays in the epoll set between two requests of its connection, where
 * libcurl would have it taken out and put in again.
 */
#include "io/http_multi.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/http_private.h"

#define EVENTS_MAX 64
/** Pieces of a request's body: libcurl's default of 64 KiB costs more system calls. */
#define SEND_SIZE (256L * 1024)
/** Before 8.7.0 each handle has a receive buffer of its own, made and freed with each request. */
#define OWN_RECEIVE_MAX ((size_t)64 * 1024)
#define TIMER_OFF INT64_MAX

struct http_task {
	struct http_task *next, **at; /* among the busy or the idle ones */
	struct http_multi *multi;
	struct http_transfer transfer;
	struct err err;
	http_end_fn on_end;
};

/** What epoll and libcurl want of a descriptor. */
struct watch {
	uint32_t wanted, set; /* EPOLLIN, EPOLLOUT; 0: not wanted, not in the set */
};

struct http_multi {
	CURLM *multi;
	int epoll, wake;
	struct watch *watches; /* by descriptor */
	size_t watches_count;
	int64_t timer_at_ms; /* of clock_mono_ms; TIMER_OFF */
	struct http_task *busy, *idle;
	struct http_multi_options options;
	char *ca_file;
	int64_t connections;
	bool has_global;
	bool has_proxy; /* the environment names one; else libcurl need not look there for each request */
};

static void link_task(struct http_task **list, struct http_task *task) {
	task->next = *list;
	task->at = list;
	if (*list) (*list)->at = &task->next;
	*list = task;
}

static void unlink_task(struct http_task *task) {
	*task->at = task->next;
	if (task->next) task->next->at = task->at;
}

static struct watch *watch_of(struct http_multi *m, int fd) {
	size_t need = (size_t)fd + 1;

	if (need > m->watches_count) {
		size_t count = need < 64 ? 64 : 2 * need;

		m->watches = mem_resize(m->watches, count, sizeof *m->watches);
		memset(m->watches + m->watches_count, 0, (count - m->watches_count) * sizeof *m->watches);
		m->watches_count = count;
	}
	return &m->watches[fd];
}

static void set_watch(struct http_multi *m, int fd, struct watch *watch, uint32_t events) {
	struct epoll_event event = {.events = events, .data.fd = fd};
	int op = events == 0 ? EPOLL_CTL_DEL : watch->set == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (watch->set == events) return;
	(void)epoll_ctl(m->epoll, op, fd, &event); /* fails for want of memory alone; a timeout then ends the request */
	watch->set = events;
}

/** What is no longer wanted stays in the set until it wakes us or is closed. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg) {
	struct http_multi *m = arg;
	struct watch *watch = watch_of(m, fd);

	(void)easy;
	(void)socket_arg;
	watch->wanted = (what & CURL_POLL_IN && what != CURL_POLL_REMOVE ? EPOLLIN : 0U) |
			(what & CURL_POLL_OUT && what != CURL_POLL_REMOVE ? EPOLLOUT : 0U);
	if (watch->wanted) set_watch(m, fd, watch, watch->wanted);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg) {
	struct http_multi *m = arg;

	(void)multi;
	m->timer_at_ms = timeout_ms < 0 ? TIMER_OFF : clock_mono_ms() + timeout_ms;
	return 0;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
	struct http_multi *m = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	(void)purpose;
	if (fd < 0) return CURL_SOCKET_BAD;
	m->connections++;
	*watch_of(m, fd) = (struct watch){0};
	return fd;
}

/** A closed descriptor has left the epoll set by itself. */
static int on_close(void *arg, curl_socket_t fd) {
	struct http_multi *m = arg;

	*watch_of(m, fd) = (struct watch){0};
	return close(fd);
}

/** Any variable that curl(1) documents under ENVIRONMENT. */
static bool has_proxy_variable(void) {
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!str_is_empty(getenv(names[i]))) return true;
	return false;
}

static int open_curl(struct http_multi *m, struct err *err) {
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return err_set(err, ERR_NET, "libcurl cannot start");
	m->has_global = true;
	m->multi = curl_multi_init();
	if (!m->multi) return err_set(err, ERR_NET, "libcurl cannot make a multi handle");
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
	curl_multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, (long)m->options.connections);
	curl_multi_setopt(m->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return 0;
}

int http_multi_open(const struct http_multi_options *options, struct http_multi **ret_multi, struct err *err) {
	struct http_multi *m = mem_zalloc(sizeof *m);
	struct epoll_event event = {.events = EPOLLIN};
	int rc = 0;

	m->options = *options;
#if LIBCURL_VERSION_NUM < 0x080700
	if (m->options.receive_size > OWN_RECEIVE_MAX) m->options.receive_size = OWN_RECEIVE_MAX;
#endif
	if (m->options.events > EVENTS_MAX || m->options.events == 0) m->options.events = EVENTS_MAX;
	m->ca_file = mem_strdup(options->ca_file ? options->ca_file : http_ca_file());
	m->has_proxy = has_proxy_variable();
	m->timer_at_ms = TIMER_OFF;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event.data.fd = m->wake;
	if (m->epoll < 0 || m->wake < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->wake, &event) != 0)
		rc = err_set_errno(err, errno, "cannot make an event loop");
	if (!rc) rc = open_curl(m, err);
	if (rc) {
		http_multi_close(m);
		return rc;
	}
	*ret_multi = m;
	return 0;
}

static void free_tasks(struct http_task *task) {
	while (task) {
		struct http_task *next = task->next;

		curl_easy_cleanup(task->transfer.easy);
		http_transfer_clear(&task->transfer);
		free(task);
		task = next;
	}
}

void http_multi_close(struct http_multi *m) {
	if (!m) return;
	while (m->busy) http_multi_cancel(m->busy);
	free_tasks(m->idle);
	if (m->multi) curl_multi_cleanup(m->multi);
	if (m->has_global) curl_global_cleanup();
	if (m->epoll >= 0) (void)close(m->epoll);
	if (m->wake >= 0) (void)close(m->wake);
	free(m->watches);
	free(m->ca_file);
	free(m);
}

static struct http_task *new_task(struct http_multi *m, struct err *err) {
	struct http_task *task = mem_zalloc(sizeof *task);
	CURL *easy = curl_easy_init();

	if (!easy) {
		free(task);
		(void)err_set(err, ERR_NET, "libcurl cannot make a handle");
		return NULL;
	}
	task->multi = m;
	task->transfer.easy = easy;
	task->transfer.err = &task->err;
	http_set_handle(&task->transfer, m->ca_file, !m->has_proxy);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, task);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)m->options.receive_size);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_SIZE);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, m);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
	/* Each new connection asks anew and takes the addresses in another order: S3 gives several. */
	curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	link_task(&m->idle, task);
	return task;
}

static void retire(struct http_task *task) {
	unlink_task(task);
	link_task(&task->multi->idle, task);
}

int http_multi_start(struct http_multi *m, const struct http_request *req, http_end_fn on_end,
		     struct http_task **ret_task, struct err *err) {
	struct http_task *task;

	if (http_check_request(req, err) != 0) return http_request_failed(req, err);
	task = m->idle ? m->idle : new_task(m, err);
	if (!task) return -(int)err->code;
	task->transfer.req = req;
	task->on_end = on_end;
	err_clear(&task->err);
	http_set_request(&task->transfer);
	if (curl_multi_add_handle(m->multi, task->transfer.easy) != CURLM_OK)
		return err_set(err, ERR_STATE, "libcurl does not take the request");
	unlink_task(task);
	link_task(&m->busy, task);
	*ret_task = task;
	return 0;
}

void http_multi_cancel(struct http_task *task) {
	(void)curl_multi_remove_handle(task->multi->multi, task->transfer.easy);
	retire(task);
}

static void end(struct http_task *task, CURLcode code) {
	struct http_transfer *t = &task->transfer;
	int rc = http_finish(t, code, &task->err);

	(void)curl_multi_remove_handle(task->multi->multi, t->easy);
	if (rc) (void)http_request_failed(t->req, &task->err);
	task->on_end(rc ? NULL : &t->response, &task->err, t->req->arg);
	retire(task);
}

/** True when something has ended. */
static bool reap(struct http_multi *m) {
	bool has_ended = false;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(m->multi, &left))) {
		struct http_task *task = NULL;

		if (message->msg != CURLMSG_DONE) continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&task);
		end(task, message->data.result);
		has_ended = true;
	}
	return has_ended;
}

static void handle_event(struct http_multi *m, const struct epoll_event *event) {
	int fd = event->data.fd, running;
	struct watch *watch;

	if (fd == m->wake) {
		uint64_t count;

		(void)!read(m->wake, &count, sizeof count); /* empty is fine */
		return;
	}
	watch = watch_of(m, fd);
	if (!watch->wanted) {
		set_watch(m, fd, watch, 0); /* an idle connection that the server closed: libcurl will find out */
		return;
	}
	(void)curl_multi_socket_action(m->multi, fd,
				       (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
					       (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
					       (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0),
				       &running); /* what fails is told for each transfer */
}

static void handle_timer(struct http_multi *m) {
	int running;

	if (m->timer_at_ms > clock_mono_ms()) return;
	m->timer_at_ms = TIMER_OFF;
	(void)curl_multi_socket_action(m->multi, CURL_SOCKET_TIMEOUT, 0, &running); /* as above */
}

int http_multi_run(struct http_multi *m, int64_t timeout_ms, struct err *err) {
	struct epoll_event events[EVENTS_MAX];
	int n;

	handle_timer(m);	     /* starts what was added */
	if (reap(m)) timeout_ms = 0; /* its end may have brought something to start */
	if (m->timer_at_ms != TIMER_OFF) {
		int64_t left_ms = m->timer_at_ms - clock_mono_ms();

		if (left_ms < timeout_ms) timeout_ms = left_ms > 0 ? left_ms : 0;
	}
	n = epoll_wait(m->epoll, events, (int)m->options.events, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
	if (n < 0 && errno != EINTR) return err_set_errno(err, errno, "waiting for the network");
	for (int i = 0; i < n; i++) handle_event(m, &events[i]);
	handle_timer(m);
	(void)reap(m); /* the caller's turn comes next */
	return 0;
}

void http_multi_wake(struct http_multi *m) {
	uint64_t one = 1;

	(void)!write(m->wake, &one, sizeof one); /* full means that it is awake */
}

int64_t http_multi_connections(const struct http_multi *m) { return m->connections; }
