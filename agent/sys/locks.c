#include "sys/locks.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "sys/machine.h"

/** Between two looks at a lock; a report goes out about every second. */
#define LOCKS_POLL_MS 200
#define LOCKS_REPORT_MS 1000

/* The process list is that of the running kernel, whatever the root. */
static void read_comm(pid_t pid, char *comm, size_t size) {
	char path[32];
	comm[0] = '\0';
	(void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return;
	ssize_t n = read(fd, comm, size - 1);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

/*
 * F_GETLK needs no write access, and closing a descriptor gives up only our own locks, of which there are none.
 * A holder in another pid namespace is reported as pid 0 or -1 (fcntl_locking(2)).
 */
bool locks_held(const struct machine *m, const char *path, struct lock_holder *ret_holder) {
	struct err ignored;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	AUTO_CLOSE int fd = -1;
	if (fs_open(m->root, path, O_RDONLY | O_NONBLOCK, 0, &fd, &ignored)) return false;
	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK) return false;
	*ret_holder = (struct lock_holder){.pid = lock.l_pid > 0 ? lock.l_pid : 0};
	if (ret_holder->pid) read_comm(ret_holder->pid, ret_holder->comm, sizeof ret_holder->comm);
	return true;
}

static bool any_held(const struct machine *m, const char *const *paths, struct lock_holder *ret_holder) {
	for (; *paths; paths++)
		if (locks_held(m, *paths, ret_holder)) return true;
	return false;
}

static void describe(const struct lock_holder *holder, char *text, size_t size) {
	if (!holder->pid)
		(void)snprintf(text, size, "held by a process that is not visible from here");
	else if (!holder->comm[0])
		(void)snprintf(text, size, "pid %d", (int)holder->pid);
	else
		(void)snprintf(text, size, "%s, pid %d", holder->comm, (int)holder->pid);
}

int locks_wait(const struct machine *m, const char *name, const char *const *paths, int64_t limit_ms, struct err *err) {
	struct lock_holder holder;
	char who[96];
	int64_t began_ms = clock_mono_ms(), reported_ms = -LOCKS_REPORT_MS;

	while (any_held(m, paths, &holder)) {
		int64_t waited_ms = clock_mono_ms() - began_ms;
		describe(&holder, who, sizeof who);
		if (waited_ms >= limit_ms || machine_left_ms(m) <= 0)
			return err_set(err, ERR_BUSY,
				       "the %s was not free within %lld s: %s; let it finish, then apply again", name,
				       (long long)(waited_ms / 1000), who);
		if (waited_ms - reported_ms >= LOCKS_REPORT_MS) {
			machine_wait(m, waited_ms, "the %s (%s)", name, who);
			reported_ms = waited_ms;
		}
		clock_sleep_ms(LOCKS_POLL_MS);
	}
	return 0;
}
