#include <fcntl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/text_diff.h"
#include "steps/text_file.h"
#include "sys/user.h"

/** Most bytes of a file that is compared or written: a settings file, not data (that is `download` and `sync`). */
#define FILE_BYTES_MAX (32 * 1024 * 1024)
#define FILE_MODE_NEW 0644
#define DIRECTORY_MODE_NEW 0755
#define RESTORECON_MS (60 * 1000)

enum file_state { FILE_PLAIN, FILE_DIRECTORY, FILE_LINK, FILE_ABSENT };

struct file_params {
	const char *path, *content, *from, *owner, *group, *target;
	int state;
	bool has_state, has_content, is_recursive;
	mode_t mode;
};

static const char *const file_states[] = {"file", "directory", "link", "absent", NULL};

#define FILE_FIELD(n, k, member, text)                                                                                 \
	.name = n, .kind = k, .offset = offsetof(struct file_params, member), .help = text

static const struct field file_fields[] = {
	{FILE_FIELD("path", FIELD_TEXT, path, "absolute path"), .is_required = true},
	{FILE_FIELD("state", FIELD_CHOICE, state, "what is to be there; default: file, or link when `target` is given"),
	 .choices = file_states, .presence = offsetof(struct file_params, has_state)},
	{FILE_FIELD("content", FIELD_TEXT, content, "the whole content of the file"),
	 .presence = offsetof(struct file_params, has_content)},
	{FILE_FIELD("from", FIELD_TEXT, from, "instead of content: path of a file on this machine to copy")},
	{FILE_FIELD("mode", FIELD_MODE, mode,
		    "permissions, such as 0644; default: those it has, else 0644 (directories 0755)")},
	{FILE_FIELD("owner", FIELD_TEXT, owner, "user name or number; default: run_as, else as it is")},
	{FILE_FIELD("group", FIELD_TEXT, group, "group name or number; default: run_as's, else as it is")},
	{FILE_FIELD("target", FIELD_TEXT, target, "where the link points")},
	{FILE_FIELD("recursive", FIELD_BOOL, is_recursive,
		    "with `state: absent`: remove a directory that is not empty")},
	{0},
};

static enum file_state wanted_state(const struct file_params *p) {
	if (p->has_state) return (enum file_state)p->state;
	return p->target ? FILE_LINK : FILE_PLAIN;
}

static void file_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct file_params *p = params;
	enum file_state state = wanted_state(p);
	if (p->path && p->path[0] != '/' && !str_starts(p->path, "${"))
		diag_add(diags, node, "path '%s' is not absolute", p->path);
	if (p->path && p->path[0] == '/' && !p->path[strspn(p->path, "/.")])
		diag_add(diags, node, "path '%s' is the root directory itself", p->path);
	if (p->has_content && p->from) diag_add(diags, node, "content and from exclude each other");
	if (state != FILE_PLAIN && (p->has_content || p->from))
		diag_add(diags, node, "content and from belong to `state: file`, not to `state: %s`",
			 file_states[state]);
	if (state == FILE_LINK && !p->target) diag_add(diags, node, "a link needs its target");
	if (state != FILE_LINK && p->target)
		diag_add(diags, node, "target belongs to `state: link`, not to `state: %s`", file_states[state]);
	if (state == FILE_LINK && p->mode != FIELD_MODE_UNSET) diag_add(diags, node, "a link has no mode of its own");
	if (state != FILE_ABSENT && p->is_recursive) diag_add(diags, node, "recursive belongs to `state: absent` only");
}

static void file_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct file_params *p = params;
	strs_add_once(names, arena_printf(arena, "path:%s", p->path));
}

/* What is there and what is wanted. */
struct file {
	const struct file_params *p;
	struct stat st;
	bool is_there;
	struct buf old_data, new_data;
	uid_t uid; /* (uid_t)-1: leave */
	gid_t gid;
	mode_t mode; /* FIELD_MODE_UNSET: leave */
};

static void file_clear(struct file *f) {
	buf_wipe(&f->old_data);
	buf_wipe(&f->new_data);
}

static int find_owner(const struct file_params *p, struct step_ctx *ctx, struct file *f, struct err *err) {
	f->uid = (uid_t)-1;
	f->gid = (gid_t)-1;
	if (ctx->user) {
		f->uid = ctx->user->uid;
		f->gid = ctx->user->gid;
	}
	if (p->owner) {
		struct exec_user user;
		int r = user_find(ctx->machine.root, p->owner, ctx->arena, &user, err);
		if (r < 0) return err_wrap(err, "owner of %s", p->path);
		f->uid = user.uid;
	}
	if (p->group) {
		int r = user_group(ctx->machine.root, p->group, &f->gid, err);
		if (r < 0) return err_wrap(err, "group of %s", p->path);
	}
	return 0;
}

static int read_wanted(const struct file_params *p, const struct fs_root *root, struct file *f, struct err *err) {
	if (p->content) {
		buf_adds(&f->new_data, p->content);
		return buf_check(&f->new_data, "content", err);
	}
	if (!p->from) return 0;
	int r = fs_read(root, p->from, &f->new_data, err);
	return r < 0 ? err_wrap(err, "from") : 0;
}

static int file_load(const struct file_params *p, struct step_ctx *ctx, struct file *f, struct err *err) {
	*f = (struct file){.p = p, .old_data = BUF_INIT(FILE_BYTES_MAX), .new_data = BUF_INIT(FILE_BYTES_MAX)};
	f->mode = p->mode;
	int r = fs_lstat(ctx->machine.root, p->path, &f->st, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	f->is_there = r == 0;
	err_clear(err);
	return find_owner(p, ctx, f, err);
}

static const char *kind_of(mode_t mode) {
	if (S_ISREG(mode)) return "file";
	if (S_ISDIR(mode)) return "directory";
	if (S_ISLNK(mode)) return "link";
	return "special file";
}

/* Owner and mode of what is there against what is wanted. */
static void add_attributes(const struct file *f, struct step_ctx *ctx, struct changes *changes) {
	const char *path = f->p->path;
	const struct fs_root *root = ctx->machine.root;
	mode_t mode = f->st.st_mode & 07777;
	if (f->mode != FIELD_MODE_UNSET && f->mode != mode && !S_ISLNK(f->st.st_mode))
		changes_add(changes, ctx->arena, NULL, "change the mode of %s from %04o to %04o", path, (unsigned)mode,
			    (unsigned)f->mode);
	if (f->uid != (uid_t)-1 && f->uid != f->st.st_uid)
		changes_add(changes, ctx->arena, NULL, "change the owner of %s from %s to %s", path,
			    user_name(root, f->st.st_uid, ctx->arena), user_name(root, f->uid, ctx->arena));
	if (f->gid != (gid_t)-1 && f->gid != f->st.st_gid)
		changes_add(changes, ctx->arena, NULL, "change the group of %s from %s to %s", path,
			    user_group_name(root, f->st.st_gid, ctx->arena), user_group_name(root, f->gid, ctx->arena));
}

static int refuse_kind(const struct file *f, const char *wanted, struct err *err) {
	return err_set(err, ERR_INVALID, "%s is a %s, the recipe wants a %s there: move it away or remove it first",
		       f->p->path, kind_of(f->st.st_mode), wanted);
}

static int probe_plain(struct file *f, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct file_params *p = f->p;
	int r = read_wanted(p, ctx->machine.root, f, err);
	if (r < 0) return r;
	if (f->is_there && !S_ISREG(f->st.st_mode) && !S_ISLNK(f->st.st_mode)) return refuse_kind(f, "file", err);
	bool is_content_given = p->has_content || p->from;
	if (!f->is_there || S_ISLNK(f->st.st_mode)) {
		const char *diff = text_diff(p->path, NULL, 0, buf_str(&f->new_data), f->new_data.len, ctx->arena);
		changes_add(changes, ctx->arena, f->new_data.len ? diff : NULL, "%s %s",
			    f->is_there ? "replace the link by a file:" : "write", p->path);
		return 0;
	}
	if (is_content_given && f->st.st_size > FILE_BYTES_MAX) {
		changes_add(changes, ctx->arena, NULL, "write %s (it has %lld bytes now)", p->path,
			    (long long)f->st.st_size);
	} else if (is_content_given) {
		r = fs_read(ctx->machine.root, p->path, &f->old_data, err);
		if (r < 0) return r;
		const char *diff = text_diff(p->path, buf_str(&f->old_data), f->old_data.len, buf_str(&f->new_data),
					     f->new_data.len, ctx->arena);
		if (diff[0]) changes_add(changes, ctx->arena, diff, "write %s", p->path);
	}
	add_attributes(f, ctx, changes);
	return 0;
}

static int probe_directory(struct file *f, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const char *path = f->p->path;
	if (!f->is_there) {
		changes_add(changes, ctx->arena, NULL, "make directory %s", path);
		return 0;
	}
	if (S_ISLNK(f->st.st_mode)) {
		AUTO_CLOSE int fd = -1;
		int r = fs_open(ctx->machine.root, path, O_PATH | O_DIRECTORY, 0, &fd, err);
		if (r < 0 || fstat(fd, &f->st) < 0) return refuse_kind(f, "directory", err);
		if ((f->mode != FIELD_MODE_UNSET && f->mode != (f->st.st_mode & 07777)) || f->p->owner || f->p->group)
			return err_set(
				err, ERR_INVALID,
				"%s is a link to a directory: name the directory itself to set its owner or mode",
				path);
		return 0;
	}
	if (!S_ISDIR(f->st.st_mode)) return refuse_kind(f, "directory", err);
	add_attributes(f, ctx, changes);
	return 0;
}

static int probe_link(struct file *f, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const char *path = f->p->path, *target = NULL;
	if (f->is_there && !S_ISLNK(f->st.st_mode)) return refuse_kind(f, "link", err);
	if (!f->is_there) {
		changes_add(changes, ctx->arena, NULL, "link %s to %s", path, f->p->target);
		return 0;
	}
	int r = text_link_read(ctx->machine.root, path, ctx->arena, &target, err);
	if (r < 0) return r;
	if (!str_eq(target, f->p->target))
		changes_add(changes, ctx->arena, NULL, "link %s to %s (now to %s)", path, f->p->target, target);
	if (f->p->owner || f->p->group) add_attributes(f, ctx, changes);
	return 0;
}

static int probe_absent(struct file *f, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	if (!f->is_there) return 0;
	struct strs names = {0};
	if (S_ISDIR(f->st.st_mode) && !f->p->is_recursive) {
		int r = fs_list(ctx->machine.root, f->p->path, ctx->arena, &names, err);
		if (r < 0) return r;
		size_t count = names.count;
		strs_clear(&names);
		if (count)
			return err_set(
				err, ERR_INVALID,
				"%s is a directory with %zu entries: add `recursive: true` to remove it with all "
				"that is in it",
				f->p->path, count);
	}
	changes_add(changes, ctx->arena, NULL, "remove %s %s", kind_of(f->st.st_mode), f->p->path);
	return 0;
}

static int file_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct file_params *p = params;
	AUTO(file_clear) struct file f;
	int r = file_load(p, ctx, &f, err);
	if (r < 0) return r;
	switch (wanted_state(p)) {
	case FILE_PLAIN: return probe_plain(&f, ctx, changes, err);
	case FILE_DIRECTORY: return probe_directory(&f, ctx, changes, err);
	case FILE_LINK: return probe_link(&f, ctx, changes, err);
	case FILE_ABSENT: return probe_absent(&f, ctx, changes, err);
	}
	return 0;
}

static int apply_absent(struct file *f, struct step_ctx *ctx, struct err *err) {
	struct changes changes = {0};
	int r = probe_absent(f, ctx, &changes, err); /* again: the directory may have filled since */
	if (r < 0 || !changes.count) return r;
	return fs_remove(ctx->machine.root, f->p->path, S_ISDIR(f->st.st_mode), err);
}

static int make_parents(const struct file *f, struct step_ctx *ctx, struct err *err) {
	const char *slash = strrchr(f->p->path, '/');
	if (slash == f->p->path) return 0;
	const char *parent = arena_dup(ctx->arena, f->p->path, (size_t)(slash - f->p->path));
	uid_t uid = ctx->user ? ctx->user->uid : (uid_t)-1;
	gid_t gid = ctx->user ? ctx->user->gid : (gid_t)-1;
	return fs_mkdirs(ctx->machine.root, parent, DIRECTORY_MODE_NEW, uid, gid, err);
}

static int set_attributes(const struct file *f, const struct fs_root *root, struct err *err) {
	int r = 0;
	if (f->uid != (uid_t)-1 || f->gid != (gid_t)-1) r = fs_chown(root, f->p->path, f->uid, f->gid, err);
	/* After chown: that clears set-user-id bits. */
	if (r == 0 && f->mode != FIELD_MODE_UNSET) r = fs_chmod(root, f->p->path, f->mode, err);
	return r;
}

static int apply_plain(struct file *f, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	int r = read_wanted(f->p, root, f, err);
	if (r < 0) return r;
	bool is_regular = f->is_there && S_ISREG(f->st.st_mode);
	if (is_regular && !f->p->has_content && !f->p->from) return set_attributes(f, root, err);
	struct fs_write how = {.mode = FILE_MODE_NEW, .uid = f->uid, .gid = f->gid};
	if (is_regular) {
		how.mode = f->st.st_mode & 07777;
		if (how.uid == (uid_t)-1) how.uid = f->st.st_uid;
		if (how.gid == (gid_t)-1) how.gid = f->st.st_gid;
	}
	if (f->mode != FIELD_MODE_UNSET) how.mode = f->mode;
	return fs_write(root, f->p->path, buf_str(&f->new_data), f->new_data.len, &how, err);
}

static int apply_directory(struct file *f, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	mode_t mode = f->mode == FIELD_MODE_UNSET ? DIRECTORY_MODE_NEW : f->mode;
	if (f->is_there && S_ISLNK(f->st.st_mode)) return 0;
	int r = f->is_there ? 0 : fs_mkdirs(root, f->p->path, mode, f->uid, f->gid, err);
	return r < 0 ? r : set_attributes(f, root, err);
}

static int apply_link(struct file *f, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	int r = fs_symlink(root, f->p->path, f->p->target, err);
	if (r < 0 || (f->uid == (uid_t)-1 && f->gid == (gid_t)-1)) return r;
	return fs_chown(root, f->p->path, f->uid, f->gid, err);
}

/* SELinux: a new file gets its directory's label; the policy may want another. Best effort, as in rpm's plugin. */
static void restore_label(struct step_ctx *ctx, const char *path) {
	char tool[256];
	struct err ignored;
	const struct fs_root *root = ctx->machine.root;
	if (!fs_root_is_host(root) || !fs_exists(root, "/sys/fs/selinux/enforce") ||
	    !exec_find(root, "restorecon", tool, sizeof tool))
		return;
	const char *argv[] = {tool, path, NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = RESTORECON_MS, .is_quiet = true};
	if (machine_check(&ctx->machine, &cmd, NULL, &ignored) < 0)
		err_clear(&ignored); /* a label alone fails no step */
}

static int file_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct file_params *p = params;
	AUTO(file_clear) struct file f;
	enum file_state state = wanted_state(p);
	int r = file_load(p, ctx, &f, err);
	if (r < 0) return r;
	if (state == FILE_ABSENT) return apply_absent(&f, ctx, err);
	r = make_parents(&f, ctx, err);
	if (r == 0 && state == FILE_PLAIN) r = apply_plain(&f, ctx, err);
	if (r == 0 && state == FILE_DIRECTORY) r = apply_directory(&f, ctx, err);
	if (r == 0 && state == FILE_LINK) r = apply_link(&f, ctx, err);
	if (r == 0) restore_label(ctx, p->path);
	return r;
}

const struct step_type step_file = {
	.name = "file",
	.summary = "a file, directory or link with content, owner and mode",
	.example = "- name: Message of the day\n"
		   "  file:\n"
		   "    path: /etc/motd\n"
		   "    mode: 0644\n"
		   "    content: |\n"
		   "      This box was set up by dsagent.\n",
	.shape = {.fields = file_fields, .size = sizeof(struct file_params)},
	.timeout_ms = 5LL * 60 * 1000,
	.check = file_check,
	.resources = file_resources,
	.probe = file_probe,
	.apply = file_apply,
};
