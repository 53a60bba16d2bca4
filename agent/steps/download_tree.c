/*
 * The list DIR/.dsagent-download says what an archive has put there: records ended by NUL, first "dsagent download 1",
 * "whole" or "making", the source, the strip count; then "TYPE SIZE MTIME_NS NAME" for each entry, directories before
 * what is in them. While it says "making", all its names are ours, of the old archive and the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/vec.h"
#include "io/arc.h"
#include "recipe/step.h"
#include "steps/download.h"

#define LIST_NAME ".dsagent-download"
#define NEW_NAME ".dsagent-new"
#define LIST_HEAD "dsagent download 1"
/** A million entries of a long path each. */
#define LIST_BYTES_MAX (256 * 1024 * 1024)
#define LIST_FIXED 4
/** Deeper than any archive that io/arc takes. */
#define WALK_DEPTH_MAX 256
#define NOTE_MS 200

struct entry {
	const char *name;
	char type; /* d, f, l */
	int64_t size, mtime_ns;
};

typedef VEC(struct entry) entries_vec;

struct list {
	bool is_whole;
	const char *source, *strip;
	entries_vec entries;
};

static void list_clear(struct list *list) { vec_clear(&list->entries); }
#define AUTO_LIST AUTO(list_clear)

static const char *in_dir(const char *dir, const char *name, struct arena *arena) {
	return arena_printf(arena, "%s/%s", dir, name);
}

static int64_t mtime_ns(const struct stat *st) {
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static char type_of(mode_t mode) { return S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : S_ISREG(mode) ? 'f' : '?'; }

/* One record of an entry; false for what we did not write. */
static bool parse_entry(const char *text, struct entry *ret) {
	int at = 0;
	if (sscanf(text, "%c %" SCNd64 " %" SCNd64 " %n", &ret->type, &ret->size, &ret->mtime_ns, &at) != 3 || !at ||
	    !text[at] || strchr("dfl", ret->type) == NULL)
		return false;
	ret->name = text + at;
	return true;
}

/* 0 and an empty list when there is none, or one that is damaged: then nothing there is known to be ours. */
static int read_list(const char *dir, struct step_ctx *ctx, struct list *list, bool *ret_is_there, struct err *err) {
	struct buf text = BUF_INIT(LIST_BYTES_MAX);
	*ret_is_there = false;
	int r = fs_read(ctx->machine.root, in_dir(dir, LIST_NAME, ctx->arena), &text, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	err_clear(err);
	const char *all = arena_dup(ctx->arena, buf_str(&text), text.len);
	const char *fixed[LIST_FIXED] = {"", "", "", ""};
	size_t len = text.len, n = 0;
	buf_clear(&text);
	for (const char *at = all; at < all + len; at += strlen(at) + 1, n++) {
		struct entry entry;
		if (n < LIST_FIXED)
			fixed[n] = at;
		else if (parse_entry(at, &entry))
			vec_push(&list->entries, entry);
	}
	if (n < LIST_FIXED || !str_eq(fixed[0], LIST_HEAD)) {
		list_clear(list);
		return 0;
	}
	list->is_whole = str_eq(fixed[1], "whole");
	list->source = fixed[2];
	list->strip = fixed[3];
	*ret_is_there = true;
	return 0;
}

static void add_record(struct buf *text, const struct entry *e) {
	buf_addf(text, "%c %" PRId64 " %" PRId64 " %s", e->type, e->size, e->mtime_ns, e->name);
	buf_addc(text, '\0');
}

/* others: further names that are ours meanwhile; may be NULL. */
static int write_list(const struct download_tree *t, const char *dir, const entries_vec *entries,
		      const entries_vec *others, struct step_ctx *ctx, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(LIST_BYTES_MAX);
	const char *strip = arena_printf(ctx->arena, "strip %u", t->strip);
	const char *fixed[LIST_FIXED] = {LIST_HEAD, others ? "making" : "whole", t->source, strip};
	for (size_t i = 0; i < LIST_FIXED; i++) buf_add(&text, fixed[i], strlen(fixed[i]) + 1);
	for (size_t i = 0; i < entries->count; i++) add_record(&text, &entries->items[i]);
	for (size_t i = 0; others && i < others->count; i++) add_record(&text, &others->items[i]);
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int r = buf_check(&text, "the list of what was unpacked", err);
	if (r == 0)
		r = fs_write(ctx->machine.root, in_dir(dir, LIST_NAME, ctx->arena), buf_str(&text), text.len, &how,
			     err);
	return r;
}

/* Whether something lies in dir that is none of our scratch. */
static int has_content(const char *dir, struct step_ctx *ctx, bool *ret_has, struct err *err) {
	AUTO_STRS struct strs names = {0};
	int r = fs_list(ctx->machine.root, dir, ctx->arena, &names, err);
	*ret_has = false;
	for (size_t i = 0; r == 0 && i < names.count; i++)
		if (!str_starts(names.items[i], ".dsagent-") && !str_eq(names.items[i], "lost+found")) *ret_has = true;
	return r;
}

/* The directory as it is; list empty unless an archive of ours is there. */
static int look(const struct download_tree *t, struct step_ctx *ctx, struct list *list, bool *ret_exists,
		struct err *err) {
	struct stat st;
	bool has_list = false, has_others = false;
	int r = fs_lstat(ctx->machine.root, t->dir, &st, err);
	*ret_exists = r == 0;
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	err_clear(err);
	if (r < 0) return 0;
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_STATE, "%s is no directory: move it away, or unpack to another place", t->dir);
	r = read_list(t->dir, ctx, list, &has_list, err);
	if (r == 0 && !has_list) r = has_content(t->dir, ctx, &has_others, err);
	if (r < 0 || !has_others) return r;
	return err_set(err, ERR_STATE,
		       "%s holds files that this step has not put there: give the archive a directory of its own, such "
		       "as %s/NAME with `strip: 1`",
		       t->dir, t->dir);
}

static bool is_as_recorded(const struct entry *e, const struct stat *st) {
	if (type_of(st->st_mode) != e->type) return false;
	return e->type == 'd' || (st->st_size == e->size && mtime_ns(st) == e->mtime_ns);
}

int download_tree_probe(const struct download_tree *t, struct step_ctx *ctx, const char **ret_lack, struct err *err) {
	AUTO_LIST struct list list = {0};
	bool exists;
	size_t bad = 0;
	const char *first = NULL;
	int r = look(t, ctx, &list, &exists, err);
	if (r < 0) return r;
	*ret_lack = "";
	if (!list.source) {
		*ret_lack = "nothing is there yet";
	} else if (!list.is_whole) {
		*ret_lack = "an earlier attempt was interrupted";
	} else if (!str_eq(list.source, t->source) ||
		   !str_eq(list.strip, arena_printf(ctx->arena, "strip %u", t->strip))) {
		*ret_lack = "another archive is there";
	}
	if (**ret_lack) return 0;
	for (size_t i = 0; i < list.entries.count; i++) {
		const struct entry *e = &list.entries.items[i];
		struct stat st;
		struct err ignored; /* absent or unreadable: not as recorded */
		bool is_there = fs_lstat(ctx->machine.root, in_dir(t->dir, e->name, ctx->arena), &st, &ignored) == 0;
		if (is_there && is_as_recorded(e, &st)) continue;
		if (!bad++) first = arena_printf(ctx->arena, "%s %s", e->name, is_there ? "was changed" : "is gone");
	}
	if (bad == 1) *ret_lack = first;
	if (bad > 1)
		*ret_lack = arena_printf(ctx->arena, "%zu of %zu entries differ: %s", bad, list.entries.count, first);
	return 0;
}

/* What lies below dir, directories before their content; names relative to the start. */
static int walk(const char *dir, const char *below, unsigned depth, struct step_ctx *ctx, entries_vec *entries,
		struct err *err) {
	AUTO_STRS struct strs names = {0};
	if (depth > WALK_DEPTH_MAX) return err_set(err, ERR_LIMIT, "%s is too deep", below);
	int r = fs_list(ctx->machine.root, in_dir(dir, below, ctx->arena), ctx->arena, &names, err);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		const char *name = *below ? in_dir(below, names.items[i], ctx->arena) : names.items[i];
		struct stat st;
		r = fs_lstat(ctx->machine.root, in_dir(dir, name, ctx->arena), &st, err);
		if (r < 0) return r;
		struct entry e = {name, type_of(st.st_mode), st.st_size, mtime_ns(&st)};
		vec_push(entries, e);
		if (e.type == 'd') r = walk(dir, name, depth + 1, ctx, entries, err);
	}
	return r;
}

struct unpacking {
	struct step_ctx *ctx;
	int64_t told_at_ms, entries;
};

static int on_entry(const char *name, int64_t bytes, void *arg, struct err *err) {
	struct unpacking *u = arg;
	int64_t now = clock_mono_ms();
	u->entries++;
	if (machine_left_ms(&u->ctx->machine) <= 0) return err_set(err, ERR_TIMEOUT, "the time for this step is over");
	if (now - u->told_at_ms < NOTE_MS) return 0;
	u->told_at_ms = now;
	machine_note(&u->ctx->machine, 0, 0, "unpacking: %" PRId64 " entries, %s", u->entries,
		     str_bytes((unsigned long long)bytes, u->ctx->arena));
	return 0;
}

static int unpack(const struct download_tree *t, const char *archive, const char *dir, int64_t bytes_max,
		  struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	AUTO_CLOSE int archive_fd = -1;
	AUTO_CLOSE int dir_fd = -1;
	struct unpacking u = {.ctx = ctx};
	bool is_root = geteuid() == 0;
	int r = fs_remove(root, dir, true, err);
	if (r == 0) r = fs_mkdirs(root, dir, 0700, (uid_t)-1, (gid_t)-1, err);
	if (r == 0) r = fs_open(root, archive, O_RDONLY | O_NOFOLLOW, 0, &archive_fd, err);
	if (r == 0) r = fs_open(root, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &dir_fd, err);
	if (r < 0) return r;
	struct arc_extract x = {
		.archive_fd = archive_fd,
		.dir_fd = dir_fd,
		.strip = t->strip,
		.uid = ctx->user && is_root ? ctx->user->uid : (uid_t)-1,
		.gid = ctx->user && is_root ? ctx->user->gid : (gid_t)-1,
		.limits = {.entries_max = ARC_ENTRIES_MAX, .bytes_max = bytes_max, .ratio_max = ARC_RATIO_MAX},
		.on_entry = on_entry,
		.arg = &u,
	};
	r = arc_extract(&x, err);
	if (r < 0) return err_wrap(err, "unpacking");
	/* All of it is on the disk before anything says that it is whole. */
	return syncfs(dir_fd) < 0 ? err_set_errno(err, errno, "cannot sync %s", dir) : 0;
}

static int by_name(const void *a, const void *b) {
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static const struct entry *find_name(const entries_vec *sorted, const char *name) {
	const struct entry key = {.name = name};
	return sorted->count ? bsearch(&key, sorted->items, sorted->count, sizeof key, by_name) : NULL;
}

/* Copies sorted by name: their own order is that of directories before content. */
static void sort_copy(const entries_vec *from, entries_vec *to) {
	for (size_t i = 0; i < from->count; i++) vec_push(to, from->items[i]);
	if (to->count) qsort(to->items, to->count, sizeof *to->items, by_name);
}

/* Before anything is moved: nothing foreign may stand where an entry goes. */
static int check_places(const struct download_tree *t, const entries_vec *fresh, const entries_vec *ours,
			struct step_ctx *ctx, struct err *err) {
	for (size_t i = 0; i < fresh->count; i++) {
		const struct entry *e = &fresh->items[i];
		struct stat st;
		struct err ignored; /* absent: there is room */
		if (fs_lstat(ctx->machine.root, in_dir(t->dir, e->name, ctx->arena), &st, &ignored) < 0) continue;
		if (e->type == 'd' && S_ISDIR(st.st_mode)) continue;
		if (find_name(ours, e->name)) continue;
		return err_set(err, ERR_STATE,
			       "%s/%s is in the archive's way and was not put there by this step: move it away", t->dir,
			       e->name);
	}
	return 0;
}

static int move_one(const struct download_tree *t, const char *fresh_dir, const struct entry *e, struct step_ctx *ctx,
		    struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	const char *to = in_dir(t->dir, e->name, ctx->arena), *from = in_dir(fresh_dir, e->name, ctx->arena);
	struct stat st;
	struct err ignored; /* absent: nothing to make room for */
	bool is_there = fs_lstat(root, to, &st, &ignored) == 0;
	if (e->type != 'd') return fs_rename(root, from, to, err);
	if (is_there && S_ISDIR(st.st_mode)) return 0;
	int r = is_there ? fs_remove(root, to, false, err) : 0;
	if (r == 0) r = fs_lstat(root, from, &st, err);
	return r < 0 ? r : fs_mkdirs(root, to, st.st_mode & 0777, st.st_uid, st.st_gid, err);
}

/* A directory goes only when it is empty. */
static void remove_one(const char *path, struct step_ctx *ctx) {
	AUTO_STRS struct strs names = {0};
	struct stat st;
	struct err ignored; /* what somebody else has removed, or holds: then it stays */
	if (fs_lstat(ctx->machine.root, path, &st, &ignored) < 0) return;
	bool is_dir = S_ISDIR(st.st_mode);
	if (is_dir && (fs_list(ctx->machine.root, path, ctx->arena, &names, &ignored) < 0 || names.count)) return;
	(void)!fs_remove(ctx->machine.root, path, is_dir, &ignored);
}

/* What the old archive had and the new one has not; a directory that holds something else stays. */
static void remove_old(const struct download_tree *t, const entries_vec *old, const entries_vec *fresh,
		       struct step_ctx *ctx) {
	for (size_t i = old->count; i-- > 0;) {
		const struct entry *now = find_name(fresh, old->items[i].name);
		if (!now || (now->type == 'd') != (old->items[i].type == 'd'))
			remove_one(in_dir(t->dir, old->items[i].name, ctx->arena), ctx);
	}
}

static int merge(const struct download_tree *t, const char *fresh_dir, const entries_vec *fresh, const entries_vec *old,
		 struct step_ctx *ctx, struct err *err) {
	entries_vec ours = {0}, wanted = {0};
	sort_copy(old, &ours);
	sort_copy(fresh, &wanted);
	int r = check_places(t, fresh, &ours, ctx, err);
	if (r == 0) r = write_list(t, t->dir, old, fresh, ctx, err);
	if (r == 0) remove_old(t, old, &wanted, ctx);
	for (size_t i = 0; r == 0 && i < fresh->count; i++) r = move_one(t, fresh_dir, &fresh->items[i], ctx, err);
	if (r == 0) r = fs_remove(ctx->machine.root, fresh_dir, true, err);
	if (r == 0) r = write_list(t, t->dir, fresh, NULL, ctx, err);
	vec_clear(&ours);
	vec_clear(&wanted);
	return r;
}

/* The directory did not exist: it appears whole, by one rename. */
static int appear(const struct download_tree *t, const char *fresh_dir, const entries_vec *fresh, struct step_ctx *ctx,
		  struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	int r = write_list(t, fresh_dir, fresh, NULL, ctx, err);
	if (r == 0 && ctx->user && geteuid() == 0) r = fs_chown(root, fresh_dir, ctx->user->uid, ctx->user->gid, err);
	if (r == 0) r = fs_chmod(root, fresh_dir, 0755, err);
	return r < 0 ? r : fs_rename(root, fresh_dir, t->dir, err);
}

int download_tree_put(const struct download_tree *t, const char *archive, int64_t bytes_max, struct step_ctx *ctx,
		      struct err *err) {
	AUTO_LIST struct list old = {0}, fresh = {0};
	bool exists;
	struct err ignored; /* scratch: the next attempt removes it first */
	int r = look(t, ctx, &old, &exists, err);
	if (r < 0) return r;
	const char *fresh_dir =
		exists ? in_dir(t->dir, NEW_NAME, ctx->arena) : download_beside(t->dir, NEW_NAME, ctx->arena);
	r = unpack(t, archive, fresh_dir, bytes_max, ctx, err);
	/* Scratch goes before anything says that the directory is whole: nobody looks for it after that. */
	if (r == 0) r = fs_remove(ctx->machine.root, archive, false, err);
	if (r == 0) r = walk(fresh_dir, "", 0, ctx, &fresh.entries, err);
	if (r == 0)
		r = exists ? merge(t, fresh_dir, &fresh.entries, &old.entries, ctx, err)
			   : appear(t, fresh_dir, &fresh.entries, ctx, err);
	if (r < 0) (void)!fs_remove(ctx->machine.root, fresh_dir, true, &ignored);
	return r;
}
