#include "engine/ask.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

bool ask_begin(struct ask *ask, int fd) {
	struct termios keys;
	/* in the background even a look at the terminal's settings would stop us (tty_ioctl(4), SIGTTOU) */
	if (tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &ask->before) != 0) return false;
	keys = ask->before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSANOW, &keys) != 0) return false;
	ask->fd = fd;
	ask->is_open = true;
	ask->until_ms = clock_mono_ms() + ASK_MS;
	return true;
}

bool ask_read(struct ask *ask) {
	struct pollfd p = {.fd = ask->fd, .events = POLLIN};
	while (ask->is_open && poll(&p, 1, 0) > 0) {
		char key = 0;
		ssize_t n = read(ask->fd, &key, 1);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0 || key == 'n' || key == 'N') ask_end(ask);
		if (n > 0 && (key == 'y' || key == 'Y')) return true;
	}
	return false;
}

void ask_end(struct ask *ask) {
	if (ask->is_open) (void)tcsetattr(ask->fd, TCSANOW, &ask->before); /* gone: nothing is left to be put right */
	ask->is_open = false;
}
