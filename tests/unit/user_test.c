#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/user.h"
#include "tree.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "# a comment:x:1:1:::\n"
			     "+::::::\n"
			     "short:x:5\n"
			     "bad-uid:x:-4:5::/:/bin/sh\n"
			     "huge:x:4294967295:5::/:/bin/sh\n"
			     "ubuntu:x:1000:1001:Ubuntu,,,:/home/ubuntu:/bin/bash\n"
			     "twin:x:1000:1000::/home/twin:/bin/zsh\n"
			     "bare:x:1002:1002:::\n"
			     "7:x:1003:1003::/home/seven:/bin/sh\n"
			     "last:x:4294967294:9::/home/last:/bin/sh";
static const char group[] = "root:x:0:\nadm:x:4:syslog,ubuntu\nubuntu:x:1001:\n12:x:99:\n";

static const struct {
	const char *asked, *answer; /* "name uid gid home shell", or the message */
} users[] = {
	{"root", "root 0 0 /root /bin/bash"},
	{"ubuntu", "ubuntu 1000 1001 /home/ubuntu /bin/bash"},
	{"1000", "ubuntu 1000 1001 /home/ubuntu /bin/bash"},
	{"7", "7 1003 1003 /home/seven /bin/sh"},
	{"bare", "bare 1002 1002 / /bin/sh"},
	{"last", "last 4294967294 9 /home/last /bin/sh"},
	{"ubunut", "user 'ubunut' is not in /etc/passwd; did you mean 'ubuntu'?"},
	{"bad-uid", "user 'bad-uid' is not in /etc/passwd"},
	{"huge", "user 'huge' is not in /etc/passwd"},
	{"4242", "user '4242' is not in /etc/passwd"},
	{"-1", "user '-1' is not in /etc/passwd"},
	{"", "user '' is not in /etc/passwd"},
};

static void accounts_are_found(void **state) {
	struct tree t;
	tree_open(&t);
	tree_write(&t, "/etc/passwd", passwd, 0644);
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct err err = {0};
		struct exec_user u = {0};
		int rc = user_find(&t.root, users[i].asked, &arena, &u, &err);
		const char *got = rc ? err.msg
				     : arena_printf(&arena, "%s %lld %lld %s %s", u.name, (long long)u.uid,
						    (long long)u.gid, u.home, u.shell);
		assert_string_equal(got, users[i].answer);
		if (rc) assert_int_equal(err.code, ERR_NOT_FOUND);
	}
	tree_close(&t);
}

static const struct {
	const char *asked, *error; /* NULL: found */
	gid_t gid;
} groups[] = {
	{"adm", NULL, 4},
	{"12", NULL, 99},
	{"4242", NULL, 4242},
	{"amd", "group 'amd' is not in /etc/group; did you mean 'adm'?", 0},
	{"4294967295", "group '4294967295' is not in /etc/group", 0},
};

static void groups_are_found(void **state) {
	struct tree t;
	tree_open(&t);
	tree_write(&t, "/etc/group", group, 0644);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		struct err err = {0};
		gid_t gid = 0;
		int rc = user_group(&t.root, groups[i].asked, &gid, &err);
		if (groups[i].error) {
			assert_int_equal(rc, -ERR_NOT_FOUND);
			assert_string_equal(err.msg, groups[i].error);
		} else {
			assert_int_equal(rc, 0);
			assert_int_equal(gid, groups[i].gid);
		}
	}
	tree_close(&t);
}

static void names_come_back(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct tree t;
	tree_open(&t);
	assert_string_equal(user_name(&t.root, 1000, &arena), "1000"); /* no file at all */
	tree_write(&t, "/etc/passwd", passwd, 0644);
	tree_write(&t, "/etc/group", group, 0644);
	assert_string_equal(user_name(&t.root, 1000, &arena), "ubuntu");
	assert_string_equal(user_name(&t.root, 4242, &arena), "4242");
	assert_string_equal(user_group_name(&t.root, 4, &arena), "adm");
	assert_string_equal(user_group_name(&t.root, 5, &arena), "5");
	tree_close(&t);
}

static void a_missing_file_is_said(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct err err = {0};
	struct exec_user u;
	struct tree t;
	gid_t gid;
	tree_open(&t);
	assert_int_equal(user_find(&t.root, "ubuntu", &arena, &u, &err), -ERR_NOT_FOUND);
	assert_true(strstr(err.msg, "user 'ubuntu': ") == err.msg && strstr(err.msg, "/etc/passwd"));
	assert_int_equal(user_group(&t.root, "adm", &gid, &err), -ERR_NOT_FOUND);
	assert_int_equal(user_group(&t.root, "17", &gid, &err), 0);
	assert_int_equal(gid, 17);
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accounts_are_found),
		cmocka_unit_test(groups_are_found),
		cmocka_unit_test(names_come_back),
		cmocka_unit_test(a_missing_file_is_said),
	};
	return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}
