#include "fs_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/s3filter.h"
#include "aws/s3tree.h"
#include "aws/s3walk.h"

static void on_problem(const char *path, const struct err *err, void *arg) {
	buf_addf(arg, "problem %s: %s\n", path, err->msg);
}

static void on_temporary(int dir_fd, const char *name, void *arg) { buf_addf(arg, "temporary %s\n", name); }

static void walk(const struct fixture *f, bool follows, const struct s3filter *filter, struct buf *out) {
	static const char kinds[] = {'f', 'd', 'l', 's'};
	struct s3walk_options options = {.follows_links = follows,
					 .filter = filter,
					 .on_problem = on_problem,
					 .on_temporary = on_temporary,
					 .arg = out};
	struct s3walk_entry entry;
	struct s3walk *w = NULL;
	struct err err;
	int fd AUTO_CLOSE = -1;
	assert_int_equal(fs_open(&f->root, "/", O_RDONLY | O_DIRECTORY, 0, &fd, &err), 0);
	options.root_fd = fd;
	assert_int_equal(s3walk_open(&options, &w, &err), 0);
	while (s3walk_next(w, &entry)) buf_addf(out, "%c %s\n", kinds[entry.kind], entry.path);
	assert_int_equal(s3walk_is_complete(w), strstr(buf_str(out), "problem") == NULL);
	s3walk_free(w);
}

static void folder(const struct fixture *f, const char *path) {
	struct err err;
	assert_int_equal(fs_mkdirs(&f->root, path, 0755, (uid_t)-1, (gid_t)-1, &err), 0);
}

/* '-' and '.' sort before '/', '0' after it: a listing has "a-b" before "a/b" before "a0". */
static void goes_in_the_order_of_keys(void **state) {
	struct fixture *f = *state;
	struct buf out AUTO_BUF = BUF_INIT(4096);
	folder(f, "/a/b");
	folder(f, "/empty");
	put(&f->root, "/a-b", "");
	put(&f->root, "/a.txt", "");
	put(&f->root, "/a0", "");
	put(&f->root, "/a/b/c", "");
	put(&f->root, "/a/b-", "");
	put(&f->root, "/a/b0", "");
	put(&f->root, "/\xc3\xa9", "");
	put(&f->root, "/z", "");
	put(&f->root, "/.x.dsagent.abcdef", "");
	put(&f->root, "/.x.dsagent.abcdef.journal", "");
	walk(f, false, NULL, &out);
	const char *text = strstr(buf_str(&out), "f a-b");
	assert_non_null(text);
	assert_string_equal(text,
			    "f a-b\nf a.txt\nd a/\nf a/b-\nd a/b/\nf a/b/c\nf a/b0\nf a0\nd empty/\nf z\nf \xc3\xa9\n");
	assert_non_null(strstr(buf_str(&out), "temporary .x.dsagent.abcdef\n"));
	assert_non_null(strstr(buf_str(&out), "temporary .x.dsagent.abcdef.journal\n"));
}

static void treats_links_as_told(void **state) {
	struct fixture *f = *state;
	struct buf out AUTO_BUF = BUF_INIT(4096);
	folder(f, "/d");
	put(&f->root, "/d/x", "");
	link_to(f, "/file", "d/x");
	link_to(f, "/folder", "d");
	link_to(f, "/d/loop", "..");
	link_to(f, "/nowhere", "gone");
	assert_int_equal(mkfifoat(f->root.fd, "fifo", 0600), 0);
	walk(f, false, NULL, &out);
	assert_string_equal(buf_str(&out), "d d/\nl d/loop\nf d/x\ns fifo\nl file\nl folder\nl nowhere\n");
	buf_reset(&out);
	walk(f, true, NULL, &out);
	assert_string_equal(
		buf_str(&out),
		"d d/\nproblem d/loop/: a symbolic link leads back to a folder that it is in\nf d/x\ns fifo\n"
		"f file\nd folder/\nproblem folder/loop/: a symbolic link leads back to a folder that it is in\n"
		"f folder/x\nl nowhere\n");
}

static void does_not_enter_what_is_filtered(void **state) {
	static const struct s3rule rules[] = {{"skip/*", false}};
	static const struct s3filter filter = {rules, 1};
	struct fixture *f = *state;
	struct buf out AUTO_BUF = BUF_INIT(4096);
	folder(f, "/skip/deep");
	folder(f, "/take");
	walk(f, false, &filter, &out);
	assert_string_equal(buf_str(&out), "d take/\n");
}

static struct s3tree *tree_of(const struct fixture *f, int *fd) {
	static const struct s3tree_how how = {.mode = 0751, .uid = (uid_t)-1, .gid = (gid_t)-1};
	struct err err;
	assert_int_equal(fs_open(&f->root, "/", O_RDONLY | O_DIRECTORY, 0, fd, &err), 0);
	return s3tree_new(*fd, &how);
}

static void stays_below(void **state) {
	static const struct {
		const char *path, *said;
	} rows[] = {
		{"new/sub/x", ""},
		{"x", ""},
		{"out/x", "'out' is, or is behind, a symbolic link: nothing is written through one"},
		{"in/x", "'in' is, or is behind, a symbolic link: nothing is written through one"},
		{"d/out/sub/x", "'d/out/sub' is, or is behind, a symbolic link: nothing is written through one"},
		{"file/x", "a file or link is in the place of the folder 'file'"},
		{"file/sub/x", "a file or link is in the place of the folder 'file/sub'"},
	};
	struct fixture *f = *state;
	int fd AUTO_CLOSE = -1;
	struct s3tree *tree = tree_of(f, &fd);
	folder(f, "/d");
	put(&f->root, "/file", "");
	link_to(f, "/out", "../..");
	link_to(f, "/in", "d");
	link_to(f, "/d/out", "/");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {0};
		struct s3dir *dir = NULL;
		const char *name = NULL;
		int rc = s3tree_dir(tree, rows[i].path, true, &dir, &name, &err);
		assert_string_equal(err.msg, rows[i].said);
		assert_int_equal(rc == 0, *rows[i].said == '\0');
		if (!rc) assert_string_equal(name, "x");
		s3tree_release(dir);
	}
	struct stat st;
	struct err err;
	assert_int_equal(fs_lstat(&f->root, "/new/sub", &st, &err), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	s3tree_free(tree);
}

static void removes_folders_without_files_only(void **state) {
	struct fixture *f = *state;
	struct err err = {0};
	int fd AUTO_CLOSE = -1;
	struct s3tree *tree = tree_of(f, &fd);
	folder(f, "/e/a/b");
	folder(f, "/e/c");
	folder(f, "/k/a");
	put(&f->root, "/k/a/file", "");
	assert_int_equal(s3tree_remove_empty(tree, "e", &err), 0);
	assert_false(fs_exists(&f->root, "/e"));
	assert_int_equal(s3tree_remove_empty(tree, "k", &err), -ERR_STATE);
	assert_string_equal(err.msg, "the folder in its place holds files that are not to be deleted");
	assert_true(fs_exists(&f->root, "/k/a/file"));
	s3tree_free(tree);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_in_the_order_of_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(treats_links_as_told, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_enter_what_is_filtered, setup, teardown),
		cmocka_unit_test_setup_teardown(stays_below, setup, teardown),
		cmocka_unit_test_setup_teardown(removes_folders_without_files_only, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
