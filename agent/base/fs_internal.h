#pragma once
/* What the fs_*.c files share. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;
struct fs_root;

/* openat2(2); the numbers are the kernel's ABI, spelled out because older C library headers lack them. */
#define FS_RESOLVE_NO_XDEV 0x01
#define FS_RESOLVE_NO_SYMLINKS 0x04
#define FS_RESOLVE_BENEATH 0x08
#define FS_RESOLVE_IN_ROOT 0x10

/** openat2(2) without a wrapper: a descriptor, or -1 and errno. */
int fs_openat2(int dir_fd, const char *path, int flags, unsigned mode, uint64_t resolve);

/** Opens below root as fs_open does: a descriptor, or -1 and errno. */
int fs_open_raw(const struct fs_root *root, const char *path, int flags, unsigned mode);

/** The directory that holds the last component of a path, and that component. */
struct fs_spot {
	int dir_fd; /* O_PATH */
	char name[NAME_MAX + 1];
};

/**
 * Finds the spot of an absolute path; "/" is "." in the root itself. Links in the directory part are followed below
 * root, the last component is not looked at; "." and ".." as the last component are ERR_INVALID.
 */
CHECK_RESULT int fs_spot_open(const struct fs_root *root, const char *path, struct fs_spot *ret_spot, struct err *err);
void fs_spot_close(struct fs_spot *spot);
#define AUTO_FS_SPOT AUTO(fs_spot_close)

/** err_set_errno with the path as the machine sees it: "cannot open /srv/root/etc/motd: …". */
int fs_fail(const struct fs_root *root, const char *verb, const char *path, int errnum, struct err *err);

/** The root's path prefix, "" for the host. */
const char *fs_prefix(const struct fs_root *root);
