#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "fs_fixture.h"

static void bad_paths(void **state) {
	static const struct {
		const char *path, *msg;
	} rows[] = {
		{"etc/motd", "cannot write etc/motd: cannot use 'etc/motd': the path is not absolute"},
		{"", "cannot write : cannot use '': the path is not absolute"},
		{"/..", "cannot write /..: cannot use /..: its last part must be a name"},
		{"/etc/.", "cannot write /etc/.: cannot use /etc/.: its last part must be a name"},
		{"/etc/../..//", "cannot write /etc/../..//: cannot use /etc/../..//: its last part must be a name"},
	};
	struct fixture *f = *state;
	char name[400] = "/";
	struct err err;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(fs_write(&f->host, rows[i].path, "x", 1, &plain, &err), -ERR_INVALID);
		assert_string_equal(err.msg, rows[i].msg);
	}
	memset(name + 1, 'n', sizeof name - 2);
	assert_int_equal(fs_write(&f->root, name, "x", 1, &plain, &err), -ERR_LIMIT);
	assert_int_equal(fs_remove(&f->root, "/", true, &err), -ERR_INVALID);
	assert_int_equal(fs_remove(&f->root, "/..", true, &err), -ERR_INVALID);
	assert_true(fs_write(&f->root, "/", "x", 1, &plain, &err) < 0);
}

static void writes_replace_whole(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	const struct fs_write secret = {.mode = 04750, .uid = getuid(), .gid = getgid()};
	struct stat before, after;
	struct err err;
	int fd AUTO_CLOSE = -1;
	char old[8] = "";

	put(&f->root, "/f", "one");
	assert_int_equal(fs_lstat(&f->root, "/f", &before, &err), 0);
	assert_int_equal(fs_open(&f->root, "/f", O_RDONLY, 0, &fd, &err), 0);
	assert_int_equal(fs_write(&f->root, "/f", "second", 6, &secret, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/f", &after, &err), 0);
	assert_int_equal(before.st_mode, S_IFREG | 0644);
	assert_int_equal(after.st_mode, S_IFREG | 04750);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(read(fd, old, sizeof old), 3); /* a reader keeps the old file */
	assert_string_equal(old, "one");
	check_text(&f->root, "/f", "second");
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fs_mkdirs(&f->root, "/dir/sub", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_true(fs_write(&f->root, "/dir", "x", 1, &plain, &err) < 0);
	assert_string_equal(names_in(&f->root, "/", &arena), "dir f");
	assert_int_equal(fs_write(&f->root, "/absent/f", "x", 1, &plain, &err), -ERR_NOT_FOUND);
}

/* A write that the kernel cuts short: the old file stays, nothing remains. */
static void a_failed_write_leaves_no_trace(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	char *want = arena_printf(&arena, "cannot write %s/tree/f: File too large", f->dir);
	char *large = arena_alloc(&arena, 100000);
	struct rlimit old, low;
	struct err err;
	int rc;

	put(&f->root, "/f", "old");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){.rlim_cur = 5000, .rlim_max = old.rlim_max};
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	rc = fs_write(&f->root, "/f", large, 100000, &plain, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(rc, -ERR_LIMIT);
	assert_string_equal(err.msg, want);
	check_text(&f->root, "/f", "old");
	assert_string_equal(names_in(&f->root, "/", &arena), "f");
}

/* A file system of 64 KiB in the tree: real ENOSPC, and a mount that removal must not enter. */
static void a_full_disk_and_a_mount(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	char *large = arena_alloc(&arena, 200000);
	char *at = arena_printf(&arena, "%s/tree/a/mnt", f->dir);
	struct err err;
	int64_t bytes = 0;

	assert_int_equal(fs_mkdirs(&f->root, "/a/mnt", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	if (mount("tmpfs", at, "tmpfs", 0, "size=64k") < 0) {
		print_message("skipped: this process may not mount a tmpfs\n");
		skip();
	}
	put(&f->root, "/a/mnt/f", "old");
	assert_int_equal(fs_free_bytes(&f->root, "/a/mnt/not/yet", &bytes, &err), 0);
	assert_true(bytes > 0 && bytes <= 65536);
	assert_int_equal(fs_write(&f->root, "/a/mnt/f", large, 200000, &plain, &err), -ERR_NO_SPACE);
	assert_string_equal(err.msg, arena_printf(&arena, "cannot write %s/f: No space left on device", at));
	check_text(&f->root, "/a/mnt/f", "old");
	assert_string_equal(names_in(&f->root, "/a/mnt", &arena), "f");
	assert_int_equal(fs_remove(&f->root, "/a", true, &err), -ERR_BUSY);
	assert_string_equal(err.msg, arena_printf(&arena,
						  "cannot remove %s/tree/a: another file system is mounted in "
						  "it; unmount it first",
						  f->dir));
	assert_int_equal(fs_remove(&f->root, "/a/mnt", true, &err), -ERR_BUSY);
	check_text(&f->root, "/a/mnt/f", "old");
	assert_int_equal(umount(at), 0);
}

static void links_replace_files_but_not_directories(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	struct err err;
	struct stat st;

	put(&f->root, "/real", "text");
	put(&f->root, "/l", "a file");
	link_to(f, "/l", "real");
	check_text(&f->root, "/l", "text");
	link_to(f, "/l", "/none");
	assert_int_equal(fs_lstat(&f->root, "/l", &st, &err), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_false(fs_exists(&f->root, "/l"));
	assert_int_equal(fs_mkdirs(&f->root, "/dir", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_true(fs_symlink(&f->root, "/dir", "real", &err) < 0);
	assert_string_equal(names_in(&f->root, "/", &arena), "dir l real");
}

static void modes_and_owners_do_not_follow_links(void **state) {
	struct fixture *f = *state;
	struct err err;
	struct stat st;

	put(&f->root, "/f", "x");
	link_to(f, "/l", "f");
	assert_int_equal(fs_chmod(&f->root, "/f", 0600, &err), 0);
	assert_true(fs_chmod(&f->root, "/l", 0777, &err) < 0);
	assert_int_equal(fs_lstat(&f->root, "/f", &st, &err), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(fs_chmod(&f->root, "/none", 0600, &err), -ERR_NOT_FOUND);
	if (getuid() != 0) {
		print_message("owners not checked: not root\n");
		return;
	}
	assert_int_equal(fs_chown(&f->root, "/l", 12, 34, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/f", &st, &err), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(fs_lstat(&f->root, "/l", &st, &err), 0);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(fs_chown(&f->root, "/f", (uid_t)-1, 34, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/f", &st, &err), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 34);
}

/* A second process holds the lock until told: its pid is what we are told. */
static void a_lock_names_its_holder(void **state) {
	struct fixture *f = *state;
	char *busy AUTO_FREE = NULL;
	int lock AUTO_CLOSE = -1;
	int ready[2], done[2], status;
	pid_t holder = -1, child;
	struct err err;
	char byte = 0;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		(void)close(done[1]);
		byte = fs_lock(&f->root, "/lock", &lock, &holder, &err) == 0 ? 'y' : 'n';
		(void)!write(ready[1], &byte, 1);
		(void)!read(done[0], &byte, 1); /* end of file */
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(fs_lock(&f->root, "/lock", &lock, &holder, &err), -ERR_BUSY);
	assert_int_equal(holder, child);
	assert_int_equal(lock, -1);
	busy = mem_printf("%s/tree/lock is locked by process %d", f->dir, (int)child);
	assert_string_equal(err.msg, busy);
	for (int i = 0; i < 2; i++) assert_int_equal(close(done[i]) + close(ready[i]), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(fs_lock(&f->root, "/lock", &lock, &holder, &err), 0);
	free(busy);
	busy = mem_printf("%d\n", (int)getpid());
	check_text(&f->root, "/lock", busy);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		CASE(bad_paths),
		CASE(writes_replace_whole),
		CASE(a_failed_write_leaves_no_trace),
		CASE(a_full_disk_and_a_mount),
		CASE(links_replace_files_but_not_directories),
		CASE(modes_and_owners_do_not_follow_links),
		CASE(a_lock_names_its_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
