#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/user_account.h"
#include "steps/user_keys.h"

/** useradd(8) takes names of at most 32 characters. */
#define NAME_LEN_MAX 32
#define UID_MAX 4294967293LL

static const char *const user_states[] = {"present", "absent", NULL};

#define USER_FIELD(n, k, member, text)                                                                                 \
	.name = n, .kind = k, .offset = offsetof(struct user_params, member), .help = text

static const struct field user_fields[] = {
	{USER_FIELD("name", FIELD_TEXT, name, "the account's name"), .is_required = true},
	{USER_FIELD("state", FIELD_CHOICE, state, "whether it is to be there; its files stay when it goes"),
	 .choices = user_states, .fallback = "present"},
	{USER_FIELD("groups", FIELD_TEXTS, groups,
		    "groups that it is to be in beside its own; made where they are missing; others are left alone")},
	{USER_FIELD("group", FIELD_TEXT, group, "its primary group; default: one of its own name")},
	{USER_FIELD("keys", FIELD_TEXTS, keys, "public keys that may log in, as in a .pub file")},
	{USER_FIELD("like", FIELD_TEXT, like,
		    "an account whose authorized keys may log in here too, such as ${facts.login_user}")},
	{USER_FIELD("only_keys", FIELD_BOOL, only_keys, "take all other keys away")},
	{USER_FIELD("sudo", FIELD_TEXTS, sudo,
		    "what it may run as root without a password: all, or absolute commands; default: nothing")},
	{USER_FIELD("shell", FIELD_TEXT, shell, "login shell; default: /bin/bash for a new account")},
	{USER_FIELD("home", FIELD_TEXT, home, "home directory; default: as useradd has it, /home/NAME")},
	{USER_FIELD("uid", FIELD_INT, uid, "its number, for files shared with other machines"), .min = 1,
	 .max = UID_MAX, .presence = offsetof(struct user_params, has_uid)},
	{USER_FIELD("comment", FIELD_TEXT, comment, "who it is; for a new account")},
	{0},
};

/* The names that useradd takes on every distribution, so that none of them can be an option or a path. */
static bool is_name(const char *s) {
	size_t len = strlen(s);
	return len > 0 && len <= NAME_LEN_MAX && s[strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789-")] == '\0' &&
	       !strchr("0123456789-", s[0]);
}

static void check_name(const char *what, const char *name, const struct yml_node *node, struct diags *diags) {
	if (!name || step_text_is_open(name) || is_name(name)) return;
	diag_add(diags, node, "'%s' is no name for %s: lower-case letters, digits, _ and -, at most %d, a letter first",
		 name, what, NAME_LEN_MAX);
}

static void check_texts(const struct user_params *p, const struct yml_node *node, struct diags *diags) {
	const char *paths[] = {p->shell, p->home};
	for (size_t i = 0; i < 2; i++) {
		if (!paths[i] || step_text_is_open(paths[i])) continue;
		if (paths[i][0] != '/' || strpbrk(paths[i], ":\n"))
			diag_add(diags, node, "%s '%s' is no absolute path", i ? "home" : "shell", paths[i]);
	}
	if (p->comment && strpbrk(p->comment, ":\n")) diag_add(diags, node, "comment holds a colon or a line break");
	for (size_t i = 0; i < p->sudo.count && !user_wants_all_sudo(p); i++)
		if (!step_text_is_open(p->sudo.items[i]) &&
		    (p->sudo.items[i][0] != '/' || strpbrk(p->sudo.items[i], "\r\n")))
			diag_add(diags, node,
				 "sudo: '%s' is neither `all` nor a command by its absolute path on one line",
				 p->sudo.items[i]);
}

static void user_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct user_params *p = params;
	check_name("an account", p->name, node, diags);
	check_name("an account", p->like, node, diags);
	check_name("a group", p->group, node, diags);
	for (size_t i = 0; i < p->groups.count; i++) check_name("a group", p->groups.items[i], node, diags);
	check_texts(p, node, diags);
	if (str_eq(p->name, "root")) diag_add(diags, node, "root is no account for a recipe to make or change");
	if (str_eq(p->name, p->like)) diag_add(diags, node, "like names the account itself");
	if (p->only_keys && !p->keys.count && !p->like)
		diag_add(diags, node, "only_keys without keys would lock everybody out: give keys, or `state: absent`");
	for (size_t i = 0; i < p->keys.count; i++) {
		AUTO_STRS struct strs keys = {0};
		struct err err;
		if (!step_text_is_open(p->keys.items[i]) &&
		    user_keys_split(p->keys.items[i], diags->arena, &keys, &err) < 0)
			diag_add(diags, node, "keys: %s", err.msg);
	}
}

static void user_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	strs_add_once(names, "accounts"); /* one lock file for all of them */
}

static int probe_sudo(const struct account *a, struct changes *changes, struct err *err) {
	struct text_file file = account_sudo_file(a);
	if (!account_wants_no_sudo(a)) return text_file_probe(&file, a->ctx, changes, err);
	if (fs_exists(a->ctx->machine.root, file.path))
		changes_add(changes, a->ctx->arena, NULL, "take sudo from %s (%s)", a->p->name, file.path);
	return 0;
}

static void probe_account(const struct account *a, struct changes *changes) {
	const struct user_params *p = a->p;
	struct arena *arena = a->ctx->arena;
	for (size_t i = 0; i < a->groups_missing.count; i++)
		changes_add(changes, arena, NULL, "make group %s", a->groups_missing.items[i]);
	if (!a->is_there)
		changes_add(changes, arena, NULL, "make account %s%s%s", p->name, p->groups.count ? " in groups " : "",
			    strs_join(&p->groups, ", ", arena));
	if (a->has_password)
		changes_add(changes, arena, NULL, "lock the password of %s: it is reached by keys alone", p->name);
	if (a->is_there && account_differs(p->shell, a->user.shell))
		changes_add(changes, arena, NULL, "change the shell of %s from %s to %s", p->name, a->user.shell,
			    p->shell);
	if (a->is_there && account_differs(p->home, a->user.home))
		changes_add(changes, arena, NULL, "change the home of %s from %s to %s (files are not moved)", p->name,
			    a->user.home, p->home);
	else if (a->is_there && !fs_exists(a->ctx->machine.root, a->user.home))
		changes_add(changes, arena, NULL, "make the home directory %s", a->user.home);
	if (account_has_other_group(a))
		changes_add(changes, arena, NULL, "change the primary group of %s to %s", p->name, p->group);
	if (a->is_there && a->groups_to_join.count)
		changes_add(changes, arena, NULL, "add %s to %s", p->name, strs_join(&a->groups_to_join, ", ", arena));
	for (size_t i = 0; i < a->keys_to_add.count; i++)
		changes_add(changes, arena, NULL, "let %s in as %s", user_key_text(a->keys_to_add.items[i], arena),
			    p->name);
	for (size_t i = 0; i < a->keys_to_drop.count; i++)
		changes_add(changes, arena, NULL, "no longer let %s in as %s",
			    user_key_text(a->keys_to_drop.items[i], arena), p->name);
}

static int user_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO(account_clear) struct account a;
	int r = account_load(params, ctx, &a, err);
	if (r < 0) return r;
	if (a.p->state == USER_PRESENT)
		probe_account(&a, changes);
	else if (a.is_there)
		changes_add(changes, ctx->arena, NULL, "remove account %s (its files in %s stay)", a.p->name,
			    a.user.home);
	return probe_sudo(&a, changes, err);
}

const struct step_type step_user = {
	.name = "user",
	.summary = "an account: groups, authorized keys, sudo; its password is locked, keys alone let in",
	.example = "- name: Ana\n"
		   "  user:\n"
		   "    name: ana\n"
		   "    groups: [data]\n"
		   "    keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1GyCMnvLWE1DzmDCHGPxIZ0VQDSnZ1d2xYg5mG4n2A "
		   "ana@laptop\"]\n",
	.shape = {.fields = user_fields, .size = sizeof(struct user_params), .scalar_field = "name"},
	.timeout_ms = 10LL * 60 * 1000,
	.check = user_check,
	.resources = user_resources,
	.probe = user_probe,
	.apply = user_apply,
};
