#pragma once
/*
 * The local folder of a sync: directories below it, opened once and kept (least recently used go first). Where keys
 * from outside name them, nothing is resolved as a string: fs_open_dir_beneath refuses every symbolic link and way out.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct err;
struct s3tree;

struct s3tree_how {
	bool follows_links; /* for reading only: the user's own links below the source */
	mode_t mode;	    /* of directories that are made */
	uid_t uid;	    /* (uid_t)-1: ours */
	gid_t gid;
};

struct s3dir {
	int fd; /* O_PATH or readable */
	unsigned users;
	uint64_t used_at;
	char *path;
};

/** root_fd is borrowed. */
struct s3tree *s3tree_new(int root_fd, const struct s3tree_how *how);
void s3tree_free(struct s3tree *tree); /* NULL is fine; no directory may be in use */

/**
 * The directory of path's last part, in use until s3tree_release; *ret_name is that part, within path. makes: made if
 * absent. ERR_NOT_FOUND, ERR_DENIED for a link in the way, ERR_STATE when a file is in the place of a directory.
 */
CHECK_RESULT int s3tree_dir(struct s3tree *tree, const char *path, bool makes, struct s3dir **ret_dir,
			    const char **ret_name, struct err *err);
void s3tree_release(struct s3dir *dir); /* NULL is fine */

/** Makes the folder "a/b/" and those above it. Errors as above. */
CHECK_RESULT int s3tree_make(struct s3tree *tree, const char *folder, struct err *err);

/** Removes the folder if it, and all folders in it, hold no file. ERR_STATE when one does. */
CHECK_RESULT int s3tree_remove_empty(struct s3tree *tree, const char *path, struct err *err);

/** Removes the file. Absent is fine. */
CHECK_RESULT int s3tree_remove_file(struct s3tree *tree, const char *path, struct err *err);
