/*
 * A swap file: made beside its name, renamed when it is whole, so that an interrupted run leaves none of half its size.
 * mkswap(8) writes its signature into the last ten bytes of the first page.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "recipe/step.h"
#include "steps/system.h"
#include "steps/text_lines.h"
#include "sys/unit.h"

#define SWAP_MODE 0600
#define TOOL_MS (5 * 60 * 1000)
#define PROC_MAX (64 * 1024)
/** Left free beside the swap file: a full root disk stops more than a missing swap file. */
#define RESERVE_BYTES (512LL * 1024 * 1024)
#define ZERO_BYTES (1024 * 1024)
static const char signature[] = "SWAPSPACE2";

struct swap {
	struct stat st;
	bool is_there, is_swap, is_on;
};

static bool is_listed(const struct step_ctx *ctx, const char *path) {
	AUTO_BUF struct buf b = BUF_INIT(PROC_MAX);
	AUTO_STRS struct strs lines = {0};
	struct err ignored = {0};
	if (fs_read(ctx->machine.root, "/proc/swaps", &b, &ignored) < 0) return false;
	str_split(buf_str(&b), "\n", ctx->arena, &lines);
	for (size_t i = 0; i < lines.count; i++)
		if (str_eq(text_key_word(lines.items[i], ctx->arena), path)) return true;
	return false;
}

static int has_signature(const struct step_ctx *ctx, const char *path, bool *ret_is_swap, struct err *err) {
	char page_end[sizeof signature - 1];
	AUTO_CLOSE int fd = -1;
	long page = sysconf(_SC_PAGESIZE);
	int r = fs_open(ctx->machine.root, path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
	if (r < 0) return r;
	ssize_t n = pread(fd, page_end, sizeof page_end, page - (long)sizeof page_end);
	*ret_is_swap = n == (ssize_t)sizeof page_end && !memcmp(page_end, signature, sizeof page_end);
	return 0;
}

static int swap_load(const struct system_params *p, struct step_ctx *ctx, struct swap *s, struct err *err) {
	const char *path = p->swap.path;
	*s = (struct swap){.is_on = is_listed(ctx, path)};
	int r = fs_lstat(ctx->machine.root, path, &s->st, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	s->is_there = r == 0;
	err_clear(err);
	if (!s->is_there) return 0;
	r = S_ISREG(s->st.st_mode) ? has_signature(ctx, path, &s->is_swap, err) : 0;
	if (r == 0 && !s->is_swap)
		return err_set(err, ERR_INVALID, "%s is there and is no swap file: give another path, or move it away",
			       path);
	return r;
}

static struct text_lines fstab(void) { return (struct text_lines){.path = "/etc/fstab", .key_of = text_key_word}; }

static void fstab_line(const struct system_params *p, struct step_ctx *ctx, struct strs *lines) {
	strs_add(lines, arena_printf(ctx->arena, "%s none swap sw,nofail 0 0", p->swap.path));
}

static bool has_size(const struct swap *s, const struct system_params *p) {
	return s->is_there && s->st.st_size == p->swap.size_bytes;
}

int system_swap_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = fstab();
	struct swap s;
	const char *size = str_bytes((unsigned long long)p->swap.size_bytes, ctx->arena), *path = p->swap.path;
	int r = swap_load(p, ctx, &s, err);
	if (r < 0) return r;
	if (!s.is_there)
		changes_add(changes, ctx->arena, NULL, "make swap file %s of %s", path, size);
	else if (!has_size(&s, p))
		changes_add(changes, ctx->arena, NULL, "make swap file %s anew: %s instead of %s", path, size,
			    str_bytes((unsigned long long)s.st.st_size, ctx->arena));
	else if ((s.st.st_mode & 07777) != SWAP_MODE)
		changes_add(changes, ctx->arena, NULL, "change the mode of %s to %04o: it holds memory", path,
			    SWAP_MODE);
	if (!s.is_on || !has_size(&s, p)) changes_add(changes, ctx->arena, NULL, "swap on %s", path);
	fstab_line(p, ctx, &lines);
	return text_lines_probe(&file, &lines, ctx, changes, err);
}

static int tool(struct step_ctx *ctx, const char *name, const char *path, struct err *err) {
	const char *argv[] = {name, path, NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = TOOL_MS};
	if (!fs_root_is_host(ctx->machine.root) && !ctx->machine.root->is_system)
		return err_set(err, ERR_UNSUPPORTED, "%s is no system of its own: no swap can be made there",
			       ctx->machine.root->path);
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

static int require_space(const struct system_params *p, struct step_ctx *ctx, int64_t freed, struct err *err) {
	int64_t free_bytes, wanted = p->swap.size_bytes + RESERVE_BYTES - freed;
	int r = fs_free_bytes(ctx->machine.root, p->swap.path, &free_bytes, err);
	if (r < 0 || free_bytes >= wanted) return r;
	return err_set(err, ERR_NO_SPACE,
		       "%s of swap at %s and %s beside it are needed, %s are free: use a larger volume or less swap",
		       str_bytes((unsigned long long)p->swap.size_bytes, ctx->arena), p->swap.path,
		       str_bytes((unsigned long long)RESERVE_BYTES, ctx->arena),
		       str_bytes((unsigned long long)free_bytes, ctx->arena));
}

/* Where fallocate(2) is not known, zeros: a swap file must have no holes. */
static int fill(int fd, int64_t size, struct step_ctx *ctx) {
	AUTO_FREE char *zeros = mem_zalloc(ZERO_BYTES);
	if (fallocate(fd, 0, 0, size) == 0) return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
	for (int64_t done = 0; done < size;) {
		ssize_t n = write(fd, zeros, size - done < ZERO_BYTES ? (size_t)(size - done) : ZERO_BYTES);
		if (n < 0 && errno != EINTR) return errno;
		if (n > 0) done += n;
		machine_progress_bytes(&ctx->machine, done, size, "writing the swap file");
	}
	return 0;
}

static int make_file(const struct system_params *p, struct step_ctx *ctx, const char *part, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	AUTO_CLOSE int fd = -1;
	int r = fs_remove(root, part, false, err);
	if (r == 0) r = fs_open(root, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, SWAP_MODE, &fd, err);
	if (r < 0) return r;
	int errnum = fill(fd, p->swap.size_bytes, ctx);
	if (errnum == 0 && fsync(fd) < 0) errnum = errno;
	if (errnum == 0) r = tool(ctx, "mkswap", part, err);
	if (errnum == 0 && r == 0) r = fs_rename(root, part, p->swap.path, err);
	if (errnum == 0 && r == 0) return 0;
	struct err ignored = {0};
	(void)!fs_remove(root, part, false, &ignored); /* the first failure is the one to tell */
	return errnum ? err_set_errno(err, errnum, "cannot make the swap file %s", p->swap.path) : r;
}

int system_swap_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = fstab();
	struct swap s;
	bool has_written = false;
	const char *part = arena_printf(ctx->arena, "%s.dsagent-part", p->swap.path);
	int r = swap_load(p, ctx, &s, err);
	bool must_make = !has_size(&s, p);
	if (r == 0 && must_make) r = require_space(p, ctx, s.is_there ? s.st.st_size : 0, err);
	if (r == 0 && must_make && s.is_on) r = tool(ctx, "swapoff", p->swap.path, err);
	if (r == 0 && must_make && s.is_there) r = fs_remove(ctx->machine.root, p->swap.path, false, err);
	if (r == 0 && must_make) r = make_file(p, ctx, part, err);
	if (r == 0) r = fs_chmod(ctx->machine.root, p->swap.path, SWAP_MODE, err);
	if (r == 0 && (must_make || !s.is_on)) r = tool(ctx, "swapon", p->swap.path, err);
	fstab_line(p, ctx, &lines);
	if (r == 0) r = text_lines_apply(&file, &lines, ctx, &has_written, err);
	return r == 0 && has_written ? unit_reload(&ctx->machine, err) : r;
}
