#include "step_fixture.h"

#include "base/str.h"
#include "steps/r.h"
#include "steps/steps.h"
#include "tree.h"

static const struct {
	const char *yaml, *said;
} checks[] = {
	{"[data.table, R6]", ""},
	{"data.table", ""},
	{"{}", ""},
	{"{cran: ['${vars.p}'], library: '${vars.l}'}", ""},
	{"['data.table==1.0']", "r:1:1: cran: 'data.table==1.0' is no name of an R package: for fixed versions give "
				"`repository` a dated snapshot\n"},
	{"['a b']", "r:1:1: cran: 'a b' is no name of an R package: write several as a list, [a, b]\n"},
	{"[r-lib/pak]",
	 "r:1:1: cran: 'r-lib/pak' is no name of an R package: packages of GitHub are installed by a `run` step\n"},
	{"{bioconductor: ['-x']}", "r:1:1: bioconductor: '-x' is no name of an R package\n"},
	{"{cran: a, library: R}", "r:1:1: library 'R' is not absolute\n"},
	{"{cran: a, repository: http://h/}", "r:1:1: repository 'http://h/' is neither https:// nor file:///\n"},
	{"{cran: a, repository: https://h/, binaries: distribution}",
	 "r:1:1: repository and `binaries: distribution` exclude each other\n"},
};

static void parameters_are_checked(void **state) {
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct fixture f;
		const char *said;
		fixture_open(&f, false);
		(void)fixture_bind(&f, &step_r, checks[i].yaml, &said);
		assert_string_equal(said, checks[i].said);
		fixture_close(&f);
	}
}

#define LIB "/usr/local/lib/R/site-library"
#define BUILT "Built: R 4.2.2; ; 2026; unix\n"

static void what_is_missing_is_read_from_files(void **state) {
	static const struct {
		const char *path, *text, *yaml, *said;
	} rows[] = {
		{"/etc/x", "", "[a]", "install a (1 of 1 R packages missing)\n"},
		{"/usr/lib/R/library/base/DESCRIPTION", "Package: base\nVersion: 4.2.2\n" BUILT, "[a, b, a]",
		 "install a, b (2 of 2 R packages missing)\n"},
		/* a source tree, or half a package, has no "Built" */
		{LIB "/a/DESCRIPTION", "Package: a\nVersion: 1.0\n", "[a]", "install a (1 of 1 R packages missing)\n"},
		{LIB "/a/DESCRIPTION", "Package: a\nVersion: 1.0\n" BUILT, "[a]", "load a to prove it\n"},
		{"/usr/local/lib/R/.dsagent.json", "{\"r\":\"4.2.1\",\"loaded\":{\"a\":\"1.0\"}}", "[a]",
		 "load a to prove it\n"},
		{"/usr/local/lib/R/.dsagent.json", "{\"r\":\"4.2.2\",\"loaded\":{\"a\":\"0.9\"}}", "[a]",
		 "load a to prove it\n"},
		{"/usr/local/lib/R/.dsagent.json", "{\"r\":\"4.2.2\",\"loaded\":{\"a\":\"1.0\"}}", "[a]", ""},
		{"/srv/R/c/DESCRIPTION", "Version: 2\n" BUILT, "{cran: [c, d], library: /srv/R}",
		 "install d (1 of 2 R packages missing)\nload c to prove it\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	f.facts.is_root = true;
	struct tree t = {.root = f.root};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		tree_write(&t, rows[i].path, rows[i].text, 0644);
		/* Outside a whole system, Rscript is looked for on the machine that runs the test. */
		const char *said = fixture_probe(&f, &step_r, rows[i].yaml);
		if (str_starts(said, "install R\n")) said += strlen("install R\n");
		assert_string_equal(said, rows[i].said);
	}
	fixture_close(&f);
}

static void hints(void **state) {
	static const struct {
		const char *output, *want;
	} rows[] = {
		{"", ""},
		{"there is no package called 'x'", ""},
		{"a.c:1:10: fatal error: libxml/parser.h: No such file or directory\ncompilation terminated.",
		 ": a system library is missing (a.c:1:10: fatal error: libxml/parser.h: No such file or directory): "
		 "add a "
		 "`packages` step with {apt: libxml2-dev, dnf: libxml2-devel}"},
		{"/usr/bin/ld: cannot find -lcurl: No such file\n",
		 ": a system library is missing (/usr/bin/ld: cannot find -lcurl: No such file): add a `packages` step "
		 "with "
		 "{apt: libcurl4-openssl-dev, dnf: libcurl-devel}"},
		{"Configuration failed because libgit2 was not found. Try installing:\n * deb: libgit2-dev (Debian, "
		 "Ubuntu, "
		 "etc)\n * rpm: libgit2-devel (Fedora, CentOS, RHEL)\n",
		 ": a system library is missing: add a `packages` step with {apt: libgit2-dev, dnf: libgit2-devel}"},
		{"unable to load shared object 'x.so': libgomp.so.1: cannot open shared object file",
		 ": install libgomp1 (apt) or libgomp (dnf)"},
		{"* installing\nfatal error: strange.h: No such file\nmake: *** x",
		 ": fatal error: strange.h: No such file"},
		{"* installing\nERROR: compilation failed for package 'x'",
		 ": ERROR: compilation failed for package 'x'"},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(r_hint(rows[i].output, &arena), rows[i].want);
	assert_true(r_lacks_compiler("sh: 1: make: not found"));
	assert_true(
		r_lacks_compiler("/bin/bash: line 1: gcc: command not found\nmake: gcc: No such file or directory"));
	assert_false(r_lacks_compiler("fatal error: curl/curl.h: No such file or directory"));
}

static void the_repository_fits_the_system(void **state) {
	static const struct {
		const char *os, *version, *codename, *yaml, *want;
	} rows[] = {
		{"ubuntu", "24.04", "noble", "{}", "https://packagemanager.posit.co/cran/__linux__/noble/latest"},
		{"debian", "12", "bookworm", "{}", "https://packagemanager.posit.co/cran/__linux__/bookworm/latest"},
		{"amzn", "2023", "", "{}", "https://packagemanager.posit.co/cran/__linux__/rhel9/latest"},
		{"ubuntu", "24.04", "noble", "{binaries: source}", "https://cloud.r-project.org"},
		{"ubuntu", "99.04", "zesty", "{}", "https://cloud.r-project.org"},
		{"ubuntu", "24.04", "noble", "{repository: 'file:///r'}", "file:///r"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fixture f;
		const char *said;
		fixture_open(&f, false);
		(void)snprintf(f.facts.os.id, sizeof f.facts.os.id, "%s", rows[i].os);
		(void)snprintf(f.facts.os.version, sizeof f.facts.os.version, "%s", rows[i].version);
		(void)snprintf(f.facts.os.codename, sizeof f.facts.os.codename, "%s", rows[i].codename);
		struct r_run run = {.p = fixture_bind(&f, &step_r, rows[i].yaml, &said), .ctx = &f.ctx};
		assert_string_equal(r_repository(&run), rows[i].want);
		fixture_close(&f);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_checked),
		cmocka_unit_test(what_is_missing_is_read_from_files),
		cmocka_unit_test(hints),
		cmocka_unit_test(the_repository_fits_the_system),
	};
	return cmocka_run_group_tests_name("step_r", tests, NULL, NULL);
}
