#pragma once
/*
 * A local tree in the order in which S3 lists keys: by the bytes of the whole path, where a folder counts as "name/".
 * One directory at a time is held in memory (its names, sorted); files are looked at (statx) as they are handed out.
 * Unfinished files of our own are left out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct s3filter;
struct s3walk;

/** Deepest tree: each level holds a descriptor. */
#define S3WALK_DEPTH_MAX 256

enum s3walk_kind {
	S3WALK_FILE,
	S3WALK_FOLDER, /* path ends in '/' */
	S3WALK_LINK,   /* not followed, or leads nowhere */
	S3WALK_SPECIAL /* socket, device, FIFO */
};

struct s3walk_entry {
	const char *path; /* below the root of the walk; until the next call */
	enum s3walk_kind kind;
	int64_t size, mtime_ns;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct s3walk_options {
	int root_fd; /* borrowed; readable */
	bool follows_links;
	const struct s3filter *filter; /* folders that it leaves nothing of are not entered; may be NULL */
	/** A folder or file that cannot be looked at: the walk goes on, but is not complete. */
	void (*on_problem)(const char *path, const struct err *err, void *arg);
	/** An unfinished file of ours, or its journal. May be NULL. */
	void (*on_temporary)(int dir_fd, const char *name, void *arg);
	void *arg;
};

CHECK_RESULT int s3walk_open(const struct s3walk_options *options, struct s3walk **ret_walk, struct err *err);

/** The next one; false at the end. */
bool s3walk_next(struct s3walk *walk, struct s3walk_entry *ret_entry);

/** True when nothing was passed to on_problem. */
bool s3walk_is_complete(const struct s3walk *walk);

void s3walk_free(struct s3walk *walk); /* NULL is fine */
