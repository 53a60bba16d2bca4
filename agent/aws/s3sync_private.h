#pragma once
/*
 * What the s3sync_*.c files share. s3sync.c opens, loops and closes; _join merges the three streams and decides; _copy
 * does the transfers; _clash keeps names apart that cannot be together; _delete has what only the destination has.
 */
#include <stdio.h>

#include "aws/s3.h"
#include "aws/s3index.h"
#include "aws/s3source.h"
#include "aws/s3sync.h"
#include "aws/s3tree.h"
#include "aws/s3walk.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/fifo.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/digest.h"

struct s3sum;

/** Files known to need copying that wait for a place: the join goes no further ahead. */
#define S3SYNC_QUEUE_MAX 8192
/** Files whose place is taken by something that is to be deleted first. */
#define S3SYNC_DEFERRED_MAX 10000

/** One file on its way. */
struct s3item {
	struct s3sync *sync;
	struct s3item *next;
	struct s3dir *dir; /* while it is under way */
	int64_t size, modified_at_ms;
	bool is_new, is_deferred; /* nothing was in its place; it waited for the deletions */
	const char *etag;	  /* within text, like path */
	char path[];
};

/** A list of items, first in, first out. */
struct s3queue {
	FIFO(struct s3item) items;
	size_t count;
};

/** Keys that begin the key at hand, each the beginning of the next: candidates for "a" beside "a/b". */
struct s3stems {
	char key[S3_KEY_MAX + 1];
	uint16_t lens[S3_KEY_MAX + 1];
	size_t depth;
};

/** What only the destination has, until it is known to be all. */
struct s3extras {
	FILE *file; /* paths, each with its NUL; NULL while there is none */
	int64_t count;
	int errnum;
};

struct s3sync {
	const struct s3sync_options *o;
	struct s3sync_counts counts;
	int folder_fd; /* -1: not there (yet) */
	struct s3tree *tree;
	struct s3walk *walk; /* NULL: nothing to walk */
	struct s3source *source;

	int state_fd, lock_fd; /* -1: none */
	char *index_name, *index_owner;
	struct s3index *index;
	struct s3index_writer *writer;
	bool index_differs;

	struct s3walk_entry local; /* the heads of the streams */
	struct s3index_entry entry;
	bool has_local, has_entry, is_joined;
	struct s3sum *sum; /* a file that is being compared by its content */

	struct s3queue queue, deferred;
	size_t active;
	struct s3stems stems;
	struct strs clashes; /* objects whose place a folder has */
	struct arena arena;  /* their names */
	struct s3extras extras;
	int64_t targets; /* files that the destination has, after filters */
	int64_t sources; /* files that the source has, after filters */
	struct digest *digest;

	bool is_stopping, has_listing_failed;
	struct err fatal; /* why it ends early */
	int64_t told_at_ms, base_bytes, base_requests;
	struct timespec started_at;
};

/* s3sync.c */
void s3sync_tell(struct s3sync *s, enum s3sync_verb verb, const char *path, int64_t size, const struct err *err);
/** Counts a failure and tells it. */
void s3sync_fail(struct s3sync *s, enum s3sync_verb verb, const char *path, const struct err *err);
/** Ends all that is under way; the first reason counts. */
void s3sync_stop(struct s3sync *s, const struct err *err);
/** One turn of the loop, progress told. */
CHECK_RESULT int s3sync_turn(struct s3sync *s, int64_t timeout_ms, struct err *err);
/** The folder, made if need be. */
CHECK_RESULT int s3sync_need_folder(struct s3sync *s, struct err *err);
enum s3sync_verb s3sync_copy_verb(const struct s3sync *s);
/** prefix + path, in fresh memory. */
char *s3sync_key(const struct s3sync *s, const char *path);

/* s3sync_state.c: index and lock */
CHECK_RESULT int s3sync_state_open(struct s3sync *s, struct err *err);
/** Writes the index; what was not looked at (cancelled, failed) stays as it was. */
void s3sync_state_close(struct s3sync *s);
void s3sync_remember(struct s3sync *s, const struct s3index_entry *entry);
void s3sync_keep(struct s3sync *s, const struct s3index_entry *entry, const struct s3index_entry *before);

/* s3sync_join.c */
void s3sync_join_begin(struct s3sync *s);
/** Goes on until a stream has nothing to give or there is enough to do. True: it could go on at once. */
bool s3sync_join(struct s3sync *s);

/* s3sync_copy.c */
struct s3item *s3item_new(struct s3sync *s, const char *path, int64_t size, int64_t modified_at_ms, const char *etag);
void s3queue_push(struct s3queue *queue, struct s3item *item);
struct s3item *s3queue_pop(struct s3queue *queue);
void s3queue_clear(struct s3queue *queue);
/** Begins transfers while there is room. */
void s3sync_copy(struct s3sync *s);

/* s3sync_clash.c */
/** Looks at the next key of the listing: is one before it a folder of it? */
void s3stems_next(struct s3sync *s, const char *key);
bool s3sync_is_clash(const struct s3sync *s, const char *path);
/** Frees the place of a folder on the way to path that an object was put into. True: try again. */
bool s3sync_clear_way(struct s3sync *s, const char *path);

/* s3sync_delete.c */
void s3extras_add(struct s3sync *s, const char *path);
/** Deletes them, if all that must hold for that does. */
void s3sync_delete(struct s3sync *s);
/** 0, or ERR_DENIED with what to say: the guard. Pure. */
CHECK_RESULT int s3sync_guard(int64_t extras, int64_t targets, int64_t sources, int64_t max_delete, struct err *err);
