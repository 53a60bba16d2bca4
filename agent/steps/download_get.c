#include <errno.h>
#include <fcntl.h>

#include "aws/fetch.h"
#include "aws/fetch_file.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/digest.h"
#include "recipe/step.h"
#include "steps/download.h"

/** URL and validator. */
#define NOTE_MAX (32 * 1024)

#define LOCK_WAIT_MS (60 * 1000)
#define LOCK_PAUSE_MS 100

/* One download under way. */
struct getting {
	struct fetch_file file; /* first: on_start gets it */
	const struct download *d;
	struct step_ctx *ctx;
	const char *note;	 /* path of what is known of the partial file */
	const char *name, *what; /* "downloading NAME" */
};

const char *download_beside(const char *path, const char *suffix, struct arena *arena) {
	const char *slash = strrchr(path, '/');
	return arena_printf(arena, "%.*s/.%s%s", (int)(slash - path), path, slash + 1, suffix);
}

static const char *lock_path(const char *path, struct arena *arena) {
	return download_beside(path, ".dsagent-lock", arena);
}

/* Whether the lock that we hold is the one that the next comer sees: its last holder removed it when it was done. */
static bool is_current(int fd, const char *path, struct step_ctx *ctx) {
	struct stat own, seen;
	struct err ignored; /* absent: then it is not */
	return fstat(fd, &own) == 0 && fs_lstat(ctx->machine.root, path, &seen, &ignored) == 0 &&
	       own.st_ino == seen.st_ino && own.st_dev == seen.st_dev;
}

int download_lock(const char *path, struct step_ctx *ctx, int *ret_fd, struct err *err) {
	const char *lock = lock_path(path, ctx->arena);
	int64_t began_ms = clock_mono_ms();
	for (;;) {
		AUTO_CLOSE int fd = -1;
		pid_t holder = 0;
		int64_t waited_ms = clock_mono_ms() - began_ms;
		int r = fs_lock(ctx->machine.root, lock, &fd, &holder, err);
		if (r == 0 && is_current(fd, lock, ctx)) {
			*ret_fd = cleanup_take_fd(&fd);
			return 0;
		}
		if (r == 0) continue;
		if (err->code != ERR_BUSY || waited_ms > LOCK_WAIT_MS) return r;
		err_clear(err);
		machine_wait(&ctx->machine, waited_ms, "the download of an earlier run (pid %d)", (int)holder);
		clock_sleep_ms(LOCK_PAUSE_MS);
	}
}

void download_unlock(const char *path, struct step_ctx *ctx, int *fd) {
	struct err ignored; /* an empty hidden file is left */
	(void)!fs_remove(ctx->machine.root, lock_path(path, ctx->arena), false, &ignored);
	cleanup_close(fd);
	*fd = -1;
}

bool download_has_lock(const char *path, struct step_ctx *ctx) {
	return fs_exists(ctx->machine.root, lock_path(path, ctx->arena));
}

const char *download_name(const char *url, struct arena *arena) {
	const char *path = strstr(url, "://") ? strstr(url, "://") + 3 : url;
	char *name = arena_dup(arena, path, strcspn(path, "?#"));
	size_t len = strlen(name);
	while (len && name[len - 1] == '/') name[--len] = 0;
	const char *slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

static void on_progress(int64_t done, int64_t total, void *arg) {
	struct getting *g = arg;
	machine_progress_bytes(&g->ctx->machine, done, total > 0 ? total : 0, g->what);
}

/* What is begun belongs to this URL and version. */
static int on_start(struct fetch_file *file, int64_t size, struct err *err) {
	struct getting *g = (struct getting *)file;
	const struct fs_root *root = g->ctx->machine.root;
	struct arena *arena = g->ctx->arena;
	int64_t free_bytes;
	int r = fs_free_bytes(root, g->d->work, &free_bytes, err);
	if (r < 0) return r;
	if (size > free_bytes)
		return err_set(err, ERR_NO_SPACE, "it has %s, and the disk of %s has %s free: grow the volume",
			       str_bytes((unsigned long long)size, arena), g->d->to,
			       str_bytes((unsigned long long)free_bytes, arena));
	const char *text = arena_printf(arena, "%s\n%s\n", g->d->url, file->validator);
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	return fs_write(root, g->note, text, strlen(text), &how, err);
}

/* The validator of a partial file of this URL; false if the file is of another. */
static bool read_note(struct getting *g) {
	AUTO_BUF struct buf text = BUF_INIT(NOTE_MAX);
	AUTO_STRS struct strs lines = {0};
	struct err ignored; /* no note: nothing is known of the partial file */
	if (fs_read(g->ctx->machine.root, g->note, &text, &ignored) < 0) return false;
	str_split(buf_str(&text), "\n", g->ctx->arena, &lines);
	if (!lines.count || !str_eq(lines.items[0], g->d->url)) return false;
	/* Only a header that we write ourselves. */
	if (lines.count > 1 && str_starts(lines.items[1], "If-") && strlen(lines.items[1]) < FETCH_VALIDATOR_SIZE)
		memcpy(g->file.validator, lines.items[1], strlen(lines.items[1]) + 1);
	return true;
}

/* A partial file of our own making, or a new one: never one that somebody else has laid there. */
static int open_part(struct getting *g, struct err *err) {
	const struct fs_root *root = g->ctx->machine.root;
	struct stat st;
	bool is_known = read_note(g);
	int r = fs_open(root, g->d->work, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &g->file.fd, err);
	if (r == 0 && is_known && fstat(g->file.fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    st.st_nlink == 1)
		return 0;
	err_clear(err);
	cleanup_close(&g->file.fd);
	g->file.fd = -1;
	g->file.validator[0] = 0;
	r = fs_remove(root, g->d->work, false, err);
	if (r < 0) return r;
	return fs_open(root, g->d->work, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &g->file.fd, err);
}

static int hash_part(struct getting *g, char hex[SHA256_HEX_SIZE], struct err *err) {
	if (lseek(g->file.fd, 0, SEEK_SET) < 0) return err_set_errno(err, errno, "%s", g->d->work);
	return digest_fd_hex(g->file.fd, hex, err);
}

static bool is_wanted(const struct download *d, const char *hex) {
	return !d->sha256 || strcasecmp(d->sha256, hex) == 0;
}

/* Fetches and checks; a resumed file with a wrong hash may be put together wrongly: then once more from its start. */
static int get_checked(struct getting *g, char hex[SHA256_HEX_SIZE], struct err *err) {
	const struct download *d = g->d;
	for (bool is_again = false;; is_again = true) {
		struct stat st;
		if (fstat(g->file.fd, &st) < 0) return err_set_errno(err, errno, "%s", d->work);
		bool is_resumed = st.st_size > 0;
		int r = 0;
		if (is_resumed && d->sha256) {
			/* Killed between the last byte and the rename: it is all there. */
			r = hash_part(g, hex, err);
			if (r < 0 || is_wanted(d, hex)) return r;
		}
		r = fetch_to_file(g->ctx->fetch, &g->file, err);
		if (r < 0) return r;
		machine_note(&g->ctx->machine, g->file.size, g->file.size, "checking %s", g->name);
		r = hash_part(g, hex, err);
		if (r < 0 || is_wanted(d, hex)) return r;
		if (ftruncate(g->file.fd, 0) < 0) return err_set_errno(err, errno, "%s", d->work);
		g->file.validator[0] = 0;
		if (is_resumed && !is_again) continue;
		return err_set(err, ERR_INVALID,
			       "%s: SHA-256 is %s, not %s as the recipe says: the file behind the URL has changed or "
			       "was tampered with; nothing of it was kept",
			       g->name, hex, d->sha256);
	}
}

/* Owner before mode: chown clears bits. */
static int put_in_place(struct getting *g, struct err *err) {
	const struct exec_user *user = g->ctx->user;
	const char *work = g->d->work;
	if (user && geteuid() == 0 && fchown(g->file.fd, user->uid, user->gid) < 0)
		return err_set_errno(err, errno, "owner of %s", work);
	if (fchmod(g->file.fd, g->d->mode) < 0 || fsync(g->file.fd) < 0) return err_set_errno(err, errno, "%s", work);
	return fs_rename(g->ctx->machine.root, work, g->d->to, err);
}

int download_get(const struct download *d, struct step_ctx *ctx, char *ret_sha256, struct err *err) {
	char hex[SHA256_HEX_SIZE];
	struct getting g = {
		.file = {.url = d->url,
			 .fd = -1,
			 .has_hash = d->sha256 != NULL,
			 .bytes_max = d->bytes_max,
			 .deadline_at_ms = ctx->machine.deadline_at_ms,
			 .on_start = on_start,
			 .on_progress = on_progress},
		.d = d,
		.ctx = ctx,
		.note = arena_printf(ctx->arena, "%s.note", d->work),
		.name = download_name(d->url, ctx->arena),
	};
	g.what = arena_printf(ctx->arena, "downloading %s", g.name);
	g.file.arg = &g;
	int r = open_part(&g, err);
	if (r == 0) r = get_checked(&g, hex, err);
	bool is_worth_keeping =
		r < 0 && err->code != ERR_INVALID && err->code != ERR_LIMIT && err->code != ERR_NO_SPACE;
	if (r == 0) r = put_in_place(&g, err);
	cleanup_close(&g.file.fd);
	if (!is_worth_keeping) {
		struct err ignored; /* scratch: the next attempt sees what it is */
		(void)!fs_remove(ctx->machine.root, d->work, false, &ignored);
		(void)!fs_remove(ctx->machine.root, g.note, false, &ignored);
	}
	if (r == 0 && ret_sha256) memcpy(ret_sha256, hex, sizeof hex);
	return r;
}
