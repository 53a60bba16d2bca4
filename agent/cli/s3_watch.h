#pragma once
/*
 * A transfer that somebody watches: what `sync` and `cp` do with its events, and SIGINT and SIGTERM, which end it.
 */
#include <stdbool.h>

#include "base/cleanup.h"
#include "cli/s3_show.h"

struct err;
struct s3sync_options;

struct s3_watch {
	struct s3_show show;
	int signal_fd;
	int signal; /* that came; 0: none yet */
};
#define S3_WATCH_INIT ((struct s3_watch){.signal_fd = -1})

/** Keeps SIGINT and SIGTERM for s3_watch_is_cancelled. */
CHECK_RESULT int s3_watch_open(struct s3_watch *w, struct err *err);
void s3_watch_close(struct s3_watch *w);

/** True once a signal has come; arg is the struct s3_watch. */
bool s3_watch_is_cancelled(void *arg);

/** Shows what a sync tells and ends it by a signal; w outlives the sync. */
void s3_watch_hook(struct s3_watch *w, struct s3sync_options *options);
