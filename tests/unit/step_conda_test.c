#include "step_fixture.h"

#include "base/str.h"
#include "steps/conda.h"
#include "steps/steps.h"
#include "tree.h"

#define PAID                                                                                                           \
	"comes from Anaconda's channels, which larger organisations must pay for: use conda-forge, or say "            \
	"`allow_anaconda: true`\n"

static const struct {
	const char *yaml, *said;
} checks[] = {
	{"/opt/conda", ""},
	{"{environments: [{name: a, packages: ['python=3.11', 'conda-forge::r-base>=4']}, b]}", ""},
	{"{channels: [conda-forge, bioconda, https://repo.example.com/x]}", ""},
	{"{channels: [defaults], allow_anaconda: true}", ""},
	{"{channels: [conda-forge, defaults]}", "r:1:1: 'defaults' " PAID},
	{"{channels: https://repo.anaconda.com/pkgs/main}", "r:1:1: 'https://repo.anaconda.com/pkgs/main' " PAID},
	{"{packages: ['main::numpy']}", "r:1:1: 'main::numpy' " PAID},
	{"{packages: ['--help']}", "r:1:1: '--help' names no conda package\n"},
	{"{environments: [{name: a/b}]}", "r:1:1: 'a/b' is no name of an environment: no '/', ' ', ':' and '#'\n"},
	{"{environments: [a, a]}", "r:1:1: environment 'a' is there twice\n"},
	{"{prefix: conda}", "r:1:1: prefix 'conda' is no absolute path of a directory\n"},
	{"{prefix: '/opt/my conda'}", "r:1:1: prefix '/opt/my conda' has white space, which the installer refuses\n"},
	{"{installer: https://h/x.sh}", "r:1:1: installer and sha256 go together\n"},
};

static void parameters_are_checked(void **state) {
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct fixture f;
		const char *said;
		fixture_open(&f, false);
		(void)fixture_bind(&f, &step_conda, checks[i].yaml, &said);
		assert_string_equal(said, checks[i].said);
		fixture_close(&f);
	}
}

static void specifications(void **state) {
	static const struct {
		const char *spec, *name, *version;
		bool is_allowed;
	} rows[] = {
		{"numpy", "numpy", "1.26.4", true},
		{"NumPy", "numpy", "1.26.4", true},
		{"numpy=1.26", "numpy", "1.26.4", true},
		{"numpy=1.2", "numpy", "1.26.4", false},
		{"numpy 1.26.*", "numpy", "1.26.4", true},
		{"numpy=1.26*", "numpy", "1.26.4", true},
		{"numpy==1.26", "numpy", "1.26.4", false},
		{"numpy==1.26.4", "numpy", "1.26.4", true},
		{"numpy>=1.20,<2", "numpy", "1.26.4", true},
		{"numpy>=2", "numpy", "1.26.4", false},
		{"numpy!=1.26.4", "numpy", "1.26.4", false},
		{"numpy=1.26.4=py312_0", "numpy", "1.26.4", true},
		{"conda-forge::numpy=1", "numpy", "1.26.4", true},
		{"numpy[version='>=2']", "numpy", "1.26.4", true},
		{"openssl=3.1.1|3.2", "openssl", "3.3.0", true},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_string_equal(conda_spec_name(rows[i].spec, &arena), rows[i].name);
		if (conda_spec_allows(rows[i].spec, rows[i].version, &arena) != rows[i].is_allowed)
			fail_msg("%s for %s", rows[i].version, rows[i].spec);
	}
}

/* Each row lays one more file. */
static void what_is_missing_is_read_from_files(void **state) {
	static const struct {
		const char *path, *text, *yaml, *said;
	} rows[] = {
		{"/etc/x", "", "{environments: [{name: ds, packages: [python=3.11, numpy]}]}",
		 "install Miniforge to /opt/conda\nmake the environment ds with python=3.11, numpy\n"},
		{"/opt/conda/README", "", "{}",
		 "error: /opt/conda exists and holds no conda, and dsagent did not make it: give another `prefix`, or "
		 "move "
		 "that directory away"},
		{"/opt/.conda.dsagent-making", "", "{}",
		 "install Miniforge to /opt/conda (an earlier attempt was interrupted)\n"},
		{"/srv/conda/bin/conda", "", "{prefix: /srv/conda}", ""},
		{"/srv/conda/envs/ds/conda-meta/history", "",
		 "{prefix: /srv/conda, environments: [{name: ds, packages: [numpy]}]}", "install numpy in ds\n"},
		{"/srv/conda/envs/ds/conda-meta/numpy-base-1.25.0-py311_0.json", "{}",
		 "{prefix: /srv/conda, environments: [{name: ds, packages: [numpy]}]}", "install numpy in ds\n"},
		{"/srv/conda/envs/ds/conda-meta/numpy-1.25.0-py311_0.json", "{}",
		 "{prefix: /srv/conda, environments: [{name: ds, packages: [numpy]}]}", ""},
		{"/srv/conda/envs/ds/conda-meta/python-3.11.9-0.json", "{}",
		 "{prefix: /srv/conda, environments: [{name: ds, packages: ['numpy=1.26', python=3.11], pip: "
		 "[polars]}]}",
		 "install numpy=1.26 (1.25.0 is there) in ds\ninstall polars in ds by pip\n"},
		{"/srv/conda/envs/ds/lib/python3.11/site-packages/polars-1.0.dist-info/METADATA",
		 "Metadata-Version: 2.1\nName: polars\nVersion: 1.0\n",
		 "{prefix: /srv/conda, environments: [{name: ds, pip: ['polars>=1']}]}", ""},
		{"/srv/environment.yml",
		 "name: other\nchannels: [conda-forge, nodefaults]\ndependencies:\n  - python=3.11\n  - scipy\n  - "
		 "pip:\n     "
		 " - polars\n      - rich\n",
		 "{prefix: /srv/conda, environments: [{name: ds, file: /srv/environment.yml}]}",
		 "install scipy in ds\ninstall rich in ds by pip\n"},
		{"/srv/paid.yml", "channels: [defaults]\ndependencies: [numpy]\n",
		 "{prefix: /srv/conda, environments: [{name: ds, file: /srv/paid.yml}]}",
		 "error: environment 'ds': /srv/paid.yml asks for the channel 'defaults' of Anaconda, which larger "
		 "organisations must pay for: use conda-forge there, or say `allow_anaconda: true`"},
		{"/srv/bad.yml", "dependencies: {numpy: 1}\n",
		 "{prefix: /srv/conda, environments: [{name: ds, file: /srv/bad.yml}]}",
		 "error: environment 'ds': /srv/bad.yml has no list of `dependencies`: is it an environment.yml?"},
		{"/srv/broken.yml", "dependencies: [numpy\n",
		 "{prefix: /srv/conda, environments: [{name: ds, file: /srv/broken.yml}]}",
		 "error: environment 'ds': "},
	};
	struct fixture f;
	fixture_open(&f, false);
	struct tree t = {.root = f.root};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		tree_write(&t, rows[i].path, rows[i].text, 0644);
		const char *said = fixture_probe(&f, &step_conda, rows[i].yaml);
		bool is_start = str_ends(rows[i].said, ": "); /* libyaml's own words follow */
		if (is_start ? !str_starts(said, rows[i].said) : !str_eq(said, rows[i].said))
			fail_msg("%s: %s", rows[i].path, said);
	}
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_checked),
		cmocka_unit_test(specifications),
		cmocka_unit_test(what_is_missing_is_read_from_files),
	};
	return cmocka_run_group_tests_name("step_conda", tests, NULL, NULL);
}
