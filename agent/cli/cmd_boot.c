#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "aws/fetch.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/boot.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "cli/recipe_text.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "recipe/userdata.h"

/* An encoded recipe of the largest size is no larger. */
#define RECIPE_BYTES_MAX (2 * YML_BYTES_MAX)
#define LINE_MAX_BYTES 4096

static const struct opt_verb verb = {
	.name = "boot",
	.arguments = "RECIPE",
	.description =
		"For user-data: keeps the recipe as " BOOT_RECIPE " and starts the work in the\n"
		"background, as dsagent.service where systemd runs; returns at once. RECIPE is a file (gzip, base64 "
		"and "
		"MIME\n"
		"are unpacked), a built-in name, s3:// or https://...#sha256=..., or - for standard input. A recipe "
		"whose first\n"
		"line is `#!/usr/bin/dsagent boot` is user-data as it stands. A wrong recipe is refused: 2, and the "
		"reasons\n"
		"are on the console too.",
	.example = "sudo dsagent boot my-box.yaml && dsagent status --follow",
	.min_args = 1,
	.max_args = 1,
};

struct boot {
	struct context *ctx;
	const struct fs_root *root;
	const char *name;
	struct buf bytes; /* what will be kept */
};

/* Standard input is read twice, by us and by the recipe's own loader: from memory the second time. */
static int rewind_stdin(const struct buf *bytes, struct err *err) {
	AUTO_CLOSE int fd = memfd_create("recipe", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes->data ? bytes->data : "", bytes->len) != (ssize_t)bytes->len ||
	    lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0)
		return err_set_errno(err, errno, "cannot keep standard input");
	return 0;
}

/* One recipe is kept as its text, for people to read; several as they came. */
static void unpack(struct boot *b) {
	struct userdata_doc *docs = NULL;
	size_t count = 0;
	struct err ignored = {0}; /* what cannot be unpacked is found wrong by the loader, with its place */
	if (userdata_decode(buf_str(&b->bytes), b->bytes.len, &b->ctx->arena, &docs, &count, &ignored) || count != 1)
		return;
	const char *text = arena_dup(&b->ctx->arena, docs[0].data, docs[0].len);
	size_t len = docs[0].len;
	buf_reset(&b->bytes);
	buf_add(&b->bytes, text, len);
}

static int read_recipe(struct boot *b, struct err *err) {
	if (fetch_is_url(b->name) || recipe_builtin(b->name, NULL)) {
		recipe_text_include(b->name, &b->bytes);
		return 0;
	}
	int rc = recipe_bytes(b->name, &b->bytes, err);
	if (rc == -ERR_NOT_FOUND) return 0; /* the loader says it, and what was meant */
	if (!rc && str_eq(b->name, "-")) rc = rewind_stdin(&b->bytes, err);
	if (rc) return err_wrap(err, "%s", b->name);
	unpack(b);
	return 0;
}

/* All that `apply --boot` will read, in its order, with the new one in its place: their steps must fit together. */
static int gather(const struct boot *b, struct strs *ret_names, struct err *err) {
	AUTO_STRS struct strs files = {0};
	struct arena *arena = &b->ctx->arena;
	bool is_in = false;
	int rc = fs_list(b->root, RECIPE_DIR, arena, &files, err);
	if (rc) return rc;
	for (size_t i = 0; i < files.count; i++) {
		const char *path = arena_printf(arena, RECIPE_DIR "%s", files.items[i]);
		if (str_eq(path, BOOT_RECIPE) || (!str_ends(path, ".yaml") && !str_ends(path, ".yml"))) continue;
		if (!is_in && strcmp(path, BOOT_RECIPE) > 0) {
			strs_add(ret_names, b->name);
			is_in = true;
		}
		strs_add(ret_names, fs_host_path(b->root, path, arena));
	}
	if (!is_in) strs_add(ret_names, b->name);
	return 0;
}

/* Files beside it will not be beside it where it is kept. */
static void check_includes(const struct boot *b, struct diags *diags) {
	struct userdata_doc *docs = NULL;
	size_t count = 0;
	struct err ignored = {0}; /* the loader has read it */
	if (userdata_decode(buf_str(&b->bytes), b->bytes.len, &b->ctx->arena, &docs, &count, &ignored)) return;
	for (size_t i = 0; i < count; i++)
		recipe_text_check_includes(b->name, &docs[i], "it is kept in " RECIPE_DIR ": write the whole path",
					   true, &b->ctx->arena, diags);
}

static int check(const struct boot *b) {
	AUTO_DIAGS struct diags diags = {.arena = &b->ctx->arena};
	AUTO_STRS struct strs names = {0};
	struct err err = {0};
	if (gather(b, &names, &err)) return cli_fail(EXIT_NO_START, &err);
	if (context_recipe(b->ctx, &names, NULL, false, &diags)) check_includes(b, &diags);
	return diags.count ? boot_refuse(b->ctx, b->root, &diags) : EXIT_OK_;
}

static bool is_kept_already(const struct boot *b) {
	AUTO_BUF struct buf kept = BUF_INIT(RECIPE_BYTES_MAX);
	struct err ignored = {0}; /* then it is not there */
	return !fs_read(b->root, BOOT_RECIPE, &kept, &ignored) && kept.len == b->bytes.len &&
	       memcmp(buf_str(&kept), buf_str(&b->bytes), kept.len) == 0;
}

/* 0600: values in it may be secret. */
static int keep(const struct boot *b, struct err *err) {
	static const struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int rc = fs_mkdirs(b->root, RECIPE_DIR, 0755, (uid_t)-1, (gid_t)-1, err);
	return rc ? rc : fs_write(b->root, BOOT_RECIPE, b->bytes.data, b->bytes.len, &how, err);
}

static int start(const struct boot *b, const char **ret_how, struct err *err) {
	int rc = boot_check_idle(b->ctx, b->root, err);
	if (rc == -ERR_BUSY && is_kept_already(b)) {
		*ret_how = "dsagent.service is at work with it";
		return 0;
	}
	if (!rc) rc = keep(b, err);
	return rc ? rc : boot_start(b->ctx, b->root, ret_how, err);
}

static int boot(struct boot *b) {
	AUTO_BUF struct buf out = BUF_INIT(LINE_MAX_BYTES);
	struct err err = {0};
	const char *how = NULL;
	int rc = context_root(b->ctx, &b->root, &err);
	if (!rc && fs_root_is_host(b->root) && geteuid() != 0)
		rc = err_set(&err, ERR_DENIED, "`dsagent boot` needs root; `dsagent apply` runs a recipe as you");
	if (!rc) rc = read_recipe(b, &err);
	if (rc) return cli_fail(EXIT_NO_START, &err);
	int code = check(b);
	if (code != EXIT_OK_) return code;
	if (start(b, &how, &err)) {
		boot_complain(b->ctx, b->root, err.msg);
		return cli_fail(EXIT_NO_START, &err);
	}
	buf_addf(&out, "the recipe is kept as " BOOT_RECIPE "\n%s; `dsagent status --follow` shows it\n", how);
	return cli_print(&out);
}

int cmd_boot(struct context *ctx, int argc, char **argv) {
	AUTO_STRS struct strs args = {0};
	struct boot b = {.ctx = ctx, .bytes = BUF_INIT(RECIPE_BYTES_MAX)};
	int code = opt_parse(&verb, ctx, argc, argv, NULL, &args);
	if (code != OPT_GO) return code;
	b.name = args.items[0];
	code = boot(&b);
	buf_wipe(&b.bytes);
	return code;
}
