#pragma once
/*
 * Mounts as the kernel has them (proc_pid_mountinfo(5)) and fstab(5) as text. Parsing is pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct err;

struct mount {
	dev_t dev;
	const char *path; /* unescaped */
};

struct mounts {
	struct mount *items;
	size_t count, cap;
};

/** The kernel's, as this process sees them: paths of the host, not of a --root tree. */
CHECK_RESULT int mounts_read(struct arena *arena, struct mounts *ret_mounts, struct err *err);
void mounts_parse(const char *text, struct arena *arena, struct mounts *ret_mounts);

/** What is mounted at path (the topmost), or where dev is mounted first; NULL if there is none. */
const struct mount *mounts_at(const struct mounts *mounts, const char *path);
const struct mount *mounts_of(const struct mounts *mounts, dev_t dev);

struct fstab_entry {
	const char *source, *path, *type, *options; /* unescaped */
};

/** The last entry for a mount point; false if there is none. */
bool fstab_find(const char *text, const char *path, struct arena *arena, struct fstab_entry *ret_entry);

/** True if options ("defaults,nofail") hold the word. */
bool fstab_has_option(const char *options, const char *word);

/** Text with the entries for entry->path replaced by this one, all else (comments too) as it was. */
void fstab_set(const char *text, const struct fstab_entry *entry, struct buf *out);
