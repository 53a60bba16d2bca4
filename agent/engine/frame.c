#include "engine/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

static void send_all(int fd, const void *data, size_t len) {
	const char *p = data;
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) _exit(1); /* the supervisor is gone: nobody is left to report to */
		p += n;
		len -= (size_t)n;
	}
}

void frame_send(int fd, enum frame_type type, int64_t a, int64_t b, const char *text, size_t len) {
	if (len > FRAME_TEXT_MAX) len = FRAME_TEXT_MAX;
	struct frame_head head = {.type = (uint32_t)type, .len = (uint32_t)len, .a = a, .b = b};
	send_all(fd, &head, sizeof head);
	if (len > 0) send_all(fd, text, len);
}

/* Bytes read at once; also how far one worker may get ahead of the others in one turn of the loop. */
#define READ_SIZE (64 * 1024)

static int fill(struct worker *w) {
	if (w->in_cap < w->in_len + READ_SIZE) {
		w->in_cap = w->in_len + READ_SIZE;
		w->in = mem_resize(w->in, w->in_cap, 1);
	}
	for (;;) {
		ssize_t n = recv(w->fd, w->in + w->in_len, READ_SIZE, MSG_DONTWAIT);
		if (n > 0) {
			w->in_len += (size_t)n;
			return 1;
		}
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
		return -1; /* end of file or a reset: the worker is gone */
	}
}

static int take(struct worker *w, struct frame *ret_frame) {
	struct frame_head head;
	if (w->in_len < sizeof head) return 0;
	memcpy(&head, w->in, sizeof head);
	if (head.len > FRAME_TEXT_MAX || head.type > FRAME_RESULT) return -1;
	size_t whole = sizeof head + head.len;
	if (w->in_len < whole) return 0;
	*ret_frame = (struct frame){.type = (enum frame_type)head.type, .a = head.a, .b = head.b, .len = head.len};
	ret_frame->text = mem_dup(w->in + sizeof head, head.len);
	memmove(w->in, w->in + whole, w->in_len - whole);
	w->in_len -= whole;
	return 1;
}

int worker_read(struct worker *worker, struct frame *ret_frame) {
	for (;;) {
		int got = take(worker, ret_frame);
		if (got) return got;
		got = fill(worker);
		if (got <= 0) return got;
	}
}
