#pragma once
/*
 * Files below a root. Every path is absolute as the recipe writes it ("/etc/motd") and is resolved below root by
 * openat2(2) with RESOLVE_IN_ROOT: with `--root DIR` no symbolic link leads out of DIR. Files that others read are
 * written under a temporary name in the same directory, synced and renamed. Every descriptor is close-on-exec.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct buf;
struct err;
struct strs;
struct arena;

struct fs_root {
	int fd;		/* O_PATH descriptor of the directory */
	char *path;	/* absolute, without trailing slash; "" for the machine's own root */
	bool is_system; /* the tree has a /bin/sh of its own: commands run inside it by chroot(2) */
};

/** The machine's own "/", or DIR of --root. NULL or "/" mean the former. Free with fs_root_clear. */
CHECK_RESULT int fs_root_open(const char *dir, struct fs_root *ret_root, struct err *err);
void fs_root_clear(struct fs_root *root);
#define AUTO_FS_ROOT AUTO(fs_root_clear)

/** True for "/" itself, as opposed to a --root tree. */
bool fs_root_is_host(const struct fs_root *root);

/** Opens below root; flags as open(2), O_CLOEXEC is added. The caller closes. ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
CHECK_RESULT int fs_open(const struct fs_root *root, const char *path, int flags, mode_t mode, int *ret_fd,
			 struct err *err);

/** Reads a whole regular file of at most b->max bytes (files in /proc and /sys too) into b. */
CHECK_RESULT int fs_read(const struct fs_root *root, const char *path, struct buf *b, struct err *err);

/** Like fs_read, first line only, white space trimmed; "" when the file is absent. For /sys and /proc facts. */
void fs_read_line(const struct fs_root *root, const char *path, char *line, size_t size);

bool fs_exists(const struct fs_root *root, const char *path); /* follows links */

/** lstat below root: the last component is not followed. ERR_NOT_FOUND when absent. */
CHECK_RESULT int fs_lstat(const struct fs_root *root, const char *path, struct stat *ret_st, struct err *err);

/** Names in a directory, "." and ".." left out, sorted bytewise, copied to the arena; an absent one is empty. */
CHECK_RESULT int fs_list(const struct fs_root *root, const char *path, struct arena *arena, struct strs *ret_names,
			 struct err *err);

/** mkdir -p with mode for what is created; an existing directory is left as it is. owner -1 = leave. */
CHECK_RESULT int fs_mkdirs(const struct fs_root *root, const char *path, mode_t mode, uid_t uid, gid_t gid,
			   struct err *err);

struct fs_write {
	mode_t mode;
	uid_t uid;	  /* (uid_t)-1: leave */
	gid_t gid;	  /* (gid_t)-1: leave */
	bool is_unsynced; /* skip fsync: for files that are made anew anyway (/run) */
};

/** Replaces path by data atomically. On any failure the old file is untouched and no temporary file remains. */
CHECK_RESULT int fs_write(const struct fs_root *root, const char *path, const void *data, size_t len,
			  const struct fs_write *how, struct err *err);

/** Makes path a symbolic link to target, atomically; refuses to replace a directory. */
CHECK_RESULT int fs_symlink(const struct fs_root *root, const char *path, const char *target, struct err *err);

/** Renames within one file system, replacing a file (not a directory), and makes it last. */
CHECK_RESULT int fs_rename(const struct fs_root *root, const char *from, const char *to, struct err *err);

/** Removes a file, link or (is_recursive) a tree without leaving its mount or following links. Absent is fine. */
CHECK_RESULT int fs_remove(const struct fs_root *root, const char *path, bool is_recursive, struct err *err);

/** Changes mode and owner of an existing file or directory (never through a last-component link). */
CHECK_RESULT int fs_chmod(const struct fs_root *root, const char *path, mode_t mode, struct err *err);
CHECK_RESULT int fs_chown(const struct fs_root *root, const char *path, uid_t uid, gid_t gid, struct err *err);

/** Bytes free to the caller on the file system that holds path or its nearest existing parent. */
CHECK_RESULT int fs_free_bytes(const struct fs_root *root, const char *path, int64_t *ret_bytes, struct err *err);

/**
 * For names from outside: opens the directory path ("a/b", no leading slash; "" is dir_fd itself) with O_PATH below
 * dir_fd, following no symbolic link (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS; part by part where the
 * kernel has none). The parts must be names: neither "." nor "..". A descriptor, or -1 and errno: ELOOP or ENOTDIR for
 * a link in the way, ENOTDIR for a file.
 */
int fs_open_dir_beneath(int dir_fd, const char *path);

/** The same, and what lacks is made, with how's mode and owner. Further parts are then not O_PATH. */
int fs_make_dirs_beneath(int dir_fd, const char *path, const struct fs_write *how);

/**
 * Takes an exclusive flock(2) on path (made with mode 0644), writes our pid into it and keeps it while *ret_fd is open.
 * ERR_BUSY with the holder's pid in *ret_holder (0 if unknown) when somebody else has it.
 */
CHECK_RESULT int fs_lock(const struct fs_root *root, const char *path, int *ret_fd, pid_t *ret_holder, struct err *err);

/**
 * Joins to a path of the machine: root->path + path, in the arena: for arguments of commands that run on the machine.
 */
const char *fs_host_path(const struct fs_root *root, const char *path, struct arena *arena);
