#include "steps/user_account.h"

#include "base/buf.h"
#include "base/err.h"
#include "recipe/step.h"
#include "steps/user_keys.h"
#include "sys/user.h"

void account_clear(struct account *a) {
	strs_clear(&a->groups_missing);
	strs_clear(&a->groups_to_join);
	strs_clear(&a->keys_to_add);
	strs_clear(&a->keys_to_drop);
}

int account_find_group(const struct account *a, const char *name, gid_t *ret_gid, bool *ret_is_there, struct err *err) {
	int r = user_group(a->ctx->machine.root, name, ret_gid, err);
	*ret_is_there = r == 0;
	if (r == 0 || err->code != ERR_NOT_FOUND) return r;
	err_clear(err);
	return 0;
}

static int load_groups(struct account *a, struct err *err) {
	const struct user_params *p = a->p;
	AUTO_STRS struct strs member = {0};
	int r = a->is_there ? user_groups(a->ctx->machine.root, p->name, a->ctx->arena, &member, err) : 0;
	if (r == 0 && p->group) {
		r = account_find_group(a, p->group, &a->gid, &a->has_gid, err);
		if (r == 0 && !a->has_gid) strs_add_once(&a->groups_missing, p->group);
	}
	for (size_t i = 0; r == 0 && i < p->groups.count; i++) {
		gid_t gid = 0;
		bool is_there = false;
		r = account_find_group(a, p->groups.items[i], &gid, &is_there, err);
		if (!is_there) strs_add_once(&a->groups_missing, p->groups.items[i]);
		bool is_in = strs_has(&member, p->groups.items[i]) || (a->is_there && is_there && a->user.gid == gid);
		if (!is_in) strs_add_once(&a->groups_to_join, p->groups.items[i]);
	}
	return r;
}

static int wanted_keys(struct account *a, struct strs *ret_keys, struct err *err) {
	const struct user_params *p = a->p;
	struct arena *arena = a->ctx->arena;
	const struct fs_root *root = a->ctx->machine.root;
	for (size_t i = 0; i < p->keys.count; i++) {
		int r = user_keys_split(p->keys.items[i], arena, ret_keys, err);
		if (r < 0) return err_wrap(err, "keys of %s", p->name);
	}
	if (!p->like) return 0;
	struct exec_user model;
	const char *text;
	size_t before = ret_keys->count;
	int r = user_find(root, p->like, arena, &model, err);
	if (r == 0) r = user_keys_read(root, &model, arena, &text, ret_keys, err);
	if (r < 0) return err_wrap(err, "like: %s", p->like);
	if (ret_keys->count == before)
		return err_set(err, ERR_NOT_FOUND,
			       "like: %s has no authorized keys to take over: was the instance launched with a key "
			       "pair?",
			       p->like);
	return 0;
}

static int load_keys(struct account *a, struct err *err) {
	AUTO_STRS struct strs wanted = {0};
	AUTO_STRS struct strs have = {0};
	a->keys_text = "";
	int r = wanted_keys(a, &wanted, err);
	if (r == 0 && a->is_there && wanted.count)
		r = user_keys_read(a->ctx->machine.root, &a->user, a->ctx->arena, &a->keys_text, &have, err);
	if (r < 0) return r;
	user_keys_missing(&wanted, &have, a->ctx->arena, &a->keys_to_add);
	if (a->p->only_keys) user_keys_missing(&have, &wanted, a->ctx->arena, &a->keys_to_drop);
	return 0;
}

int account_load(const struct user_params *p, struct step_ctx *ctx, struct account *a, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	*a = (struct account){.p = p, .ctx = ctx};
	int r = user_find(root, p->name, ctx->arena, &a->user, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	a->is_there = r == 0;
	err_clear(err);
	if (p->state == USER_ABSENT) return 0;
	if (a->is_there && user_has_password(root, p->name, &a->has_password, err) < 0) {
		if (err->code != ERR_DENIED) return -(int)err->code;
		err_clear(err); /* a plan without root: what it may not read it cannot show */
	}
	if (a->is_there && p->has_uid && a->user.uid != (uid_t)p->uid)
		return err_set(err, ERR_STATE,
			       "account %s is there with uid %lld, the recipe wants %lld: its files would belong to "
			       "nobody. Take the uid out of the recipe, or use another name",
			       p->name, (long long)a->user.uid, (long long)p->uid);
	r = load_groups(a, err);
	return r < 0 ? r : load_keys(a, err);
}

/* The drop-in: visudo(8) passes over names with a dot, and ours has none. */
struct text_file account_sudo_file(const struct account *a) {
	struct arena *arena = a->ctx->arena;
	const struct user_params *p = a->p;
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	buf_addf(&text, "# Written by dsagent: change the recipe instead.\n%s ALL=(ALL:ALL) NOPASSWD: ", p->name);
	if (user_wants_all_sudo(p)) buf_adds(&text, "ALL");
	for (size_t i = 0; i < p->sudo.count && !user_wants_all_sudo(p); i++) {
		buf_adds(&text, i ? ", " : "");
		for (const char *c = p->sudo.items[i]; *c; c++) {
			if (strchr(",:=\\", *c)) buf_addc(&text, '\\'); /* sudoers(5), "Other special characters" */
			buf_addc(&text, *c);
		}
	}
	buf_addc(&text, '\n');
	return (struct text_file){.path = arena_printf(arena, "/etc/sudoers.d/90-dsagent-%s", p->name),
				  .content = arena_strdup(arena, buf_str(&text)),
				  .mode = 0440};
}

bool user_wants_all_sudo(const struct user_params *p) {
	const char *word = p->sudo.count == 1 ? p->sudo.items[0] : "";
	return str_eq(word, "all") || str_eq(word, "ALL") || str_eq(word, "true");
}

bool account_wants_no_sudo(const struct account *a) { return !a->p->sudo.count || a->p->state == USER_ABSENT; }

bool account_has_other_group(const struct account *a) {
	return a->is_there && a->p->group && (!a->has_gid || a->gid != a->user.gid);
}

bool account_differs(const char *wanted, const char *is) { return wanted && !str_eq(wanted, is); }
