#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/step.h"
#include "steps/user_account.h"
#include "steps/user_keys.h"
#include "sys/user.h"

/** A tool that writes one line of a file, and on some systems rebuilds caches. */
#define TOOL_MS (2 * 60 * 1000)

static int tool(const struct account *a, struct strs *argv, struct err *err) {
	const struct fs_root *root = a->ctx->machine.root;
	struct machine_command cmd = {.argv = strs_argv(argv), .timeout_ms = TOOL_MS};
	if (!fs_root_is_host(root) && !root->is_system)
		return err_set(err, ERR_UNSUPPORTED, "%s is no system of its own: no account can be made there",
			       root->path);
	return machine_check(&a->ctx->machine, &cmd, NULL, err);
}

static void add_option(struct strs *argv, const char *option, const char *value) {
	if (!value) return;
	strs_add(argv, option);
	strs_add(argv, value);
}

static int make_groups(const struct account *a, struct err *err) {
	int r = 0;
	for (size_t i = 0; r == 0 && i < a->groups_missing.count; i++) {
		AUTO_STRS struct strs argv = {0};
		add_option(&argv, "groupadd", a->groups_missing.items[i]);
		r = tool(a, &argv, err);
	}
	return r;
}

static int add_account(const struct account *a, struct err *err) {
	const struct user_params *p = a->p;
	AUTO_STRS struct strs argv = {0};
	gid_t gid;
	bool has_own_group = false;
	int r = p->group ? 0 : account_find_group(a, p->name, &gid, &has_own_group, err);
	if (r < 0) return r;
	strs_add(&argv, "useradd");
	strs_add(&argv, "--create-home");
	add_option(&argv, "--shell", p->shell ? p->shell : "/bin/bash");
	add_option(&argv, "--home-dir", p->home);
	add_option(&argv, "--comment", p->comment);
	if (p->has_uid) add_option(&argv, "--uid", arena_printf(a->ctx->arena, "%lld", (long long)p->uid));
	if (p->group || has_own_group)
		add_option(&argv, "--gid", p->group ? p->group : p->name);
	else
		strs_add(&argv, "--user-group");
	if (p->groups.count) add_option(&argv, "--groups", strs_join(&p->groups, ",", a->ctx->arena));
	strs_add(&argv, p->name);
	return tool(a, &argv, err);
}

static int change_account(const struct account *a, struct err *err) {
	const struct user_params *p = a->p;
	AUTO_STRS struct strs argv = {0};
	strs_add(&argv, "usermod");
	if (a->has_password) strs_add(&argv, "--lock");
	if (account_differs(p->shell, a->user.shell)) add_option(&argv, "--shell", p->shell);
	if (account_differs(p->home, a->user.home)) add_option(&argv, "--home", p->home);
	if (account_has_other_group(a)) add_option(&argv, "--gid", p->group);
	if (a->groups_to_join.count) {
		strs_add(&argv, "--append");
		add_option(&argv, "--groups", strs_join(&a->groups_to_join, ",", a->ctx->arena));
	}
	if (argv.count == 1) return 0;
	strs_add(&argv, p->name);
	return tool(a, &argv, err);
}

static int write_keys(const struct account *a, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(USER_KEYS_MAX);
	AUTO_STRS struct strs lines = {0};
	struct arena *arena = a->ctx->arena;
	if (!a->keys_to_add.count && !a->keys_to_drop.count) return 0;
	str_split(a->keys_text, "\r\n", arena, &lines);
	for (size_t i = 0; i < lines.count; i++)
		if (!strs_has(&a->keys_to_drop, lines.items[i])) buf_addf(&text, "%s\n", lines.items[i]);
	for (size_t i = 0; i < a->keys_to_add.count; i++) buf_addf(&text, "%s\n", a->keys_to_add.items[i]);
	int r = buf_check(&text, "authorized_keys", err);
	return r < 0 ? r : user_keys_write(a->ctx->machine.root, &a->user, arena, buf_str(&text), err);
}

/* A sudoers file with an error locks everybody out of sudo: visudo reads it before it is put in place. */
static int write_sudo(const struct account *a, struct err *err) {
	struct text_file file = account_sudo_file(a);
	char path[256];
	const struct fs_root *root = a->ctx->machine.root;
	if (account_wants_no_sudo(a)) return fs_remove(root, file.path, false, err);
	if (!exec_find(root, "visudo", path, sizeof path))
		return err_set(err, ERR_NOT_FOUND, "sudo is not installed: add a step `packages: [sudo]` above");
	const char *argv[] = {path, "-c", "-f", "-", NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = TOOL_MS, .stdin_data = file.content};
	int r = machine_check(&a->ctx->machine, &cmd, NULL, err);
	if (r < 0) return err_wrap(err, "sudo of %s is left as it was", a->p->name);
	return text_file_apply(&file, a->ctx, NULL, err);
}

static int remove_account(const struct account *a, struct err *err) {
	AUTO_STRS struct strs argv = {0};
	int r = write_sudo(a, err);
	if (r < 0 || !a->is_there) return r;
	add_option(&argv, "userdel", a->p->name);
	return tool(a, &argv, err);
}

static int make_home(const struct account *a, struct err *err) {
	const struct fs_root *root = a->ctx->machine.root;
	const char *home = a->user.home, *slash = strrchr(home, '/');
	int r = 0;
	if (slash && slash != home)
		r = fs_mkdirs(root, arena_dup(a->ctx->arena, home, (size_t)(slash - home)), 0755, (uid_t)-1, (gid_t)-1,
			      err);
	return r < 0 ? r : fs_mkdirs(root, home, 0700, a->user.uid, a->user.gid, err);
}

int user_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	AUTO(account_clear) struct account a;
	const struct fs_root *root = ctx->machine.root;
	int r = account_load(params, ctx, &a, err);
	if (r < 0) return r;
	if (a.p->state == USER_ABSENT) return remove_account(&a, err);
	r = make_groups(&a, err);
	if (r == 0) r = a.is_there ? change_account(&a, err) : add_account(&a, err);
	if (r == 0) r = user_find(root, a.p->name, ctx->arena, &a.user, err);
	if (r == 0) r = make_home(&a, err);
	if (r == 0) r = write_keys(&a, err);
	return r < 0 ? r : write_sudo(&a, err);
}
