#pragma once
/*
 * What the files of the `user` step share: its parameters, and what was read of the account (user_account.c) for the
 * probe (step_user.c) and the work (user_apply.c).
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/exec.h"
#include "base/str.h"
#include "steps/text_file.h"

struct changes;

enum user_state { USER_PRESENT, USER_ABSENT };

struct user_params {
	const char *name, *comment, *group, *home, *shell, *like;
	struct strs groups, keys, sudo;
	int64_t uid;
	int state;
	bool has_uid, only_keys;
};

/* What is there and what is wanted. */
struct account {
	const struct user_params *p;
	struct step_ctx *ctx;
	bool is_there, has_password;
	struct exec_user user;
	gid_t gid; /* wanted primary group, if given and there */
	bool has_gid;
	struct strs groups_missing; /* not in group(5) */
	struct strs groups_to_join;
	struct strs keys_to_add, keys_to_drop;
	const char *keys_text; /* as it is */
};

/** Reads passwd, group, shadow and authorized_keys. ERR_STATE for an account that has another uid. */
CHECK_RESULT int account_load(const struct user_params *p, struct step_ctx *ctx, struct account *a, struct err *err);
void account_clear(struct account *a);

bool user_wants_all_sudo(const struct user_params *p);
bool account_wants_no_sudo(const struct account *a);
bool account_has_other_group(const struct account *a);
/** True if a text is wanted and is not what is there. */
bool account_differs(const char *wanted, const char *is);
/** The gid of a group; *ret_is_there is whether there is one. */
CHECK_RESULT int account_find_group(const struct account *a, const char *name, gid_t *ret_gid, bool *ret_is_there,
				    struct err *err);
/** The drop-in of sudoers(5) that gives what the step wants. */
struct text_file account_sudo_file(const struct account *a);

/** user_apply.c */
int user_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err);
