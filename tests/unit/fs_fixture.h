#pragma once
/* A --root tree in a temporary directory, for the tests of base/fs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

static const struct fs_write plain = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};

/* A temporary directory as a --root tree, with a file beside it that nothing in the tree may reach. */
struct fixture {
	char dir[64];
	char *outside; /* absolute path of the file beside the tree */
	struct fs_root root, host;
};

static inline void put(const struct fs_root *root, const char *path, const char *text) {
	struct err err;

	if (fs_write(root, path, text, strlen(text), &plain, &err) < 0) fail_msg("%s", err.msg);
}

static inline void check_text(const struct fs_root *root, const char *path, const char *want) {
	struct buf b AUTO_BUF = BUF_INIT(1 << 20);
	struct err err;

	if (fs_read(root, path, &b, &err) < 0) fail_msg("%s", err.msg);
	assert_string_equal(buf_str(&b), want);
}

static inline void link_to(struct fixture *f, const char *path, const char *target) {
	struct err err;

	if (fs_symlink(&f->root, path, target, &err) < 0) fail_msg("%s", err.msg);
}

static inline int setup(void **state) {
	struct fixture *f = mem_zalloc(sizeof *f);
	char *tree AUTO_FREE = NULL;
	struct err err;

	(void)snprintf(f->dir, sizeof f->dir, "/tmp/fs_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->outside = mem_printf("%s/outside", f->dir);
	tree = mem_printf("%s/tree", f->dir);
	assert_int_equal(fs_root_open(NULL, &f->host, &err), 0);
	put(&f->host, f->outside, "untouched");
	assert_int_equal(fs_mkdirs(&f->host, tree, 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(fs_root_open(tree, &f->root, &err), 0);
	*state = f;
	return 0;
}

static inline int teardown(void **state) {
	struct fixture *f = *state;
	struct err err;

	check_text(&f->host, f->outside, "untouched");
	if (fs_remove(&f->host, f->dir, true, &err) < 0) fail_msg("%s", err.msg);
	assert_false(fs_exists(&f->host, f->dir));
	fs_root_clear(&f->root);
	fs_root_clear(&f->host);
	free(f->outside);
	free(f);
	return 0;
}

/* Everything in a directory, temporary names included. */
static inline char *names_in(const struct fs_root *root, const char *path, struct arena *arena) {
	struct strs names AUTO_STRS = {0};
	struct err err;

	if (fs_list(root, path, arena, &names, &err) < 0) fail_msg("%s", err.msg);
	return strs_join(&names, " ", arena);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
