#include "aws/s3sync.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "aws/s3_file.h"
#include "aws/s3key.h"
#include "aws/s3sum.h"
#include "aws/s3sync_private.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

#define PROGRESS_MS 200
/* Longest wait for the network between two looks at is_cancelled. */
#define TURN_MS 200
/* An unfinished file whose get may still go on with it; older ones are of objects that are no more. */
#define UNFINISHED_S (7 * 24 * 60 * 60)

enum s3sync_verb s3sync_copy_verb(const struct s3sync *s) {
	return s->o->way == S3WAY_DOWN ? S3SYNC_DOWNLOAD : S3SYNC_UPLOAD;
}

char *s3sync_key(const struct s3sync *s, const char *path) { return mem_printf("%s%s", s->o->prefix, path); }

void s3sync_tell(struct s3sync *s, enum s3sync_verb verb, const char *path, int64_t size, const struct err *err) {
	struct s3sync_event event = {verb, path, size, err};
	if (s->o->on_event) s->o->on_event(&event, s->o->arg);
}

void s3sync_fail(struct s3sync *s, enum s3sync_verb verb, const char *path, const struct err *err) {
	s->counts.failed++;
	s3sync_tell(s, verb, path, -1, err);
}

void s3sync_stop(struct s3sync *s, const struct err *err) {
	if (s->is_stopping) return;
	s->is_stopping = true;
	s->fatal = *err;
	s3_cancel(s->o->s3);
}

static void progress(struct s3sync *s, bool is_last) {
	int64_t now = clock_mono_ms();
	const struct s3_stats *stats = s3_stats(s->o->s3);
	s->counts.done_bytes = stats->done_bytes - s->base_bytes;
	s->counts.requests = stats->requests - s->base_requests;
	if (!s->o->on_progress || (!is_last && now - s->told_at_ms < PROGRESS_MS)) return;
	s->told_at_ms = now;
	s->o->on_progress(&s->counts, s->o->arg);
}

int s3sync_turn(struct s3sync *s, int64_t timeout_ms, struct err *err) {
	if (!s->is_stopping && s->o->is_cancelled && s->o->is_cancelled(s->o->arg)) {
		struct err why = {0};
		(void)err_set(&why, ERR_CANCELLED, "told to stop");
		s3sync_stop(s, &why);
	}
	int rc = s3_run(s->o->s3, timeout_ms, err);
	progress(s, false);
	return rc;
}

/* Opens the folder if it is there. ERR_NOT_FOUND is for the caller to judge. */
static int open_folder(struct s3sync *s, struct err *err) {
	struct s3tree_how how = {
		.follows_links = s->o->way == S3WAY_UP && !s->o->skips_links,
		.mode = s->o->folder_mode,
		.uid = s->o->uid,
		.gid = s->o->gid,
	};
	int rc = fs_open(s->o->root, s->o->folder, O_RDONLY | O_DIRECTORY, 0, &s->folder_fd, err);
	if (!rc) s->tree = s3tree_new(s->folder_fd, &how);
	return rc;
}

int s3sync_need_folder(struct s3sync *s, struct err *err) {
	if (s->tree) return 0;
	int rc = fs_mkdirs(s->o->root, s->o->folder, s->o->folder_mode, s->o->uid, s->o->gid, err);
	return rc ? rc : open_folder(s, err);
}

static void on_problem(const char *path, const struct err *err, void *arg) {
	struct s3sync *s = arg;
	s3sync_fail(s, s3sync_copy_verb(s), path, err);
}

/* Files' times come from the kernel's coarse clock, as s->started_at does: a run may be killed and this one begin
 * within one tick of it. */
static bool is_older(const struct stat *st, const struct timespec *than) {
	if (st->st_ctim.tv_sec != than->tv_sec) return st->st_ctim.tv_sec < than->tv_sec;
	return st->st_ctim.tv_nsec <= than->tv_nsec;
}

/* What a run left that was killed. A get goes on with a file that has its journal. */
static void on_temporary(int dir_fd, const char *name, void *arg) {
	const struct s3sync *s = arg;
	struct stat st;
	char *journal AUTO_FREE = mem_printf("%s%s", name, S3_JOURNAL_SUFFIX);
	if (s->o->is_dry || s->lock_fd < 0 || s->o->way == S3WAY_UP) return;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return;
	bool is_resumable = str_ends(name, S3_JOURNAL_SUFFIX) || faccessat(dir_fd, journal, F_OK, 0) == 0;
	bool is_stale = is_resumable ? st.st_mtim.tv_sec < s->started_at.tv_sec - UNFINISHED_S
				     : is_older(&st, &s->started_at) && !s3_has_made(s->o->s3, name);
	if (is_stale) (void)s3_file_tidy(dir_fd, name); /* another sync or cp may be at it */
}

static int open_walk(struct s3sync *s, struct err *err) {
	struct s3walk_options options = {
		.root_fd = s->folder_fd,
		.follows_links = s->o->way == S3WAY_UP && !s->o->skips_links,
		.filter = &s->o->filter,
		.on_problem = on_problem,
		.on_temporary = on_temporary,
		.arg = s,
	};
	int rc = open_folder(s, err);
	if (rc == -ERR_NOT_FOUND && s->o->way == S3WAY_DOWN) {
		err_clear(err);
		return 0;
	}
	if (rc) return err_wrap(err, s->o->way == S3WAY_UP ? "the source" : "the destination");
	options.root_fd = s->folder_fd;
	/* A download that compares nothing has no use for what is there. */
	if (s->o->way == S3WAY_DOWN && s->o->compare == S3COMPARE_NOTHING && !s->o->deletes) return 0;
	return s3walk_open(&options, &s->walk, err);
}

static int loop(struct s3sync *s, struct err *err) {
	for (;;) {
		bool goes_on = s3sync_join(s);
		s3sync_copy(s);
		bool is_idle = s3_active(s->o->s3) == 0 && !s->queue.count;
		if (is_idle && (s->is_joined || s->is_stopping)) return 0;
		if (s->is_stopping && s3_active(s->o->s3) == 0) return 0;
		int rc = s3sync_turn(s, goes_on ? 0 : TURN_MS, err);
		if (rc) return rc;
	}
}

/* What waited for deletions. */
static int copy_deferred(struct s3sync *s, struct err *err) {
	for (struct s3item *item; (item = s3queue_pop(&s->deferred));) s3queue_push(&s->queue, item);
	return s->queue.count ? loop(s, err) : 0;
}

static int work(struct s3sync *s, struct err *err) {
	int rc = loop(s, err);
	if (!rc && !s->is_stopping) s3sync_delete(s);
	if (!rc && !s->is_stopping) rc = copy_deferred(s, err);
	/* Once for all files: a sync each would take longer than all the rest. */
	if (!rc && s->o->way == S3WAY_DOWN && s->counts.copied && !s->o->is_dry && syncfs(s->folder_fd) < 0)
		rc = err_set_errno(err, errno, "cannot sync %s to the disk", s->o->folder);
	if (!rc && s->is_stopping) {
		*err = s->fatal;
		rc = -(int)err->code;
	}
	return rc;
}

static void drain(struct s3sync *s) {
	struct err ignored = {0};
	if (s3_active(s->o->s3)) s3_cancel(s->o->s3);
	while (s3_active(s->o->s3))
		if (s3_run(s->o->s3, TURN_MS, &ignored)) return;
}

static void close_all(struct s3sync *s) {
	s3sync_state_close(s);
	s3queue_clear(&s->queue);
	s3queue_clear(&s->deferred);
	s3sum_free(s->sum);
	s3source_free(s->source);
	s3walk_free(s->walk);
	s3tree_free(s->tree);
	cleanup_close(&s->folder_fd);
	if (s->extras.file) (void)fclose(s->extras.file); /* scratch */
	digest_end(s->digest, s->counts.digest);
	strs_clear(&s->clashes);
	arena_clear(&s->arena);
}

int s3sync_run(const struct s3sync_options *options, struct s3sync_counts *ret_counts, struct err *err) {
	struct s3sync *s = mem_zalloc(sizeof *s);
	s->o = options;
	s->folder_fd = s->state_fd = s->lock_fd = -1;
	s->digest = digest_new();
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &s->started_at); /* never the pinned clock: see is_older */
	s->base_bytes = s3_stats(options->s3)->done_bytes;
	s->base_requests = s3_stats(options->s3)->requests;
	int rc = s3sync_state_open(s, err);
	if (!rc) rc = open_walk(s, err);
	if (!rc) {
		s->source = s3source_open(options->s3, options->prefix, s->index);
		s3sync_join_begin(s);
		rc = work(s, err);
		drain(s);
		progress(s, true);
	}
	close_all(s);
	*ret_counts = s->counts;
	free(s);
	return rc;
}
