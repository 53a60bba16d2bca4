#pragma once
/*
 * A temporary folder for one test, filled from rows of paths and texts, opened as a root; and a machine there.
 */
#include <ftw.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/machine.h"

struct tree {
	char dir[64];
	struct fs_root root;
};

static inline void tree_write(const struct tree *t, const char *path, const char *text, mode_t mode) {
	struct err err = {0};
	char dir[256];
	struct fs_write how = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	(void)snprintf(dir, sizeof dir, "%s", path);
	*strrchr(dir, '/') = '\0';
	if (dir[0] && fs_mkdirs(&t->root, dir, 0755, (uid_t)-1, (gid_t)-1, &err)) fail_msg("%s", err.msg);
	if (fs_write(&t->root, path, text, strlen(text), &how, &err)) fail_msg("%s", err.msg);
}

static inline void tree_open(struct tree *t) {
	struct err err = {0};
	(void)snprintf(t->dir, sizeof t->dir, "/tmp/dsagent-unit-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	if (fs_root_open(t->dir, &t->root, &err)) fail_msg("%s", err.msg);
}

static inline int tree_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static inline void tree_close(struct tree *t) {
	fs_root_clear(&t->root);
	(void)nftw(t->dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/** The text of a file of the tree, "" if absent; the caller frees. */
static inline char *tree_read(const struct tree *t, const char *path) {
	struct buf b = BUF_INIT(1024 * 1024);
	struct err ignored;
	if (fs_read(&t->root, path, &b, &ignored)) buf_reset(&b);
	return buf_take(&b);
}
