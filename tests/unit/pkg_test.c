#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/mem.h"
#include "stub.h"
#include "sys/pkg_impl.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ANSWERS_MAX 8
static const char *const tools[] = {"apt-get", "apt-cache", "dpkg", "dpkg-query", "dnf", "rpm", NULL};

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

static const char simulation[] =
	"Reading package lists...\n"
	"3 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\n"
	"Inst libssl3 [3.0.2-0ubuntu1.18] (3.0.2-0ubuntu1.20 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security "
	"[amd64])\n"
	"Inst linux-modules-6.8.0-1030-aws (6.8.0-1030.32 Ubuntu:22.04/jammy-updates [amd64])\n"
	"Inst linux-aws [6.8.0.1029.31] (6.8.0.1030.32 Ubuntu:22.04/jammy-security [amd64])\n"
	"Inst tzdata [2024a-0] (2025b-0 Ubuntu:22.04/jammy-updates [all]) []\n"
	"Conf libssl3 (3.0.2-0ubuntu1.20 Ubuntu:22.04/jammy-updates [amd64])\n";

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

static const char apt_install[] = "Reading package lists...\n"
				  "The following NEW packages will be installed:\n"
				  "  git git-man\n"
				  "0 upgraded, 2 newly installed, 0 to remove and 119 not upgraded.\n"
				  "Get:1 http://deb.debian.org/debian bookworm/main amd64 git-man all 2.39 [2000 kB]\n"
				  "Get:2 http://deb.debian.org/debian bookworm/main amd64 git amd64 2.39 [7000 kB]\n"
				  "Fetched 9000 kB in 0s (70.0 MB/s)\n"
				  "(Reading database ... 5%\n"
				  "Unpacking git-man (1:2.39.5) ...\n"
				  "Unpacking git (1:2.39.5) ...\n"
				  "Setting up git-man (1:2.39.5) ...\n"
				  "Setting up git (1:2.39.5) ...\n";
static const char dnf_install[] = "Last metadata expiration check: 0:00:01 ago on Fri Nov 20 13:00:00 2026.\n"
				  "(1/2): git-2.40.1-1.amzn2023.x86_64.rpm        1.2 MB/s |  55 kB     00:00\n"
				  "(2/2): git-core-2.40.1-1.amzn2023.x86_64.rpm    32 MB/s | 4.3 MB     00:00\n"
				  "Running transaction\n"
				  "  Preparing        :                                                        1/1 \n"
				  "  Installing       : git-core-2.40.1-1.amzn2023.x86_64                     1/2 \n"
				  "  Running scriptlet: git-core-2.40.1-1.amzn2023.x86_64                     1/2 \n"
				  "  Installing       : git-2.40.1-1.amzn2023.x86_64                          2/2 \n"
				  "  Verifying        : git-2.40.1-1.amzn2023.x86_64                          1/2 \n"
				  "  Verifying        : git-core-2.40.1-1.amzn2023.x86_64                     2/2 \n";

#define NONE                                                                                                           \
	{ .security_only = false }
#define APT                                                                                                            \
	"apt-get -y -q -o DPkg::Lock::Timeout=60 -o Acquire::Retries=5 -o Acquire::http::Timeout=30 -o "               \
	"Acquire::https::Timeout=30 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o "                         \
	"Dpkg::Options::=--force-confold "
#define APT_UPDATE APT "-o APT::Update::Error-Mode=any update\n"
#define APT_INSTALL APT "--no-install-recommends --no-upgrade install -- "
#define APT_RENEW APT "--no-install-recommends install -- "
#define APT_ALL APT "--no-install-recommends --only-upgrade install -- "
#define APT_PENDING "apt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade\n"
#define DNF "dnf -y --setopt=retries=10 --setopt=timeout=30 "
#define KEPT                                                                                                           \
	"--exclude=linux-*,kernel,kernel-*,kernel6*,nvidia-*,libnvidia-*,xserver-xorg-video-nvidia*,cuda-*,libcuda*,"  \
	"cuda,dkms-nvidia*,kmod-nvidia*,akmod-nvidia* "
#define LOCKED "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)\n"
#define UNREACHED "E: Failed to fetch http://m/x.deb  Could not connect to m:80\n"
#define RPM_LOCKED                                                                                                     \
	"RPM: error: can't create transaction lock on /var/lib/rpm/.rpm.lock\nError: Could not run transaction.\n"

static const struct {
	const char *name;
	const struct pkg_manager *manager;
	const char *install, *remove; /* space-separated */
	struct pkg_change change;     /* the rest of it */
	bool has_index, was_interrupted;
	struct answer answers[ANSWERS_MAX];
	const char *calls, *error; /* error NULL: it succeeds */
	const char *told;	   /* NULL: whatever */
} changes[] = {
	{"apt: install, with progress",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{0, apt_install}},
	 APT_INSTALL "git\n",
	 NULL,
	 "1/6 downloading 1 of 2 packages\n2/6 downloading 2 of 2 packages\n3/6 unpacking git-man (1 of 2)\n"
	 "4/6 unpacking git (2 of 2)\n5/6 setting up git-man (1 of 2)\n6/6 setting up git (2 of 2)\n"},
	{"apt: nothing to do starts nothing", &pkg_apt, "", "", NONE, true, false, {{0, NULL}}, "", NULL, ""},
	{"apt: install and remove are one transaction",
	 &pkg_apt,
	 "git make",
	 "nano",
	 NONE,
	 true,
	 false,
	 {{0, ""}},
	 APT_INSTALL "git make nano-\n",
	 NULL,
	 ""},
	{"apt: a named version may be older",
	 &pkg_apt,
	 "git=1:2.39",
	 "",
	 NONE,
	 true,
	 false,
	 {{0, ""}},
	 APT "--no-install-recommends --allow-downgrades install -- git=1:2.39\n",
	 NULL,
	 ""},
	{"apt: no index",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 false,
	 false,
	 {{0, ""}, {0, ""}},
	 APT_UPDATE APT_INSTALL "git\n",
	 NULL,
	 "0/0 refreshing the package index\n"},
	{"apt: unknown until the index is fresh",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{100, "E: Unable to locate package git\n"}, {0, "gdb\n"}, {0, ""}, {0, ""}},
	 APT_INSTALL "git\napt-cache pkgnames\n" APT_UPDATE APT_INSTALL "git\n",
	 NULL,
	 NULL},
	{"apt: unknown for good",
	 &pkg_apt,
	 "gti",
	 "",
	 NONE,
	 false,
	 false,
	 {{0, ""}, {100, "E: Unable to locate package gti\n"}, {0, "gdb\ngit\n"}},
	 APT_UPDATE APT_INSTALL "gti\napt-cache pkgnames\n",
	 "package 'gti' is in no repository; did you mean 'git'?",
	 NULL},
	{"apt: locked by somebody whom only apt sees",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{100, LOCKED}, {0, ""}},
	 APT_INSTALL "git\n" APT_INSTALL "git\n",
	 NULL,
	 ""},
	{"apt: a mirror is away for a moment",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{100, UNREACHED}, {0, ""}},
	 APT_INSTALL "git\n" APT_INSTALL "git\n",
	 NULL,
	 ""},
	{"apt: dpkg says that it was interrupted",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n"},
	  {0, ""},
	  {0, ""}},
	 APT_INSTALL "git\ndpkg --force-confdef --force-confold --configure -a\n" APT_INSTALL "git\n",
	 NULL,
	 NULL},
	{"apt: dpkg's journal says it",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 true,
	 {{0, ""}, {0, ""}},
	 "dpkg --force-confdef --force-confold --configure -a\n" APT_INSTALL "git\n",
	 NULL,
	 NULL},
	{"apt: interrupted beyond repair",
	 &pkg_apt,
	 "git",
	 "",
	 NONE,
	 true,
	 true,
	 {{1, "dpkg: error processing package foo (--configure):\n installed foo package post-installation script "
	      "subprocess returned error exit status 3\n"}},
	 "dpkg --force-confdef --force-confold --configure -a\n",
	 "an earlier package run was interrupted: package 'foo' could not be set up: installed foo package "
	 "post-installation "
	 "script subprocess returned error exit status 3; mend the cause, then `sudo dpkg --configure -a`",
	 NULL},
	{"apt: everything but kernel and NVIDIA",
	 &pkg_apt,
	 "",
	 "",
	 {.upgrades_all = true},
	 true,
	 false,
	 {{0, simulation}, {0, ""}},
	 APT_PENDING APT_ALL "libssl3 tzdata linux-aws=6.8.0.1029.31\n",
	 NULL,
	 ""},
	{"apt: security updates",
	 &pkg_apt,
	 "",
	 "",
	 {.upgrades_all = true, .security_only = true},
	 true,
	 false,
	 {{0, simulation}, {0, ""}},
	 APT_PENDING APT_ALL "libssl3 linux-aws=6.8.0.1029.31\n",
	 NULL,
	 ""},
	{"apt: upgrades of what is listed",
	 &pkg_apt,
	 "git",
	 "",
	 {.upgrades_listed = true},
	 true,
	 false,
	 {{0, ""}},
	 APT_RENEW "git\n",
	 NULL,
	 ""},
	{"apt: a broken index must not pass for up to date",
	 &pkg_apt,
	 "",
	 "",
	 {.upgrades_all = true},
	 false,
	 false,
	 {{100, "E: The repository 'http://m noble Release' does not have a Release file.\n"}},
	 APT_UPDATE,
	 "apt-get update: apt-get: The repository 'http://m noble Release' does not have a Release file.",
	 NULL},
	{"dnf: install, with progress",
	 &pkg_dnf,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{0, dnf_install}},
	 DNF "install git\n",
	 NULL,
	 "1/6 downloading 1 of 2 packages\n2/6 downloading 2 of 2 packages\n"
	 "3/6 installing git-core-2.40.1-1.amzn2023.x86_64 (1 of 2)\n4/6 installing git-2.40.1-1.amzn2023.x86_64 (2 of "
	 "2)\n"
	 "5/6 verifying git-2.40.1-1.amzn2023.x86_64 (1 of 2)\n6/6 verifying git-core-2.40.1-1.amzn2023.x86_64 (2 of "
	 "2)\n"},
	{"dnf: remove, install, upgrade",
	 &pkg_dnf,
	 "git make",
	 "nano",
	 {.upgrades_listed = true},
	 true,
	 false,
	 {{0, ""}, {0, ""}, {0, ""}},
	 DNF "--setopt=clean_requirements_on_remove=False remove nano\n" DNF "install git make\n" DNF
	     "upgrade git make\n",
	 NULL,
	 ""},
	{"dnf: everything of a release",
	 &pkg_dnf,
	 "",
	 "",
	 {.upgrades_all = true, .releasever = "2023.12.20260930"},
	 true,
	 false,
	 {{0, ""}},
	 DNF "--releasever=2023.12.20260930 " KEPT "upgrade\n",
	 NULL,
	 ""},
	{"dnf: security with an old index",
	 &pkg_dnf,
	 "",
	 "",
	 {.upgrades_all = true, .security_only = true},
	 false,
	 false,
	 {{0, ""}},
	 DNF "--refresh " KEPT "--security upgrade\n",
	 NULL,
	 ""},
	{"dnf: rpm locked",
	 &pkg_dnf,
	 "git",
	 "",
	 NONE,
	 true,
	 false,
	 {{1, RPM_LOCKED}, {0, ""}},
	 DNF "install git\n" DNF "install git\n",
	 NULL,
	 ""},
	{"dnf: unknown for good",
	 &pkg_dnf,
	 "gti",
	 "",
	 NONE,
	 true,
	 false,
	 {{1, "Error: Unable to find a match: gti\n"},
	  {0, "git\n"},
	  {1, "Error: Unable to find a match: gti\n"},
	  {0, "git\n"}},
	 DNF "install gti\ndnf -q -C repoquery --qf %{name}\n\n" DNF
	     "--refresh install gti\ndnf -q -C repoquery --qf %{name}\n\n",
	 "package 'gti' is in no repository; did you mean 'git'?",
	 NULL},
};

static void make_index(struct stub *s, bool has_index, bool was_interrupted) {
	if (has_index) {
		tree_write(&s->tree, "/var/lib/apt/lists/m_dists_noble_main_binary-amd64_Packages.lz4", "", 0644);
		tree_write(&s->tree, "/var/cache/dnf/amazonlinux-0123/repodata/repomd.xml", "", 0644);
	}
	if (was_interrupted) tree_write(&s->tree, "/var/lib/dpkg/updates/0000", "Package: foo\n", 0644);
}

static void changes_are_made(void **state) {
	for (size_t i = 0; i < COUNT(changes); i++) {
		struct stub s;
		struct err err = {0};
		struct pkg_change change = changes[i].change;
		stub_open(&s, tools);
		stub_answers(&s, changes[i].answers, ANSWERS_MAX);
		make_index(&s, changes[i].has_index, changes[i].was_interrupted);
		struct machine m = stub_machine(&s);
		str_split(changes[i].install, " ", &s.arena, &change.install);
		str_split(changes[i].remove, " ", &s.arena, &change.remove);
		int rc = changes[i].manager->change(&m, &change, &err);
		if (!str_eq(rc ? err.msg : NULL, changes[i].error))
			fail_msg("%s: %s", changes[i].name, rc ? err.msg : "no error");
		if (!str_eq(stub_calls(&s), changes[i].calls))
			fail_msg("%s called:\n%s", changes[i].name, stub_calls(&s));
		if (changes[i].told && !str_eq(buf_str(&s.told), changes[i].told))
			fail_msg("%s told:\n%s", changes[i].name, buf_str(&s.told));
		strs_clear(&change.install);
		strs_clear(&change.remove);
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

static void an_index_grows_old(void **state) {
	static const struct {
		bool has_index;
		int64_t age_s;
		bool is_fresh;
	} rows[] = {{false, 0, false}, {true, 0, true}, {true, 23 * 3600, true}, {true, 25 * 3600, false}};
	static const char *const touched[] = {"/var/lib/apt/lists", "/var/cache/dnf/amazonlinux-0123/repodata",
					      "/var/cache/dnf/amazonlinux-0123/repodata/repomd.xml"};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct stub s;
		stub_open(&s, tools);
		make_index(&s, rows[i].has_index, false);
		struct machine m = stub_machine(&s);
		for (size_t k = 0; rows[i].has_index && k < COUNT(touched); k++) {
			char path[160];
			struct timespec times[2] = {{.tv_sec = clock_now_ms() / 1000 - rows[i].age_s}};
			times[1] = times[0];
			(void)snprintf(path, sizeof path, "%s%s", s.tree.dir, touched[k]);
			assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		}
		assert_int_equal(pkg_apt.is_index_fresh(&m), rows[i].is_fresh);
		assert_int_equal(pkg_dnf.is_index_fresh(&m), rows[i].is_fresh);
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
		cmocka_unit_test(changes_are_made),
		cmocka_unit_test(rpm_presence),
		cmocka_unit_test(an_index_grows_old),
		cmocka_unit_test(managers_have_names),
	};
	return cmocka_run_group_tests_name("pkg", tests, NULL, NULL);
}
