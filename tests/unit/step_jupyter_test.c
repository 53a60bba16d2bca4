#include "step_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "steps/steps.h"

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

static void open_tree(struct fixture *f) {
	fixture_open(f, false);
	(void)snprintf(f->facts.os.login_user, sizeof f->facts.os.login_user, "ubuntu");
	(void)snprintf(f->facts.instance.private_ip, sizeof f->facts.instance.private_ip, "10.0.0.5");
	put(f, "/etc/passwd",
	    "root:x:0:0::/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\nana:x:1001:1001::/data/"
	    "ana:/bin/sh\n",
	    0644);
}

static const char unit[] =
	"# Written by dsagent: change the recipe instead.\n"
	"[Unit]\nDescription=JupyterLab\nWants=network-online.target\nAfter=network-online.target\n\n"
	"[Service]\nType=exec\n"
	"ExecStart=/opt/ds/bin/jupyter-lab --config=/etc/dsagent/jupyter/jupyter.json\n"
	"User=ubuntu\nWorkingDirectory=/home/ubuntu/notebooks\n";

static void the_plan_shows_no_token(void **state) {
	struct fixture f;
	open_tree(&f);
	const char *text = fixture_probe(&f, &step_jupyter, "/opt/ds");
	static const char head[] =
		"write /etc/dsagent/jupyter/jupyter.json\n"
		"--- /dev/null\n+++ /etc/dsagent/jupyter/jupyter.json\n@@ -0,0 +1,10 @@\n+{\n"
		"+  \"ServerApp\": {\n+    \"ip\": \"127.0.0.1\",\n+    \"port\": 8888,\n"
		"+    \"port_retries\": 0,\n+    \"open_browser\": false,\n+    \"allow_root\": false,\n"
		"+    \"root_dir\": \"/home/ubuntu/notebooks\"\n+  }\n+}\n"
		"write /etc/dsagent/jupyter/jupyter.token\n"
		"make directory /home/ubuntu/notebooks\n"
		"write /etc/systemd/system/jupyter.service\n";
	assert_int_equal(strncmp(text, head, sizeof head - 1), 0);
	assert_true(strstr(text, "+Environment=\"JUPYTER_TOKEN_FILE=/etc/dsagent/jupyter/jupyter.token\"\n"));
	assert_true(strstr(text, "enable jupyter.service\nstart jupyter.service\n"));
	fixture_close(&f);
}

/* What was interrupted before the unit was written is taken up: the token that was drawn stays. */
static void files_are_made_and_kept(void **state) {
	struct fixture f;
	struct stat st;
	AUTO_BUF struct buf first = BUF_INIT(4096), second = BUF_INIT(4096), text = BUF_INIT(4096);
	open_tree(&f);
	assert_string_equal(fixture_apply(&f, &step_jupyter, "/opt/ds"),
			    "not-found: /opt/ds/bin/jupyter-lab does not exist: JupyterLab comes with `python: {venv: "
			    "/opt/ds, sets: [jupyter]}`");
	put(&f, "/opt/ds/bin/jupyter-lab", "#!/bin/sh\n", 0755);
	if (geteuid() == 0) { /* the notebooks belong to ubuntu */
		assert_string_equal(fixture_apply(&f, &step_jupyter, "/opt/ds"),
				    "unsupported: systemd does not run here (a container or chroot): give the step "
				    "`when: facts.has_systemd`");
		assert_int_equal(fs_read(&f.root, "/etc/dsagent/jupyter/jupyter.token", &first, &f.err), 0);
		assert_int_equal(first.len, 48);
		assert_int_equal(stat(arena_printf(&f.arena, "%s/etc/dsagent/jupyter/jupyter.token", f.dir), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(stat(arena_printf(&f.arena, "%s/home/ubuntu/notebooks", f.dir), &st), 0);
		assert_int_equal(st.st_uid, 1000);
		assert_true(strstr(fixture_apply(&f, &step_jupyter, "/opt/ds"), "systemd does not run here"));
		assert_int_equal(fs_read(&f.root, "/etc/dsagent/jupyter/jupyter.token", &second, &f.err), 0);
		assert_string_equal(buf_str(&first), buf_str(&second));
		assert_int_equal(fs_read(&f.root, "/etc/systemd/system/jupyter.service", &text, &f.err), 0);
		assert_int_equal(strncmp(buf_str(&text), unit, sizeof unit - 1), 0);
		assert_null(strstr(buf_str(&text), buf_str(&first)));
	}
	fixture_close(&f);
}

static void wrong_things_are_refused(void **state) {
	static const struct row rows[] = {
		{"{venv: /opt/ds, address: 0.0.0.0}", "r:1:1: address 0.0.0.0 would open a shell to the network: it "
						      "needs cert, key and password_hash. Better "
						      "leave it at 127.0.0.1 and use `ssh -L 8888:127.0.0.1:8888`\n"},
		{"{venv: /opt/ds, address: 0.0.0.0, cert: /c, key: /k}",
		 "r:1:1: address 0.0.0.0 would open a shell to the network: it needs cert, key and password_hash. "
		 "Better "
		 "leave it at 127.0.0.1 and use `ssh -L 8888:127.0.0.1:8888`\n"},
		{"{venv: /opt/ds, address: '*'}", "r:1:1: address '*' is no IP address\n"},
		{"{venv: /opt/ds, cert: /c}", "r:1:1: cert and key belong together\n"},
		{"{venv: /opt/ds, password_hash: 'sha1:aa:bb'}",
		 "r:1:1: password_hash is no argon2 hash (argon2:$argon2id$…): make one with `jupyter server "
		 "password`; a "
		 "password itself or a sha1 of it has no place in a recipe\n"},
		{"{venv: ds}", "r:1:1: 'ds' is no absolute path\n"},
		{"{venv: /opt/ds, name: 'a b'}",
		 "r:1:1: 'a b' is no name of a service: lower-case letters, digits, - and _\n"},
		{"{venv: /opt/ds, user: root}", "error: JupyterLab is not run as root: give the step `user: NAME`"},
	};
	struct fixture f;
	open_tree(&f);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_jupyter, rows[i].yaml), rows[i].probe);
	f.facts.os.login_user[0] = '\0';
	assert_string_equal(fixture_probe(&f, &step_jupyter, "/opt/ds"),
			    "error: which account is JupyterLab to run as? This image has no login user: give the step "
			    "`user: NAME`");
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_shows_no_token),
		cmocka_unit_test(files_are_made_and_kept),
		cmocka_unit_test(wrong_things_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
