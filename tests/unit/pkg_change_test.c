/* What the package managers are told to do, and how it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "pkg_fixture.h"

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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_made),
		cmocka_unit_test(an_index_grows_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
