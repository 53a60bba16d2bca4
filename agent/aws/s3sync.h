#pragma once
/*
 * A local folder and an S3 prefix made equal, either way: listing, tree and index are merged in key order, what differs
 * is transferred meanwhile. Memory does not grow with the number of files (but with the largest directory's names).
 * Deleting comes last, and only when both sides were listed whole. What went wrong is told one by one and counted; the
 * rest goes on. A disk that is full ends it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aws/s3decide.h"
#include "aws/s3filter.h"
#include "base/cleanup.h"

struct err;
struct fs_root;
struct s3;
struct s3_object;

enum s3sync_verb { S3SYNC_DOWNLOAD, S3SYNC_UPLOAD, S3SYNC_DELETE, S3SYNC_FOLDER, S3SYNC_OWNER, S3SYNC_NOTICE };

/** Something that was done, would be (dry run), or failed (err). */
struct s3sync_event {
	enum s3sync_verb verb;
	const char *path;      /* below prefix and folder; NULL: the sync as a whole */
	int64_t size;	       /* -1: not known */
	const struct err *err; /* NULL: done */
};

struct s3sync_counts {
	int64_t copied, copied_bytes;	/* done, or in a dry run: to be done */
	int64_t planned, planned_bytes; /* known so far to need copying */
	int64_t kept, deleted, folders; /* in place; deleted; folders made */
	int64_t owned;			/* files that got another owner or mode */
	int64_t failed;			/* each was an event with err */
	int64_t done_bytes;		/* of planned_bytes, as progress shows them */
	int64_t requests;		/* of all kinds */
	bool is_listed;			/* planned is all there is */
	unsigned char digest[32];	/* of path, size and ETag of all objects of a whole listing (down) */
	int64_t objects, objects_bytes; /* in the listing, after filters */
};

struct s3sync_options {
	enum s3way way;
	enum s3compare compare;
	struct s3 *s3;		     /* borrowed; nothing else is active on it */
	const char *bucket, *prefix; /* prefix: "" or ending in '/' */
	const struct fs_root *root;
	const char *folder;    /* absolute below root */
	const char *state_dir; /* below root: where indexes are kept; NULL: none is read or written */
	struct s3filter filter;
	bool deletes, is_dry;
	int64_t max_delete;	       /* -1: not more than 100 files, or half of them */
	bool skips_links;	       /* up: --no-follow-symlinks */
	bool has_mode, has_owner;      /* down: files that are there get them too */
	mode_t file_mode, folder_mode; /* down */
	uid_t uid;		       /* (uid_t)-1: ours */
	gid_t gid;
	bool (*is_cancelled)(void *arg); /* may be NULL */
	void (*on_event)(const struct s3sync_event *event, void *arg);
	/** Each object of the listing, after filters, in order; may be NULL. */
	void (*on_object)(const struct s3_object *object, void *arg);
	/** Now and then, at most every 200 ms. May be NULL. */
	void (*on_progress)(const struct s3sync_counts *counts, void *arg);
	void *arg;
};

/**
 * 0 when it came to its end, whatever failed on the way (counts). Errors: the source is absent or cannot be listed, the
 * destination cannot be made, ERR_BUSY when another sync of the two is at work, ERR_CANCELLED, ERR_NO_SPACE.
 */
CHECK_RESULT int s3sync_run(const struct s3sync_options *options, struct s3sync_counts *ret_counts, struct err *err);
