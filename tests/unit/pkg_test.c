#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pkg_fixture.h"

static const char installed[] = "installed\tapt\tamd64\t2.6.1\tapt-transport-https (= 2.6.1)\n"
				"installed\tdpkg\tamd64\t1.21.22\t\n"
				"installed\tgit\tamd64\t1:2.39.5-0+deb12u2\tgit-completion, git-core\n"
				"config-files\tnano\tamd64\t7.2-1\teditor\n"
				"half-configured\tvim\tamd64\t9.0\teditor\n"
				"installed\tlibc6\ti386\t2.36-9\t\n"
				"installed\tmake\tamd64\t4.3-4.1\tmake:any (= 4.3)\n"
				"installed\tmawk\tamd64\t1.3.4\tawk\n"
				"installed\tpython3-pip\tall\t23.0.1\t\n"
				"installed\tg++\tamd64\t4:12.2.0-3\tc++-compiler, c++abi2-dev (= 12)\n";

static const struct {
	const char *asked, *version;
	bool is_provided;
} matches[] = {
	{"git", "1:2.39.5-0+deb12u2", false},
	{"git:amd64", "1:2.39.5-0+deb12u2", false},
	{"git:any", "1:2.39.5-0+deb12u2", false},
	{"git:native", "1:2.39.5-0+deb12u2", false},
	{"git:arm64", NULL, false},
	{"git=1:2.39.5-0+deb12u2", "1:2.39.5-0+deb12u2", false},
	{"git=1:2.39*", "1:2.39.5-0+deb12u2", false},
	{"git=1:2.40", NULL, false},
	{"git/bookworm", "1:2.39.5-0+deb12u2", false},
	{"gi", NULL, false},
	{"nano", NULL, false},
	{"vim", NULL, false},
	{"libc6", NULL, false},
	{"libc6:i386", "2.36-9", false},
	{"make", "4.3-4.1", false},
	{"awk", "1.3.4", true},
	{"git-core", "1:2.39.5-0+deb12u2", true},
	{"git-cor", NULL, false},
	{"apt-transport-https", "2.6.1", true},
	{"apt-transport-https=2.6.1", NULL, false},
	{"c++abi2-dev", "12", true},
	{"editor", NULL, false},
	{"python3-pip", "23.0.1", false},
	{"g++", "4:12.2.0-3", false},
};

static void apt_presence(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs names = {0};
	struct pkg_installed ret[COUNT(matches)];
	AUTO_FREE char *lines = mem_strdup(installed);
	for (size_t i = 0; i < COUNT(matches); i++) strs_add(&names, matches[i].asked);
	apt_match(lines, &names, &arena, ret);
	for (size_t i = 0; i < COUNT(matches); i++)
		if (!str_eq(ret[i].name, matches[i].asked) || !str_eq(ret[i].version, matches[i].version) ||
		    ret[i].is_provided != matches[i].is_provided)
			fail_msg("%s: %s%s", matches[i].asked, ret[i].version ? ret[i].version : "missing",
				 ret[i].is_provided ? " (provided)" : "");
}

static void apt_pending_updates(void **state) {
	static const struct {
		bool security_only;
		const char *names;
	} rows[] = {{false, "libssl3 linux-aws tzdata"}, {true, "libssl3 linux-aws"}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_STRS struct strs names = {0}, kept = {0};
		AUTO_FREE char *lines = mem_strdup(simulation);
		apt_upgrades(lines, rows[i].security_only, &arena, &names, &kept);
		assert_string_equal(strs_join(&names, " ", &arena), rows[i].names);
		assert_string_equal(strs_join(&kept, " ", &arena), "linux-aws=6.8.0.1029.31");
	}
}

static void kernel_and_nvidia_are_kept(void **state) {
	static const char *const kept[] = {
		"linux-aws",	     "linux-image-6.8.0-1030-aws", "kernel",	       "kernel6.12", "kernel-devel",
		"nvidia-driver-580", "libnvidia-compute-580",	   "cuda-toolkit-13-0"};
	static const char *const others[] = {"git", "kernelshark", "util-linux", "libssl3", "nvidia", "barracuda"};
	for (size_t i = 0; i < COUNT(kept); i++)
		if (!pkg_is_kept(kept[i])) fail_msg("%s is not kept", kept[i]);
	for (size_t i = 0; i < COUNT(others); i++)
		if (pkg_is_kept(others[i])) fail_msg("%s is kept", others[i]);
}

/* Whole output of a failed tool, the names that exist, and what we say. */
static const struct {
	const char *name;
	bool is_dnf;
	const char *output, *known;
	enum err_code code;
	const char *message;
} failures[] = {
	{"apt: unknown, with a near name", false, "Reading package lists...\nE: Unable to locate package gti\n",
	 "bti\ngta\ngdb\ngit\ngitk\n", ERR_NOT_FOUND, "package 'gti' is in no repository; did you mean 'git'?"},
	{"apt: unknown, nothing near", false, "E: Unable to locate package frobnicate\n", "gdb\ngit\n", ERR_NOT_FOUND,
	 "package 'frobnicate' is in no repository"},
	{"apt: version and candidate", false,
	 "E: Version '9.9' for 'git' was not found\nE: Package 'foo' has no installation candidate\n", "",
	 ERR_NOT_FOUND,
	 "version '9.9' of package 'git' is in no repository; `apt-cache madison git` lists those that are; package "
	 "'foo' "
	 "is known by name only: no repository of this machine has it"},
	{"apt: lock", false,
	 "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1719 (unattended-upgr)\n"
	 "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n",
	 "", ERR_BUSY,
	 "the package database stayed locked for 10 min: E: Could not get lock /var/lib/dpkg/lock-frontend. It is held "
	 "by "
	 "process 1719 (unattended-upgr)"},
	{"apt: not root", false,
	 "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\n"
	 "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n",
	 "", ERR_DENIED,
	 "apt-get: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied); Unable to "
	 "acquire "
	 "the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?"},
	{"apt: DNS", false,
	 "Err:1 http://deb.debian.org/debian bookworm/main amd64 sl amd64 5.02-1+b1\n"
	 "  Temporary failure resolving 'deb.debian.org'\n"
	 "E: Failed to fetch http://deb.debian.org/debian/pool/main/s/sl/sl.deb  Temporary failure resolving "
	 "'deb.debian.org'\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n",
	 "", ERR_NET,
	 "a package mirror could not be used: E: Failed to fetch http://deb.debian.org/debian/pool/main/s/sl/sl.deb  "
	 "Temporary failure resolving 'deb.debian.org'; check DNS, routes and proxy"},
	{"apt: index older than the mirror", false,
	 "E: Failed to fetch http://mirror/git_2.34.deb  404  Not Found [IP: 10.0.0.1 80]\n", "", ERR_REMOTE,
	 "the mirror lacks a file that its own index names: E: Failed to fetch http://mirror/git_2.34.deb  404  Not "
	 "Found "
	 "[IP: 10.0.0.1 80]"},
	{"apt: disk, before the failed dpkg", false,
	 "dpkg: error processing archive /var/cache/apt/archives/r.deb (--unpack):\n"
	 " cannot copy extracted data for './usr/lib/R' to '/usr/lib/R.dpkg-new': failed to write (No space left on "
	 "device)\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n",
	 "", ERR_NO_SPACE,
	 "the disk is full: cannot copy extracted data for './usr/lib/R' to '/usr/lib/R.dpkg-new': failed to write (No "
	 "space left on device); free some space (`sudo apt-get clean`) or enlarge the volume"},
	{"apt: dependencies", false,
	 "The following packages have unmet dependencies:\n foo : Depends: bar (>= 2) but 1.0 is to be installed\n"
	 "E: Unable to correct problems, you have held broken packages.\n",
	 "", ERR_COMMAND, "the packages do not fit together: foo : Depends: bar (>= 2) but 1.0 is to be installed"},
	{"apt: held", false,
	 "The following held packages will be changed:\n  git\n1 upgraded, 0 newly installed, 0 to remove\n"
	 "E: Held packages were changed and -y was used without --allow-change-held-packages.\n",
	 "", ERR_INVALID,
	 "held packages would have to change: git; release them with `apt-mark unhold` or leave them out"},
	{"apt: postinst", false,
	 "Setting up foo (1.0) ...\ndpkg: error processing package foo (--configure):\n"
	 " installed foo package post-installation script subprocess returned error exit status 3\n"
	 "Errors were encountered while processing:\n foo\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n",
	 "", ERR_COMMAND,
	 "package 'foo' could not be set up: installed foo package post-installation script subprocess returned error "
	 "exit "
	 "status 3; mend the cause, then `sudo dpkg --configure -a`"},
	{"dnf: unknown", true,
	 "Last metadata expiration check: 0:00:01 ago.\nNo match for argument: gti\nNo match for argument: zzzzzzzz\n"
	 "Error: Unable to find a match: gti zzzzzzzz\n",
	 "git\nmake\n", ERR_NOT_FOUND,
	 "package 'gti' is in no repository; did you mean 'git'?; package 'zzzzzzzz' is in no repository"},
	{"dnf: rpm lock", true,
	 "RPM: error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)\n"
	 "Error: Could not run transaction.\n",
	 "", ERR_BUSY,
	 "the rpm database stayed locked for 10 min: RPM: error: can't create transaction lock on "
	 "/var/lib/rpm/.rpm.lock "
	 "(Resource temporarily unavailable)"},
	{"dnf: network", true,
	 "Errors during downloading metadata for repository 'amazonlinux':\n"
	 "  - Curl error (6): Couldn't resolve host name for https://cdn.example/mirror.list [Could not resolve host]\n"
	 "Error: Failed to download metadata for repo 'amazonlinux': Cannot prepare internal mirrorlist\n",
	 "", ERR_NET,
	 "a package repository could not be used (amazonlinux): Curl error (6): Couldn't resolve host name for "
	 "https://cdn.example/mirror.list [Could not resolve host]; check DNS, routes and proxy"},
	{"dnf: curl", true,
	 "Error: \n Problem: problem with installed package curl-minimal-8.5.0-1.amzn2023.0.4.x86_64\n"
	 "  - package curl-minimal-8.5.0-1.amzn2023.0.4.x86_64 conflicts with curl provided by curl-8.5.0-1\n"
	 "  - conflicting requests\n",
	 "", ERR_COMMAND,
	 "the packages do not fit together: Problem: problem with installed package "
	 "curl-minimal-8.5.0-1.amzn2023.0.4.x86_64: package curl-minimal-8.5.0-1.amzn2023.0.4.x86_64 conflicts with "
	 "curl "
	 "provided by curl-8.5.0-1; Amazon Linux comes with curl-minimal, which has the curl command: leave curl out, "
	 "or "
	 "run `sudo dnf swap curl-minimal curl-full` first"},
	{"dnf: disk", true,
	 "Error: Transaction test error:\n  installing package R-core-4.3.2-1.x86_64 needs 120MB more space on the / "
	 "filesystem\n",
	 "", ERR_NO_SPACE,
	 "the disk is full: installing package R-core-4.3.2-1.x86_64 needs 120MB more space on the / filesystem; free "
	 "some "
	 "space (`sudo dnf clean packages`) or enlarge the volume"},
	{"dnf: scriptlet", true, "error: %prein(foo-1.0-1.noarch) scriptlet failed, exit status 1\n", "", ERR_COMMAND,
	 "a package's own script failed: error: %prein(foo-1.0-1.noarch) scriptlet failed, exit status 1; see the "
	 "step's "
	 "log"},
	{"dnf: anything else", true, "Error: There are no enabled repositories in \"/etc/yum.repos.d\".\n", "",
	 ERR_COMMAND, "dnf: There are no enabled repositories in \"/etc/yum.repos.d\"."},
};

static void failures_are_explained(void **state) {
	for (size_t i = 0; i < COUNT(failures); i++) {
		const struct answer names[] = {{0, failures[i].known}, {0, failures[i].known}, {0, NULL}};
		struct stub s;
		stub_open(&s, tools);
		stub_answers(&s, names, COUNT(names));
		struct machine m = stub_machine(&s);
		struct pkg_run run = {.output = BUF_INIT(PKG_OUTPUT_MAX)};
		struct err err;
		(void)err_set(&err, ERR_COMMAND, "the tool's tail");
		buf_adds(&run.output, failures[i].output);
		run.trouble = pkg_classify(failures[i].is_dnf ? dnf_rules : apt_rules, failures[i].output);
		int rc = failures[i].is_dnf ? dnf_explain(&m, &run, &err) : apt_explain(&m, &run, &err);
		if (rc != -(int)failures[i].code || !str_eq(err.msg, failures[i].message))
			fail_msg("%s: %d %s", failures[i].name, rc, err.msg);
		pkg_run_clear(&run);
		stub_close(&s);
	}
}

static const struct {
	const char *name, *asked;
	struct answer answers[ANSWERS_MAX];
	const char *found; /* name=version, name~version when provided by another, name- when missing */
} rpms[] = {
	{"one line each", "git make", {{0, "git\t2.40.1-1\nmake\t4.3-5\n"}}, "git=2.40.1-1 make=4.3-5 "},
	{"a missing one is asked again by what it provides",
	 "git nano editor",
	 {{2, "git\t2.40.1-1\npackage nano is not installed\npackage editor is not installed\n"},
	  {1, "no package provides nano\nvim\t9.0-1\n"}},
	 "git=2.40.1-1 nano- editor~9.0-1 "},
	{"two kernels: each name is asked alone",
	 "kernel git",
	 {{0, "kernel\t6.1.1-1\nkernel\t6.1.2-1\ngit\t2.40.1-1\n"},
	  {0, "kernel\t6.1.1-1\nkernel\t6.1.2-1\n"},
	  {0, "git\t2.40.1-1\n"}},
	 "kernel=6.1.2-1 git=2.40.1-1 "},
	{"a path that nobody has prints no line",
	 "two-of-me /no/such",
	 {{2, "package two-of-me is not installed\npackage /no/such is not installed\n"},
	  {0, "a\t1-1\nb\t2-1\n"},
	  {1, ""}},
	 "two-of-me~2-1 /no/such- "},
};

static void rpm_presence(void **state) {
	for (size_t i = 0; i < COUNT(rpms); i++) {
		AUTO_STRS struct strs names = {0};
		AUTO_BUF struct buf got = BUF_INIT(1000);
		struct pkg_installed found[ANSWERS_MAX];
		struct stub s;
		struct err err = {0};
		stub_open(&s, tools);
		stub_answers(&s, rpms[i].answers, ANSWERS_MAX);
		struct machine m = stub_machine(&s);
		str_split(rpms[i].asked, " ", &s.arena, &names);
		if (pkg_dnf.query(&m, &names, found, &err)) fail_msg("%s: %s", rpms[i].name, err.msg);
		for (size_t k = 0; k < names.count; k++)
			buf_addf(&got, "%s%s%s ", found[k].name,
				 !found[k].version	? "-"
				 : found[k].is_provided ? "~"
							: "=",
				 found[k].version ? found[k].version : "");
		if (!str_eq(buf_str(&got), rpms[i].found)) fail_msg("%s: %s", rpms[i].name, buf_str(&got));
		stub_close(&s);
	}
}

static void managers_have_names(void **state) {
	assert_ptr_equal(pkg_manager("apt"), &pkg_apt);
	assert_ptr_equal(pkg_manager("dnf"), &pkg_dnf);
	assert_null(pkg_manager(""));
	assert_null(pkg_manager("apk"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apt_presence),
		cmocka_unit_test(apt_pending_updates),
		cmocka_unit_test(kernel_and_nvidia_are_kept),
		cmocka_unit_test(failures_are_explained),
		cmocka_unit_test(rpm_presence),
		cmocka_unit_test(managers_have_names),
	};
	return cmocka_run_group_tests_name("pkg", tests, NULL, NULL);
}
