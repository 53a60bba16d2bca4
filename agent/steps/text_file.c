#include "steps/text_file.h"

#include <errno.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/step.h"
#include "steps/text_diff.h"
#include "sys/user.h"

#define PARENT_MODE 0755

int text_file_read(const struct step_ctx *ctx, const char *path, const char **ret_text, struct err *err) {
	AUTO(buf_wipe) struct buf b = BUF_INIT(TEXT_FILE_MAX);
	int r = fs_read(ctx->machine.root, path, &b, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	*ret_text = r < 0 ? NULL : arena_strdup(ctx->arena, buf_str(&b));
	if (r < 0) err_clear(err);
	return 0;
}

/* The text of a link; readlinkat with "" reads the link that the descriptor stands for. */
int text_link_read(const struct fs_root *root, const char *path, struct arena *arena, const char **ret_target,
		   struct err *err) {
	char target[4096];
	AUTO_CLOSE int fd = -1;
	int r = fs_open(root, path, O_PATH | O_NOFOLLOW, 0, &fd, err);
	if (r < 0) return r;
	ssize_t n = readlinkat(fd, "", target, sizeof target);
	if (n < 0 || (size_t)n == sizeof target) return err_set_errno(err, n < 0 ? errno : ENAMETOOLONG, "%s", path);
	*ret_target = arena_dup(arena, target, (size_t)n);
	return 0;
}

static int look(const struct text_file *file, const struct step_ctx *ctx, struct stat *ret_st, bool *ret_is_there,
		struct err *err) {
	int r = fs_lstat(ctx->machine.root, file->path, ret_st, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	*ret_is_there = r == 0;
	if (r < 0)
		err_clear(err);
	else if (!S_ISREG(ret_st->st_mode) && !S_ISLNK(ret_st->st_mode))
		return err_set(err, ERR_INVALID, "%s is there and is no file: move it away first", file->path);
	return 0;
}

/* True if the content must be written; *ret_old is what is there. */
static int compare(const struct text_file *file, struct step_ctx *ctx, const struct stat *st, bool is_there,
		   const char **ret_old, bool *ret_differs, struct err *err) {
	*ret_old = NULL;
	*ret_differs = true;
	if (!is_there || S_ISLNK(st->st_mode)) return 0;
	int r = text_file_read(ctx, file->path, ret_old, err);
	if (r < 0) return r;
	*ret_differs = file->content ? !str_eq(*ret_old, file->content) : str_is_empty(*ret_old);
	return 0;
}

int text_file_probe(const struct text_file *file, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct stat st = {0};
	bool is_there = false, differs = false;
	const char *old = NULL, *diff = NULL;
	int r = look(file, ctx, &st, &is_there, err);
	if (r == 0) r = compare(file, ctx, &st, is_there, &old, &differs, err);
	if (r < 0) return r;
	if (differs) {
		const char *new = file->content ? file->content : "";
		if (!file->is_secret)
			diff = text_diff(file->path, old, old ? strlen(old) : 0, new, strlen(new), ctx->arena);
		changes_add(changes, ctx->arena, diff, "write %s", file->path);
		return 0;
	}
	if ((st.st_mode & 07777) != file->mode)
		changes_add(changes, ctx->arena, NULL, "change the mode of %s from %04o to %04o", file->path,
			    (unsigned)(st.st_mode & 07777), (unsigned)file->mode);
	bool is_other = (file->uid != (uid_t)-1 && st.st_uid != file->uid) ||
			(file->gid != (gid_t)-1 && st.st_gid != file->gid);
	if (is_other)
		changes_add(changes, ctx->arena, NULL, "give %s to %s", file->path,
			    user_name(ctx->machine.root, file->uid, ctx->arena));
	return 0;
}

static int make_parent(const struct text_file *file, struct step_ctx *ctx, struct err *err) {
	const char *slash = strrchr(file->path, '/');
	if (slash == file->path) return 0;
	const char *parent = arena_dup(ctx->arena, file->path, (size_t)(slash - file->path));
	return fs_mkdirs(ctx->machine.root, parent, PARENT_MODE, (uid_t)-1, (gid_t)-1, err);
}

int text_file_apply(const struct text_file *file, struct step_ctx *ctx, bool *ret_has_written, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	struct stat st = {0};
	bool is_there = false, differs = false;
	const char *old = NULL;
	int r = look(file, ctx, &st, &is_there, err);
	if (r == 0) r = compare(file, ctx, &st, is_there, &old, &differs, err);
	if (r == 0 && ret_has_written) *ret_has_written = differs;
	if (r == 0 && differs) r = make_parent(file, ctx, err);
	if (r < 0) return r;
	if (differs) {
		struct fs_write how = {.mode = file->mode, .uid = file->uid, .gid = file->gid};
		const char *content = file->content ? file->content : "";
		return fs_write(root, file->path, content, strlen(content), &how, err);
	}
	if (file->uid != (uid_t)-1 || file->gid != (gid_t)-1) r = fs_chown(root, file->path, file->uid, file->gid, err);
	return r < 0 ? r : fs_chmod(root, file->path, file->mode, err);
}
