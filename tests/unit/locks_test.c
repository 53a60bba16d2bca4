#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sys/locks.h"
#include "tree.h"

#define LOCK "/var/lib/dpkg/lock-frontend"
static const char *const paths[] = {"/var/lib/apt/lists/lock", LOCK, NULL};

/* Another process that has the lock until its pipe closes. */
struct holder {
	pid_t pid;
	int release_fd;
	char said[256];
	int waits;
};

static void holder_start(struct holder *h, const struct tree *t) {
	int ready[2], release[2];
	char path[256], byte;
	(void)snprintf(path, sizeof path, "%s" LOCK, t->dir);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(release), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (!h->pid) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);
		(void)close(release[1]);
		(void)prctl(PR_SET_NAME, "unattended-upgr");
		if (fd < 0 || fcntl(fd, F_SETLK, &lock)) _exit(1);
		if (write(ready[1], "r", 1) != 1) _exit(1);
		_exit(read(release[0], &byte, 1) < 0);
	}
	(void)close(ready[1]);
	(void)close(release[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	h->release_fd = release[1];
}

static void holder_end(struct holder *h) {
	if (h->release_fd < 0) return;
	(void)close(h->release_fd);
	h->release_fd = -1;
	assert_int_equal(waitpid(h->pid, NULL, 0), h->pid);
}

/* The first report of the wait is what makes the holder go: no clock is involved. */
static void on_wait(const char *what, int64_t waited_ms, void *arg) {
	struct holder *h = arg;
	(void)snprintf(h->said, sizeof h->said, "%s", what);
	h->waits++;
	holder_end(h);
}

static void a_holder_is_named_and_waited_for(void **state) {
	struct tree t;
	struct err err = {0};
	struct holder h = {0};
	struct lock_holder found = {0};
	char wanted[256];
	tree_open(&t);
	tree_write(&t, LOCK, "", 0640);
	struct machine m = {.root = &t.root, .deadline_at_ms = clock_mono_ms() + 60000, .on_wait = on_wait, .arg = &h};
	assert_false(locks_held(&m, LOCK, &found));
	holder_start(&h, &t);
	assert_true(locks_held(&m, LOCK, &found));
	assert_int_equal(found.pid, h.pid);
	assert_string_equal(found.comm, "unattended-upgr");
	(void)snprintf(wanted, sizeof wanted, "the dpkg lock (unattended-upgr, pid %d)", (int)h.pid);
	assert_int_equal(locks_wait(&m, "dpkg lock", paths, 60000, &err), 0);
	assert_int_equal(h.waits, 1);
	assert_string_equal(h.said, wanted);
	assert_false(locks_held(&m, LOCK, &found));
	tree_close(&t);
}

static void a_wait_has_an_end(void **state) {
	static const struct { int64_t limit_ms, left_ms; } rows[] = {{0, 60000}, {60000, 0}};
	struct tree t;
	struct holder h = {0};
	char wanted[256];
	tree_open(&t);
	tree_write(&t, LOCK, "", 0640);
	holder_start(&h, &t);
	(void)snprintf(
		wanted, sizeof wanted,
		"the dpkg lock was not free within 0 s: unattended-upgr, pid %d; let it finish, then apply again",
		(int)h.pid);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		struct machine m = {.root = &t.root, .deadline_at_ms = clock_mono_ms() + rows[i].left_ms};
		assert_int_equal(locks_wait(&m, "dpkg lock", paths, rows[i].limit_ms, &err), -ERR_BUSY);
		assert_string_equal(err.msg, wanted);
	}
	holder_end(&h);
	tree_close(&t);
}

static void absent_locks_are_free(void **state) {
	struct tree t;
	struct err err = {0};
	tree_open(&t);
	struct machine m = {.root = &t.root};
	assert_int_equal(locks_wait(&m, "dpkg lock", paths, 0, &err), 0);
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_holder_is_named_and_waited_for),
		cmocka_unit_test(a_wait_has_an_end),
		cmocka_unit_test(absent_locks_are_free),
	};
	return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
