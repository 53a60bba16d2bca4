#include "step_fixture.h"

#include "base/str.h"
#include "steps/steps.h"
#include "tree.h"

#define SUM "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define FPR "key_fingerprint: 9DC858229FC7DD38854AE2D88D81803C0EBFCD88"

static const struct {
	const char *yaml, *said;
} checks[] = {
	{"deadsnakes/ppa", ""},
	{"{name: a, apt: https://h/u, key: https://h/k, " FPR "}", ""},
	{"{name: a, dnf: https://h/u, key: https://h/k, key_sha256: " SUM "}", ""},
	{"{name: a, state: absent}", ""},
	{"{name: a/b, state: absent}", "r:1:1: name 'a/b': letters, digits, '-', '_' and '.' only\n"},
	{"{name: a, apt: https://h/u, key: https://h/k}",
	 "r:1:1: the key must be pinned: give key_sha256 (`sha256sum`) or key_fingerprint (`gpg --show-keys`)\n"},
	{"{name: a, apt: https://h/u, " FPR "}", "r:1:1: key is missing: the URL of the repository's OpenPGP key\n"},
	{"{name: a, key: k, " FPR "}", "r:1:1: apt, dnf or ppa is missing\n"},
	{"{name: a, apt: {uris: [h/u], suites: ['a b']}, key: k, " FPR "}",
	 "r:1:1: apt: uris: 'h/u' is no URL\nr:1:1: apt: suites: 'a b' is no word\n"},
	{"{name: a, dnf: {baseurl: https://h, metalink: https://h}, key: k, " FPR "}",
	 "r:1:1: dnf: give one of baseurl, metalink and mirrorlist\n"},
	{"{name: a, apt: https://h/u, key: k, key_fingerprint: 0EBFCD88}",
	 "r:1:1: key_fingerprint '0EBFCD88' is not one: 40 or 64 hexadecimal digits (a short key id can be forged)\n"},
	{"'ppa:deadsnakes/ppa'", "r:1:1: ppa 'ppa:deadsnakes/ppa' is not OWNER/NAME, such as deadsnakes/ppa\nr:1:1: "
				 "the key must be pinned: give "
				 "key_sha256 (`sha256sum`) or key_fingerprint (`gpg --show-keys`)\n"},
	{"other/ppa",
	 "r:1:1: the key must be pinned: give key_sha256 (`sha256sum`) or key_fingerprint (`gpg --show-keys`)\n"},
};

static void parameters_are_checked(void **state) {
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct fixture f;
		const char *said;
		fixture_open(&f, false);
		(void)fixture_bind(&f, &step_repo, checks[i].yaml, &said);
		assert_string_equal(said, checks[i].said);
		fixture_close(&f);
	}
}

static const struct {
	const char *os, *codename, *manager, *yaml, *said;
} probes[] = {
	{"ubuntu", "jammy", "apt", "deadsnakes/ppa",
	 "fetch the key of deadsnakes-ppa to /etc/apt/keyrings/deadsnakes-ppa.asc\n"
	 "write /etc/apt/sources.list.d/deadsnakes-ppa.sources and fetch its index\n"
	 "--- /dev/null\n+++ /etc/apt/sources.list.d/deadsnakes-ppa.sources\n@@ -0,0 +1,6 @@\n+# Written by dsagent.\n"
	 "+Types: deb\n+URIs: https://ppa.launchpadcontent.net/deadsnakes/ppa/ubuntu\n+Suites: jammy\n"
	 "+Components: main\n+Signed-By: /etc/apt/keyrings/deadsnakes-ppa.asc\n"},
	{"debian", "bookworm", "apt", "deadsnakes/ppa",
	 "error: PPAs are built for Ubuntu, this is debian: add `when: facts.os == \"ubuntu\"` to the step"},
	{"amzn", "", "dnf", "deadsnakes/ppa", ""},
	{"debian", "bookworm", "apt", "{name: a, dnf: https://h/u, key: k, " FPR "}", ""},
	{"amzn", "", "dnf", "{name: a, dnf: {baseurl: https://h/u, priority: 5}, key: k, " FPR "}",
	 "fetch the key of a to /etc/pki/rpm-gpg/RPM-GPG-KEY-a\nwrite /etc/yum.repos.d/a.repo and fetch its index\n"
	 "--- /dev/null\n+++ /etc/yum.repos.d/a.repo\n@@ -0,0 +1,8 @@\n+# Written by dsagent.\n+[a]\n+name=a\n"
	 "+baseurl=https://h/u\n+priority=5\n+enabled=1\n+gpgcheck=1\n"
	 "+gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-a\n"},
	{"debian", "bookworm", "apt", "{name: gone, state: absent}", ""},
	{"debian", "bookworm", "apt", "{name: old, state: absent}",
	 "remove the repository old (/etc/apt/sources.list.d/old.sources)\n"},
	{"alpine", "", "", "{name: a, apt: https://h/u, key: k, " FPR "}", ""},
};

static void what_is_missing_is_said(void **state) {
	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		struct fixture f;
		fixture_open(&f, false);
		struct tree t = {.root = f.root};
		tree_write(&t, "/etc/apt/sources.list.d/old.sources", "x\n", 0644);
		(void)snprintf(f.facts.os.id, sizeof f.facts.os.id, "%s", probes[i].os);
		(void)snprintf(f.facts.os.codename, sizeof f.facts.os.codename, "%s", probes[i].codename);
		(void)snprintf(f.facts.os.package_manager, sizeof f.facts.os.package_manager, "%s", probes[i].manager);
		assert_string_equal(fixture_probe(&f, &step_repo, probes[i].yaml), probes[i].said);
		fixture_close(&f);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_are_checked),
					   cmocka_unit_test(what_is_missing_is_said)};
	return cmocka_run_group_tests_name("step_repo", tests, NULL, NULL);
}
