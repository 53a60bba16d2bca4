#include "step_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "steps/steps.h"
#include "steps/user_keys.h"

#define ED "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1GyCMnvLWE1DzmDCHGPxIZ0VQDSnZ1d2xYg5mG4n2A"
#define ED2 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1GyCMnvLWE1DzmDCHGPxIZ0VQDSnZ1d2xYg5mG4n2B"

struct row {
	const char *yaml, *probe;
};

static void put(struct fixture *f, const char *path, const char *text, mode_t mode) {
	struct fs_write how = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	char dir[128];
	(void)snprintf(dir, sizeof dir, "%s", path);
	*strrchr(dir, '/') = '\0';
	assert_int_equal(fs_mkdirs(&f->root, dir, 0755, (uid_t)-1, (gid_t)-1, &f->err), 0);
	assert_int_equal(fs_write(&f->root, path, text, strlen(text), &how, &f->err), 0);
}

static const char *get(struct fixture *f, const char *path) {
	AUTO_BUF struct buf b = BUF_INIT(64 * 1024);
	if (fs_read(&f->root, path, &b, &f->err) < 0) return "(none)";
	return arena_strdup(&f->arena, buf_str(&b));
}

/* A small machine: ubuntu with a key, ana with a password and in the wrong places. Accounts are ours, to own files. */
static void open_tree(struct fixture *f) {
	fixture_open(f, false);
	assert_int_equal(chmod(f->dir, 0755), 0);
	const char *passwd = arena_printf(&f->arena,
					  "root:x:0:0::/root:/bin/bash\n"
					  "ubuntu:x:%u:%u::/home/ubuntu:/bin/bash\n"
					  "ana:x:%u:%u:Ana:/home/ana:/bin/sh\n",
					  geteuid(), getegid(), geteuid(), getegid());
	put(f, "/etc/passwd", passwd, 0644);
	put(f, "/etc/group", arena_printf(&f->arena, "mine:x:%u:\nsudo:x:27:ubuntu\nvideo:x:44:\n", getegid()), 0644);
	put(f, "/etc/shadow", "root:*:1::::::\nubuntu:!:1::::::\nana:$6$x$y:1::::::\nnopw::1::::::\n", 0600);
	put(f, "/home/ubuntu/.ssh/authorized_keys", "# launch key\n" ED " key-pair\n", 0600);
	put(f, "/home/ana/.ssh/authorized_keys", "no-pty,command=\"a b\" " ED2 " old\n", 0600);
}

static void probes_say_what_is_missing(void **state) {
	static const struct row rows[] = {
		{"ben", "make account ben\n"},
		{"{name: ben, groups: [video, data], keys: \"" ED " ben@x\", sudo: all}",
		 "make group data\n"
		 "make account ben in groups video, data\n"
		 "let ssh-ed25519 …mG4n2A ben@x in as ben\n"
		 "write /etc/sudoers.d/90-dsagent-ben\n--- /dev/null\n+++ /etc/sudoers.d/90-dsagent-ben\n"
		 "@@ -0,0 +1,2 @@\n+# Written by dsagent: change the recipe instead.\n"
		 "+ben ALL=(ALL:ALL) NOPASSWD: ALL\n"},
		{"{name: ubuntu, groups: [sudo, mine], shell: /bin/bash, home: /home/ubuntu, group: mine}", ""},
		{"ana", "lock the password of ana: it is reached by keys alone\n"},
		{"{name: ana, shell: /bin/zsh, home: /data/ana, groups: [sudo], group: video}",
		 "lock the password of ana: it is reached by keys alone\n"
		 "change the shell of ana from /bin/sh to /bin/zsh\n"
		 "change the home of ana from /home/ana to /data/ana (files are not moved)\n"
		 "change the primary group of ana to video\n"
		 "add ana to sudo\n"},
		{"{name: ubuntu, keys: [\"" ED " another comment\"]}", ""},
		{"{name: ubuntu, keys: \"" ED2 "\", only_keys: true}",
		 "let ssh-ed25519 …mG4n2B in as ubuntu\n"
		 "no longer let ssh-ed25519 …mG4n2A key-pair in as ubuntu\n"},
		{"{name: ben, like: ubuntu}", "make account ben\nlet ssh-ed25519 …mG4n2A key-pair in as ben\n"},
		{"{name: ben, like: root}", "error: like: root has no authorized keys to take over: was the instance "
					    "launched with a key pair?"},
		{"{name: ben, like: ubunut}",
		 "error: like: ubunut: user 'ubunut' is not in /etc/passwd; did you mean 'ubuntu'?"},
		{"{name: ubuntu, uid: 4711}", "error: account ubuntu is there with uid UID, the recipe wants 4711: its "
					      "files would belong to nobody. "
					      "Take the uid out of the recipe, or use another name"},
		{"{name: ana, state: absent}", "remove account ana (its files in /home/ana stay)\n"},
		{"{name: ben, state: absent}", ""},
	};
	struct fixture f;
	open_tree(&f);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *want = rows[i].probe, *uid = strstr(want, "uid UID");
		if (uid) want = arena_printf(&f.arena, "%.*suid %u%s", (int)(uid - want), want, geteuid(), uid + 7);
		assert_string_equal(fixture_probe(&f, &step_user, rows[i].yaml), want);
	}
	fixture_close(&f);
}

static void keys_are_written_beside_the_old_ones(void **state) {
	struct fixture f;
	struct stat st;
	open_tree(&f);
	assert_string_equal(fixture_apply(&f, &step_user, "{name: ubuntu, keys: [\"" ED2 " new\"]}"), "");
	assert_string_equal(get(&f, "/home/ubuntu/.ssh/authorized_keys"),
			    "# launch key\n" ED " key-pair\n" ED2 " new\n");
	assert_int_equal(stat(arena_printf(&f.arena, "%s/home/ubuntu/.ssh/authorized_keys", f.dir), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(fixture_apply(&f, &step_user, "{name: ubuntu, keys: [\"" ED2 " new\"], only_keys: true}"),
			    "");
	assert_string_equal(get(&f, "/home/ubuntu/.ssh/authorized_keys"), "# launch key\n" ED2 " new\n");
	assert_string_equal(fixture_probe(&f, &step_user, "{name: ubuntu, keys: [\"" ED2 "\"], only_keys: true}"), "");
	fixture_close(&f);
}

static void sudo_is_taken_away(void **state) {
	struct fixture f;
	open_tree(&f);
	put(&f, "/etc/sudoers.d/90-dsagent-ubuntu", "x\n", 0440);
	assert_string_equal(fixture_probe(&f, &step_user, "ubuntu"),
			    "take sudo from ubuntu (/etc/sudoers.d/90-dsagent-ubuntu)\n");
	assert_string_equal(fixture_apply(&f, &step_user, "ubuntu"), "");
	assert_string_equal(get(&f, "/etc/sudoers.d/90-dsagent-ubuntu"), "(none)");
	/* A tree without a shell is nobody's system: no tool of the host may work on the host instead. */
	assert_string_equal(
		fixture_apply(&f, &step_user, "ben"),
		arena_printf(&f.arena, "unsupported: %s is no system of its own: no account can be made there", f.dir));
	fixture_close(&f);
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"-rf", "r:1:1: '-rf' is no name for an account: lower-case letters, digits, _ and -, at most 32, a "
			"letter first\n"},
		{"root", "r:1:1: root is no account for a recipe to make or change\n"},
		{"{name: a, shell: bash}", "r:1:1: shell 'bash' is no absolute path\n"},
		{"{name: a, home: \"/h:x\"}", "r:1:1: home '/h:x' is no absolute path\n"},
		{"{name: a, sudo: [ls]}",
		 "r:1:1: sudo: 'ls' is neither `all` nor a command by its absolute path on one line\n"},
		{"{name: a, like: a}", "r:1:1: like names the account itself\n"},
		{"{name: a, only_keys: true}", "r:1:1: only_keys without keys would lock everybody out: give keys, or "
					       "`state: absent`\n"},
		{"{name: a, keys: \"-----BEGIN OPENSSH PRIVATE KEY-----\"}",
		 "r:1:1: keys: that is a private key: it belongs to its owner alone; the public one ends in .pub\n"},
		{"{name: a, keys: ssh-dss AAAA}",
		 "r:1:1: keys: ssh-dss keys are not taken by sshd any more: use ssh-ed25519\n"},
		{"{name: a, keys: \"ssh-ed25519 AAAAC3Nz\"}",
		 "r:1:1: keys: 'ssh-ed25519 AAAAC3Nz…' is no public key: a line of the .pub file, such as ssh-ed25519 "
		 "AAAA… ana@laptop\n"},
		{"{name: a, password: x}",
		 "r:1:11: unknown key 'password'; known here: name, state, groups, group, keys, "
		 "like, only_keys, sudo, shell, home, uid, comment\n"},
	};
	struct fixture f;
	open_tree(&f);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_user, rows[i].yaml), rows[i].probe);
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_say_what_is_missing),
		cmocka_unit_test(keys_are_written_beside_the_old_ones),
		cmocka_unit_test(sudo_is_taken_away),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
