#include <fcntl.h>
#include <sys/stat.h>

#include "fs_fixture.h"

static void roots(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	struct fs_root other AUTO_FS_ROOT = {.fd = -1};
	struct err err;

	assert_true(fs_root_is_host(&f->host));
	assert_true(f->host.is_system);
	assert_false(fs_root_is_host(&f->root));
	assert_false(f->root.is_system);
	assert_string_equal(fs_host_path(&f->host, "/etc/x", &arena), "/etc/x");
	assert_string_equal(fs_host_path(&f->root, "/etc/x", &arena), arena_printf(&arena, "%s/tree/etc/x", f->dir));
	assert_int_equal(fs_root_open("/no/such/dir", &other, &err), -ERR_NOT_FOUND);
	assert_string_equal(err.msg, "cannot use /no/such/dir as root: No such file or directory");
	assert_int_equal(fs_root_open("//", &other, &err), 0);
	assert_true(fs_root_is_host(&other));
}

static void a_tree_with_a_shell_is_a_system(void **state) {
	struct fixture *f = *state;
	struct fs_root again AUTO_FS_ROOT = {.fd = -1};
	struct err err;

	assert_int_equal(fs_mkdirs(&f->root, "/usr/bin", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	put(&f->root, "/usr/bin/sh", "");
	link_to(f, "/bin", "usr/bin");
	assert_int_equal(fs_root_open(f->root.path, &again, &err), 0);
	assert_true(again.is_system);
}

/* Links that would lead out of the tree; what they name exists outside. */
static void links_do_not_escape(void **state) {
	struct fixture *f = *state;
	static const char *const targets[] = {"/", "/..", "../../../../../../../..", "../.."};
	struct err err;
	struct stat st;

	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		char *path AUTO_FREE = mem_printf("/jump%s", f->outside);
		char *up AUTO_FREE = mem_printf("/jump/%s", "outside");
		struct buf b AUTO_BUF = BUF_INIT(100);

		link_to(f, "/jump", targets[i]);
		assert_int_equal(fs_read(&f->root, path, &b, &err), -ERR_NOT_FOUND);
		assert_int_equal(fs_read(&f->root, up, &b, &err), -ERR_NOT_FOUND);
		assert_int_equal(fs_lstat(&f->root, path, &st, &err), -ERR_NOT_FOUND);
		put(&f->root, up, "inside");
		check_text(&f->root, "/outside", "inside"); /* the link led to the tree's own root */
		assert_int_equal(fs_chmod(&f->root, up, 0600, &err), 0);
		assert_int_equal(fs_remove(&f->root, up, true, &err), 0);
	}
	/* An absolute link in the last part: read below root, replaced by a write. */
	link_to(f, "/leaf", f->outside);
	assert_false(fs_exists(&f->root, "/leaf"));
	put(&f->root, "/leaf", "mine");
	assert_int_equal(fs_lstat(&f->root, "/leaf", &st, &err), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void mkdirs_stays_inside(void **state) {
	struct fixture *f = *state;
	char *out AUTO_FREE = mem_printf("%s/new", f->dir);
	char *in AUTO_FREE = mem_printf("/abs%s/new", f->dir);
	struct err err;

	link_to(f, "/abs", "/");
	assert_int_equal(fs_mkdirs(&f->root, in, 0750, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_true(fs_exists(&f->root, out));
	assert_false(fs_exists(&f->host, out));
	link_to(f, "/dangling", "/nowhere");
	assert_true(fs_mkdirs(&f->root, "/dangling/a", 0755, (uid_t)-1, (gid_t)-1, &err) < 0);
	assert_false(fs_exists(&f->root, "/nowhere"));
	assert_int_equal(fs_mkdirs(&f->root, "/absent/../x", 0755, (uid_t)-1, (gid_t)-1, &err), -ERR_INVALID);
}

static void mkdirs_sets_the_mode_of_new_ones_only(void **state) {
	struct fixture *f = *state;
	struct err err;
	struct stat st;

	assert_int_equal(fs_mkdirs(&f->root, "/a//b/", 0700, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(fs_mkdirs(&f->root, "/a/b/c/./d", 01777, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(fs_lstat(&f->root, "/a/b", &st, &err), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(fs_lstat(&f->root, "/a/b/c", &st, &err), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	assert_int_equal(fs_lstat(&f->root, "/a/b/c/d/", &st, &err), 0);
	assert_int_equal(fs_mkdirs(&f->root, "/", 0700, (uid_t)-1, (gid_t)-1, &err), 0);
	put(&f->root, "/file", "x");
	assert_int_equal(fs_mkdirs(&f->root, "/file/sub", 0755, (uid_t)-1, (gid_t)-1, &err), -ERR_NOT_FOUND);
}

static void reads(void **state) {
	struct fixture *f = *state;
	struct buf b AUTO_BUF = BUF_INIT(5);
	char line[16];
	struct err err;
	char *fifo AUTO_FREE = mem_printf("%s/tree/fifo", f->dir);
	char *too_large AUTO_FREE = mem_printf("cannot read %s/tree/f: /f is larger than 5 bytes", f->dir);
	char *not_regular AUTO_FREE = mem_printf("cannot read %s/tree/fifo: it is not a regular file", f->dir);

	put(&f->root, "/f", "12345");
	assert_int_equal(fs_read(&f->root, "/f", &b, &err), 0);
	buf_reset(&b);
	put(&f->root, "/f", "123456");
	assert_int_equal(fs_read(&f->root, "/f", &b, &err), -ERR_LIMIT);
	assert_string_equal(err.msg, too_large);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(fs_read(&f->root, "/fifo", &b, &err), -ERR_INVALID); /* and does not wait for a writer */
	assert_string_equal(err.msg, not_regular);
	put(&f->root, "/l", " \tfirst  \nsecond\n");
	fs_read_line(&f->root, "/l", line, sizeof line);
	assert_string_equal(line, "first");
	put(&f->root, "/l", "0123456789abcdefghij");
	fs_read_line(&f->root, "/l", line, sizeof line);
	assert_string_equal(line, "0123456789abcde");
	fs_read_line(&f->root, "/none", line, sizeof line);
	assert_string_equal(line, "");
	fs_read_line(&f->host, "/proc/sys/kernel/ostype", line, sizeof line);
	assert_string_equal(line, "Linux");
}

static void lists_sorted(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	struct strs names AUTO_STRS = {0};
	struct err err;

	assert_string_equal(names_in(&f->root, "/none", &arena), "");
	put(&f->root, "/b", "");
	put(&f->root, "/B", "");
	put(&f->root, "/.a", "");
	put(&f->root, "/a10", "");
	put(&f->root, "/a9", "");
	assert_string_equal(names_in(&f->root, "/", &arena), ".a B a10 a9 b");
	assert_true(fs_list(&f->root, "/b", &arena, &names, &err) < 0);
}

static void removes(void **state) {
	struct fixture *f = *state;
	struct arena arena AUTO_ARENA = {0};
	struct err err;
	char deep[700] = "";

	for (int i = 0; i < 300; i++) (void)snprintf(deep + 2 * i, 3, "/d");
	assert_int_equal(fs_remove(&f->root, "/none", false, &err), 0);
	assert_int_equal(fs_remove(&f->root, "/none/none", true, &err), 0);
	deep[400] = '\0';
	assert_int_equal(fs_mkdirs(&f->root, deep, 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	put(&f->root, "/d/f", "x");
	assert_int_equal(fs_symlink(&f->root, "/d/out", "..", &err), 0);
	assert_int_equal(fs_symlink(&f->root, "/d/far", f->dir, &err), 0);
	put(&f->root, "/keep", "x");
	assert_true(fs_remove(&f->root, "/d", false, &err) < 0);
	assert_int_equal(fs_remove(&f->root, "/d", true, &err), 0);
	assert_string_equal(names_in(&f->root, "/", &arena), "keep");
	assert_int_equal(fs_symlink(&f->root, "/to-keep", "keep", &err), 0);
	assert_int_equal(fs_remove(&f->root, "/to-keep", true, &err), 0);
	assert_string_equal(names_in(&f->root, "/", &arena), "keep");
	assert_int_equal(fs_remove(&f->root, "/keep", false, &err), 0);
	assert_string_equal(names_in(&f->root, "/", &arena), "");
}

static void a_tree_too_deep_is_refused(void **state) {
	struct fixture *f = *state;
	struct err err;
	char deep[601] = "", half[301] = "";

	for (int i = 0; i < 300; i++) (void)snprintf(deep + 2 * i, 3, "/d");
	assert_int_equal(fs_mkdirs(&f->root, deep, 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(fs_remove(&f->root, "/d", true, &err), -ERR_LIMIT);
	memcpy(half, deep, 300);
	assert_int_equal(fs_remove(&f->root, half, true, &err), 0);
	assert_int_equal(fs_remove(&f->root, "/d", true, &err), 0);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		CASE(roots),
		CASE(a_tree_with_a_shell_is_a_system),
		CASE(links_do_not_escape),
		CASE(mkdirs_stays_inside),
		CASE(mkdirs_sets_the_mode_of_new_ones_only),
		CASE(reads),
		CASE(lists_sorted),
		CASE(removes),
		CASE(a_tree_too_deep_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
