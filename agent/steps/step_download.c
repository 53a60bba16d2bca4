#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <strings.h>

#include "aws/fetch.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/download.h"
#include "steps/steps.h"

#define RECORD_BYTES_MAX (64 * 1024)
/** Larger files are not hashed by every probe: what was verified is recorded beside them with size and time. */
#define HASHED_BYTES_MAX (64LL * 1024 * 1024)
#define FILE_MODE 0644
#define STRIP_MAX 20

struct download_params {
	const char *url, *to, *sha256;
	bool is_archive;
	int64_t strip, max_size, max_unpacked;
	mode_t mode;
};

#define DOWNLOAD_FIELD(n, k, member, text)                                                                             \
	.name = n, .kind = k, .offset = offsetof(struct download_params, member), .help = text

static const struct field download_fields[] = {
	{DOWNLOAD_FIELD("url", FIELD_TEXT, url, "https://… or s3://bucket/key"), .is_required = true},
	{DOWNLOAD_FIELD("to", FIELD_TEXT, to, "absolute path of the file, or with `unpack` of the directory"),
	 .is_required = true},
	{DOWNLOAD_FIELD("sha256", FIELD_TEXT, sha256,
			"its SHA-256; required but for s3://, which without it is fetched once")},
	{DOWNLOAD_FIELD("unpack", FIELD_BOOL, is_archive,
			"it is a tar (plain, gz, xz, zst) or zip: unpack it into the directory `to`")},
	{DOWNLOAD_FIELD("strip", FIELD_INT, strip, "leading directories to drop from the names in the archive"),
	 .fallback = "0", .min = 0, .max = STRIP_MAX},
	{DOWNLOAD_FIELD("mode", FIELD_MODE, mode, "permissions of the file; default 0644")},
	{DOWNLOAD_FIELD("max_size", FIELD_SIZE, max_size, "refuse more bytes than this"), .fallback = "100G"},
	{DOWNLOAD_FIELD("max_unpacked", FIELD_SIZE, max_unpacked, "refuse an archive that unpacks to more"),
	 .fallback = "200G"},
	{0},
};

static void check_url(const struct download_params *p, const struct yml_node *node, struct diags *diags) {
	if (!p->url || step_text_is_open(p->url)) return;
	if (!fetch_is_url(p->url)) {
		diag_add(diags, node, "url '%s' is neither https:// nor s3://%s", p->url,
			 p->url[0] == '/' ? ": to copy a file of this machine, use a `file` step with `from`" : "");
	} else if (!p->sha256 && !str_starts(p->url, "s3://")) {
		diag_add(diags, node,
			 "sha256 is needed, so that the file is the one that you mean: take it from the publisher, or "
			 "from `curl -fsSL URL | sha256sum` where you trust the line");
	}
}

static void check_to(const struct download_params *p, const struct yml_node *node, struct diags *diags) {
	if (!p->to || str_starts(p->to, "${")) return;
	if (p->to[0] != '/') diag_add(diags, node, "to '%s' is not absolute", p->to);
	if (p->to[0] == '/' && !p->to[strspn(p->to, "/.")])
		diag_add(diags, node, "to '%s' is the root directory itself", p->to);
	if (!p->is_archive && str_ends(p->to, "/"))
		diag_add(diags, node, "to '%s' names a directory: give the file's own name, or `unpack: true`", p->to);
}

static void download_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct download_params *p = params;
	check_url(p, node, diags);
	check_to(p, node, diags);
	if (p->sha256 && !step_text_is_open(p->sha256) &&
	    (strlen(p->sha256) != SHA256_HEX_SIZE - 1 ||
	     strspn(p->sha256, "0123456789abcdefABCDEF") != SHA256_HEX_SIZE - 1))
		diag_add(diags, node, "sha256 '%.80s' is not a SHA-256: 64 hexadecimal digits are needed", p->sha256);
	if (!p->is_archive && p->strip) diag_add(diags, node, "strip belongs to `unpack: true`");
	if (p->is_archive && p->mode != FIELD_MODE_UNSET)
		diag_add(diags, node, "mode belongs to a file: what is unpacked has the modes of the archive");
}

static void download_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct download_params *p = params;
	strs_add_once(names, arena_printf(arena, "path:%s", p->to));
}

/* `to` without trailing slashes. */
static const char *target(const struct download_params *p, struct arena *arena) {
	size_t len = strlen(p->to);
	while (len > 1 && p->to[len - 1] == '/') len--;
	return arena_dup(arena, p->to, len);
}

/* What was verified of a file, beside it: hash, size, modification time. */
static const char *record_path(const char *to, struct arena *arena) {
	return download_beside(to, ".dsagent.json", arena);
}

static bool is_recorded(const struct download_params *p, const char *to, const struct stat *st, struct step_ctx *ctx) {
	AUTO_BUF struct buf text = BUF_INIT(RECORD_BYTES_MAX);
	AUTO_JS struct js *record = NULL;
	struct err ignored; /* no record, or a damaged one: what is there is hashed */
	if (fs_read(ctx->machine.root, record_path(to, ctx->arena), &text, &ignored) < 0 ||
	    js_parse(buf_str(&text), text.len, &record, &ignored) < 0)
		return false;
	const char *hash = js_get_str(record, "sha256"), *url = js_get_str(record, "url");
	if (p->sha256 ? !hash || strcasecmp(hash, p->sha256) != 0 : !str_eq(url, p->url)) return false;
	return js_get_int(record, "size", -1) == st->st_size && js_get_int(record, "mtime", -1) == st->st_mtim.tv_sec &&
	       js_get_int(record, "mtime_ns", -1) == st->st_mtim.tv_nsec;
}

static int write_record(const struct download_params *p, const char *to, const char *hash, struct step_ctx *ctx,
			struct err *err) {
	AUTO_JS struct js *record = js_object();
	AUTO_BUF struct buf text = BUF_INIT(RECORD_BYTES_MAX);
	struct stat st;
	int r = fs_lstat(ctx->machine.root, to, &st, err);
	if (r < 0) return r;
	if (p->sha256 && st.st_size <= HASHED_BYTES_MAX)
		return fs_remove(ctx->machine.root, record_path(to, ctx->arena), false, err);
	js_set_str(record, "url", p->url);
	js_set_str(record, "sha256", hash);
	js_set_int(record, "size", st.st_size);
	js_set_int(record, "mtime", st.st_mtim.tv_sec);
	js_set_int(record, "mtime_ns", st.st_mtim.tv_nsec);
	js_print(record, JS_COMPACT, &text);
	buf_addc(&text, '\n');
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	return fs_write(ctx->machine.root, record_path(to, ctx->arena), buf_str(&text), text.len, &how, err);
}

static int hash_file(const char *to, struct step_ctx *ctx, char hex[SHA256_HEX_SIZE], struct err *err) {
	AUTO_CLOSE int fd = -1;
	int r = fs_open(ctx->machine.root, to, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err);
	return r < 0 ? r : digest_fd_hex(fd, hex, err);
}

/* NULL when the content is right, else why it is not ("" : it is not there). */
static int look_at_file(const struct download_params *p, const char *to, struct step_ctx *ctx, struct stat *st,
			const char **ret_why, struct err *err) {
	char hex[SHA256_HEX_SIZE];
	int r = fs_lstat(ctx->machine.root, to, st, err);
	*ret_why = "";
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	err_clear(err);
	if (r < 0) return 0;
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return err_set(err, ERR_STATE, "%s is no file: move it away, or download to another name", to);
	if (S_ISLNK(st->st_mode)) {
		*ret_why = "a link is there";
	} else if (is_recorded(p, to, st, ctx)) {
		*ret_why = NULL;
	} else if (!p->sha256) {
		*ret_why = "what is there is not what was fetched";
	} else {
		r = hash_file(to, ctx, hex, err);
		if (r < 0) return r;
		*ret_why = strcasecmp(hex, p->sha256) == 0
				   ? NULL
				   : arena_printf(ctx->arena, "what is there has the SHA-256 %.12s…", hex);
	}
	return 0;
}

static int probe_file(const struct download_params *p, const char *to, struct step_ctx *ctx, struct changes *changes,
		      struct err *err) {
	struct stat st;
	const char *why;
	int r = look_at_file(p, to, ctx, &st, &why, err);
	if (r < 0) return r;
	if (why) {
		changes_add(changes, ctx->arena, NULL, "download %s to %s%s%s%s", download_name(p->url, ctx->arena), to,
			    *why ? " (" : "", why, *why ? ")" : "");
		return 0;
	}
	if (p->mode != FIELD_MODE_UNSET && (st.st_mode & 07777) != p->mode)
		changes_add(changes, ctx->arena, NULL, "change the mode of %s from %04o to %04o", to,
			    (unsigned)(st.st_mode & 07777), (unsigned)p->mode);
	if (ctx->user && geteuid() == 0 && st.st_uid != ctx->user->uid)
		changes_add(changes, ctx->arena, NULL, "change the owner of %s to %s", to, ctx->user->name);
	return 0;
}

static struct download_tree tree_of(const struct download_params *p, const char *to, struct step_ctx *ctx) {
	return (struct download_tree){
		.dir = to,
		.source = p->sha256 ? arena_printf(ctx->arena, "sha256 %s", p->sha256)
				    : arena_printf(ctx->arena, "url %s", p->url),
		.strip = (unsigned)p->strip,
	};
}

static int probe_archive(const struct download_params *p, const char *to, struct step_ctx *ctx, struct changes *changes,
			 struct err *err) {
	struct download_tree tree = tree_of(p, to, ctx);
	const char *lack;
	int r = download_tree_probe(&tree, ctx, &lack, err);
	if (r == 0 && *lack)
		changes_add(changes, ctx->arena, NULL, "download %s and unpack it to %s (%s)",
			    download_name(p->url, ctx->arena), to, lack);
	return r;
}

/* With --locked what has no hash of its own gets the manifest's, and what has another one is not that of the manifest.
 */
static int lock_params(const struct download_params *p, const char *to, const struct step_ctx *ctx,
		       struct download_params *ret_params, struct err *err) {
	const char *locked = js_get_str(js_get(js_get(ctx->lock, "downloads"), to), "sha256");
	*ret_params = *p;
	if (!ctx->lock || (p->sha256 && !locked)) return 0;
	if (!locked)
		return err_set(err, ERR_INVALID,
			       "the manifest of --locked has no hash of %s: apply without --locked once, and take the "
			       "manifest of that",
			       to);
	if (p->sha256 && strcasecmp(p->sha256, locked) != 0)
		return err_set(err, ERR_INVALID,
			       "the manifest of --locked has %s with the SHA-256 %.12s…, the recipe asks for %.12s…",
			       to, locked, p->sha256);
	ret_params->sha256 = locked;
	return 0;
}

static int download_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const char *to = target(params, ctx->arena);
	struct download_params locked, *p = &locked;
	if (lock_params(params, to, ctx, &locked, err) < 0) return -(int)err->code;
	int r = p->is_archive ? probe_archive(p, to, ctx, changes, err) : probe_file(p, to, ctx, changes, err);
	if (r == 0 && changes->count == 0 && download_has_lock(to, ctx))
		changes_add(changes, ctx->arena, NULL, "remove what a killed download left beside %s", to);
	return r;
}

static int make_parent(const char *to, struct step_ctx *ctx, struct err *err) {
	const char *parent = arena_dup(ctx->arena, to, (size_t)(strrchr(to, '/') - to));
	uid_t uid = ctx->user ? ctx->user->uid : (uid_t)-1;
	gid_t gid = ctx->user ? ctx->user->gid : (gid_t)-1;
	return *parent ? fs_mkdirs(ctx->machine.root, parent, 0755, uid, gid, err) : 0;
}

static int apply_file(const struct download_params *p, const char *to, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	char hash[SHA256_HEX_SIZE];
	struct stat st;
	const char *why;
	int r = look_at_file(p, to, ctx, &st, &why, err);
	if (r < 0) return r;
	if (!why) {
		if (ctx->user && geteuid() == 0) r = fs_chown(root, to, ctx->user->uid, ctx->user->gid, err);
		if (r == 0 && p->mode != FIELD_MODE_UNSET) r = fs_chmod(root, to, p->mode, err);
		return r;
	}
	struct download d = {
		.url = p->url,
		.to = to,
		.sha256 = p->sha256,
		.work = download_beside(to, ".dsagent-part", ctx->arena),
		.bytes_max = p->max_size,
		.mode = p->mode == FIELD_MODE_UNSET ? FILE_MODE : p->mode,
	};
	r = download_get(&d, ctx, hash, err);
	return r < 0 ? r : write_record(p, to, hash, ctx, err);
}

/* The archive grows where it is unpacked: in the directory itself once that is there, for it may be a mount. */
static int apply_archive(const struct download_params *p, const char *to, struct step_ctx *ctx, struct err *err) {
	struct download_tree tree = tree_of(p, to, ctx);
	const struct fs_root *root = ctx->machine.root;
	const char *lack;
	int r = download_tree_probe(&tree, ctx, &lack, err); /* before hours of fetching: is there a place for it? */
	if (r < 0 || !*lack) return r; /* the worker of a killed run did it, or only its lock file was left */
	const char *archive = fs_exists(root, to) ? arena_printf(ctx->arena, "%s/.dsagent-archive", to)
						  : download_beside(to, ".dsagent-archive", ctx->arena);
	struct download d = {
		.url = p->url,
		.to = archive,
		.sha256 = p->sha256,
		.work = arena_printf(ctx->arena, "%s-part", archive),
		.bytes_max = p->max_size,
		.mode = 0600,
	};
	r = download_get(&d, ctx, NULL, err);
	if (r == 0) r = download_tree_put(&tree, archive, p->max_unpacked, ctx, err);
	struct err ignored; /* scratch: fetched anew next time */
	(void)!fs_remove(root, archive, false, &ignored);
	return r < 0 ? err_wrap(err, "%s", download_name(p->url, ctx->arena)) : 0;
}

static int download_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const char *to = target(params, ctx->arena);
	struct download_params locked, *p = &locked;
	AUTO_CLOSE int lock = -1;
	int r = lock_params(params, to, ctx, &locked, err);
	if (r == 0) r = make_parent(to, ctx, err);
	if (r == 0) r = download_lock(to, ctx, &lock, err);
	if (r < 0) return r;
	r = p->is_archive ? apply_archive(p, to, ctx, err) : apply_file(p, to, ctx, err);
	download_unlock(to, ctx, &lock);
	return r;
}

/* What is there and known to be what was asked for; a large file is not read again for it. */
static int download_record(const void *params, struct step_ctx *ctx, struct js *into, struct err *err) {
	const struct download_params *p = params;
	const char *to = target(p, ctx->arena), *why = NULL;
	struct stat st = {0};
	char hex[SHA256_HEX_SIZE] = "";
	int r = p->is_archive ? 0 : look_at_file(p, to, ctx, &st, &why, err);
	if (r == 0 && p->is_archive) {
		struct download_tree tree = tree_of(p, to, ctx);
		r = download_tree_probe(&tree, ctx, &why, err);
		if (r == 0 && !*why) why = NULL;
	}
	if (r < 0 || why) return r;
	if (!p->is_archive && !p->sha256) r = hash_file(to, ctx, hex, err);
	if (r < 0) return r;
	struct js *file = js_child(js_child(into, "downloads"), to);
	js_set_str(file, "url", p->url);
	js_set_str(file, "sha256", p->sha256 ? p->sha256 : *hex ? hex : NULL);
	if (!p->is_archive) js_set_int(file, "size", st.st_size);
	return 0;
}

const struct step_type step_download = {
	.name = "download",
	.summary = "one file by https or s3 with its hash, unpacked safely when asked",
	.example = "- name: Quarto\n"
		   "  download:\n"
		   "    url: https://example.com/quarto-1.6.40-linux-amd64.tar.gz\n"
		   "    sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n"
		   "    to: /opt/quarto\n"
		   "    unpack: true\n"
		   "    strip: 1\n",
	.shape = {.fields = download_fields, .size = sizeof(struct download_params)},
	.timeout_ms = 2LL * 60 * 60 * 1000,
	.check = download_check,
	.resources = download_resources,
	.probe = download_probe,
	.apply = download_apply,
	.record = download_record,
};
