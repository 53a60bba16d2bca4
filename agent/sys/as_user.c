#include "sys/as_user.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/exec.h"

void as_user_end(struct as_user *before) {
	if (!before->is_other) return;
	/* Going on with half of somebody else's rights would be worse than ending. */
	if (seteuid(before->uid) < 0 || setegid(before->gid) < 0 ||
	    setgroups((size_t)before->group_count, before->groups) < 0)
		abort();
	before->is_other = false;
}

int as_user_begin(const struct exec_user *user, struct as_user *ret_before, struct err *err) {
	struct as_user before = {.uid = geteuid(), .gid = getegid()};
	*ret_before = (struct as_user){0};
	if (before.uid != 0 || user->uid == 0) return 0;
	before.group_count = getgroups((int)(sizeof before.groups / sizeof *before.groups), before.groups);
	if (before.group_count < 0) return err_set_errno(err, errno, "the groups of this process");
	before.is_other = true;
	if (setgroups(0, NULL) < 0 || setegid(user->gid) < 0 || seteuid(user->uid) < 0) {
		int errnum = errno;
		as_user_end(&before);
		return err_set_errno(err, errnum, "cannot act as %s", user->name);
	}
	*ret_before = before;
	return 0;
}
