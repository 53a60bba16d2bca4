#include "sys/gpu_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "sys/gpu_smi.h"

/* For the process to end by itself: the last one out waits until the driver has shut the GPUs down. */
#define END_MS 2000
/* Descriptors closed one by one where close_range(2) is missing (before Linux 5.9). */
#define FD_SCAN_MAX 65536

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Keeps nothing of ours but the socket: who waits for the end of our output must not wait for this process. */
static void drop_descriptors(int fd) {
	int null = open("/dev/null", O_RDWR);
	if (dup2(fd, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) _exit(1);
	if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
	for (int i = 3; i < FD_SCAN_MAX; i++) (void)close(i); /* EBADF where none is open */
}

static _Noreturn void hold_main(const struct gpu_hold *h, int fd, pid_t parent) {
	char path[512], byte;
	(void)setpgid(0, 0);			/* Ctrl-C is for the parent, whose end ends this too */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail with a valid signal */
	if (getppid() != parent) _exit(1);
	drop_descriptors(fd);
	for (size_t i = 0; i < h->count; i++) {
		(void)snprintf(path, sizeof path, "%s%zu", h->prefix, i);
		int errnum = open(path, O_RDWR | O_CLOEXEC) < 0 ? errno : 0;
		if (send(0, &errnum, sizeof errnum, MSG_NOSIGNAL) < 0) _exit(1);
	}
	while (read(0, &byte, 1) > 0) continue; /* until the other end is closed */
	_exit(0);
}

void gpu_hold_start(struct gpu_hold *h, const char *prefix, size_t count) {
	int ends[2];
	sigset_t all, old;
	pid_t parent = getpid();
	*h = (struct gpu_hold)GPU_HOLD_INIT;
	h->prefix = prefix;
	h->count = count < GPU_MAX ? count : GPU_MAX;
	h->started_at_ms = clock_mono_ms();
	if (!count || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return;
	/* Blocked over the fork, and in the child for good: no handler of ours may run there. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* cannot fail with these arguments */
	h->pid = fork();
	if (h->pid == 0) hold_main(h, ends[1], parent);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)close(ends[1]);
	if (h->pid > 0)
		h->fd = ends[0];
	else
		(void)close(ends[0]);
}

void gpu_hold_await(struct gpu_hold *h, int64_t limit_ms) {
	int64_t until_ms = clock_mono_ms() + limit_ms;
	while (h->fd >= 0 && h->heard < h->count) {
		struct pollfd p = {.fd = h->fd, .events = POLLIN};
		int64_t left_ms = until_ms - clock_mono_ms();
		int rc = poll(&p, 1, left_ms > 0 ? (int)(left_ms < INT_MAX ? left_ms : INT_MAX) : 0);
		if (rc == 0) return;
		/* Interrupted, or ended by somebody: nothing can be said of the others. */
		if (rc < 0 ||
		    recv(h->fd, &h->errors[h->heard], sizeof h->errors[0], MSG_DONTWAIT) != sizeof h->errors[0]) {
			h->count = h->heard;
			return;
		}
		h->heard++;
	}
}

/* Linux errno as nvidia_open() gives it: open-gpu-kernel-modules, kernel-open/nvidia/nv.c. */
static const struct {
	int errnum;
	enum gpu_severity severity;
	enum gpu_remedy remedy;
	const char *text;
} meanings[] = {
	{EIO, GPU_FAIL, GPU_REMEDY_REBOOT, "the driver cannot bring it up: " GPU_SAY_REBOOT},
	{ENODEV, GPU_FAIL, GPU_REMEDY_REPLACE, "the driver has lost it: " GPU_SAY_REPLACE},
	{EPERM, GPU_FAIL, GPU_REMEDY_FIX,
	 "it is excluded (NVreg_ExcludedGpus in /etc/modprobe.d), or a device cgroup forbids it"},
	{EBUSY, GPU_FAIL, GPU_REMEDY_REBOOT, "the driver keeps it to itself: " GPU_SAY_REBOOT},
};

/* Absent nodes and modes are layer A's (drv-uvm); a minor without a GPU is nvidia-smi's (gpu-lost). */
static bool is_known_elsewhere(int errnum) { return errnum == ENOENT || errnum == EACCES || errnum == ENXIO; }

/* The nodes with the same error as node `first` as one finding. */
static void add_errors(const struct gpu_hold *h, size_t first, struct gpu_report *r) {
	AUTO_STRS struct strs nodes = {0};
	int errnum = h->errors[first];
	for (size_t i = 0; i < h->heard; i++) {
		if (h->errors[i] != errnum) continue;
		if (i < first) return; /* it was named with that one */
		strs_add(&nodes, arena_printf(r->arena, "%s%zu", h->prefix, i));
	}
	const char *names = strs_join(&nodes, ", ", r->arena), *text = "look into `sudo dmesg`";
	enum gpu_severity severity = GPU_WARN;
	enum gpu_remedy remedy = GPU_REMEDY_NONE;
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
		if (meanings[i].errnum != errnum) continue;
		severity = meanings[i].severity;
		remedy = meanings[i].remedy;
		text = meanings[i].text;
	}
	gpu_add(r, "gpu-open", severity, remedy, strerror(errnum), "%s cannot be opened: %s", names, text);
}

/* Without a program that tries CUDA it is something that the driver at least brings all GPUs up. */
static void add_to_skipped(size_t count, struct gpu_report *r) {
	for (size_t i = 0; i < r->finding_count; i++)
		if (str_eq(r->findings[i].code, "cuda-skipped"))
			r->findings[i].text = arena_printf(r->arena, "%s; the driver opens %s", r->findings[i].text,
							   count == 1 ? "the GPU" : "every GPU");
}

void gpu_hold_judge(const struct gpu_hold *h, struct gpu_report *r) {
	size_t open = 0;
	for (size_t i = 0; i < h->heard; i++) {
		if (h->errors[i] && !is_known_elsewhere(h->errors[i])) add_errors(h, i, r);
		open += !h->errors[i];
	}
	if (h->heard < h->count && !gpu_has_finding(r, "gpu-hung"))
		gpu_add(r, "gpu-hung", GPU_FAIL, GPU_REMEDY_REBOOT, NULL,
			"%s%zu could not be opened within %s: " GPU_SAY_REBOOT, h->prefix, h->heard,
			str_duration(clock_mono_ms() - h->started_at_ms, r->arena));
	if (open && open == r->count) add_to_skipped(open, r);
}

void gpu_hold_end(struct gpu_hold *h) {
	if (!h || h->fd < 0) return;
	bool hangs = h->heard < h->count;
	int64_t until_ms = clock_mono_ms() + END_MS;
	cleanup_close(&h->fd);
	if (hangs) (void)kill(h->pid, SIGKILL); /* our own child, not reaped yet */
	for (int64_t pause_ms = 1; waitpid(h->pid, NULL, WNOHANG) == 0; pause_ms = pause_ms < 50 ? pause_ms * 2 : 50) {
		if (clock_mono_ms() >= until_ms) {
			(void)kill(h->pid, SIGKILL);
			return; /* it is in the kernel */
		}
		clock_sleep_ms(pause_ms);
	}
}
