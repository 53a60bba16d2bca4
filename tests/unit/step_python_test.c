#include "step_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "steps/python.h"
#include "steps/python_marker.h"
#include "steps/python_req.h"
#include "steps/python_version.h"
#include "steps/steps.h"

static const struct py_env env = {.version = "3.11", .full_version = "3.11.2", .machine = "x86_64"};

static void versions_sort(void **state) {
	/* The order of packaging.python.org, "Version specifiers", Appendix: each below the next. */
	static const char *const sorted[] = {"0.9",
					     "1.0.dev456",
					     "1.0a1",
					     "1.0a2.dev456",
					     "1.0a12.dev456",
					     "1.0a12",
					     "1.0b1.dev456",
					     "1.0b2",
					     "1.0b2.post345.dev456",
					     "1.0b2.post345",
					     "1.0rc1.dev456",
					     "1.0rc1",
					     "1.0",
					     "1.0+abc.5",
					     "1.0+abc.7",
					     "1.0+5",
					     "1.0.post456.dev34",
					     "1.0.post456",
					     "1.1.dev1",
					     "1.1",
					     "1.10",
					     "2024.1",
					     "1!0.1"};
	for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++)
		for (size_t k = 0; k < sizeof sorted / sizeof *sorted; k++) {
			struct py_version a, b;
			assert_true(py_version_parse(sorted[i], strlen(sorted[i]), &a));
			assert_true(py_version_parse(sorted[k], strlen(sorted[k]), &b));
			int wanted = (i > k) - (i < k), c = py_version_compare(&a, &b);
			if (((c > 0) - (c < 0)) != wanted) fail_msg("%s against %s: %d", sorted[i], sorted[k], c);
		}
}

static void version_spellings_are_equal(void **state) {
	static const char *const pairs[][2] = {{"1.0", "1"},	       {"v1.0", "1.0"},
					       {"1.0-RC.1", "1.0rc1"}, {"1.0c1", "1.0rc1"},
					       {"1.0-1", "1.0.post1"}, {"1.0.rev4", "1.0.post4"},
					       {"1.0alpha", "1.0a0"},  {"1.0+ubuntu-1", "1.0+ubuntu.1"},
					       {"1.0_pre2", "1.0rc2"}, {" 1.0 ", "1.0.0"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct py_version a, b;
		assert_true(py_version_parse(pairs[i][0], strlen(pairs[i][0]), &a));
		assert_true(py_version_parse(pairs[i][1], strlen(pairs[i][1]), &b));
		assert_int_equal(py_version_compare(&a, &b), 0);
	}
}

static void bad_versions_are_refused(void **state) {
	static const char *const bad[] = {"",
					  "a",
					  "1.0x",
					  "1..0",
					  "1.0+",
					  "1.0+a..b",
					  "1.0 0",
					  "1!",
					  "-1",
					  "1.0.",
					  "9999999999999999999",
					  "1.2.3.4.5.6.7.8.9"};
	struct py_version v;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (py_version_parse(bad[i], strlen(bad[i]), &v)) fail_msg("'%s' was taken", bad[i]);
}

static void specifiers_match(void **state) {
	static const struct {
		const char *specs, *version;
		enum py_match wanted;
	} rows[] = {
		{"", "1.0", PY_MATCH_YES},
		{"==1.0", "1.0.0", PY_MATCH_YES},
		{"==1.0", "1.0.1", PY_MATCH_NO},
		{"==2.7.0", "2.7.0+cu128", PY_MATCH_YES},
		{"==2.7.0+cu126", "2.7.0+cu128", PY_MATCH_NO},
		{"==1.2.*", "1.2.9", PY_MATCH_YES},
		{"==1.2.*", "1.20", PY_MATCH_NO},
		{"!=1.2.*", "1.2.9", PY_MATCH_NO},
		{"!=1.5", "1.4", PY_MATCH_YES},
		{">=1.2,<2", "1.9", PY_MATCH_YES},
		{">=1.2,<2", "2.0", PY_MATCH_NO},
		{"<2", "2.0rc1", PY_MATCH_NO},
		{"<2.0rc2", "2.0rc1", PY_MATCH_YES},
		{">1.7", "1.7.post1", PY_MATCH_NO},
		{">1.7", "1.7.1", PY_MATCH_YES},
		{">=1.7", "1.7.post1", PY_MATCH_YES},
		{"~=2.2", "2.9", PY_MATCH_YES},
		{"~=2.2", "3.0", PY_MATCH_NO},
		{"~=1.4.5", "1.4.9", PY_MATCH_YES},
		{"~=1.4.5", "1.5.0", PY_MATCH_NO},
		{"===weird", "weird", PY_MATCH_YES},
		{">= 1.0 , != 1.3", "1.3", PY_MATCH_NO},
		{"<=3.11", "3.11.2", PY_MATCH_NO},
		{"~=2", "2.1", PY_MATCH_BAD_SPECIFIER},
		{"=1", "1", PY_MATCH_BAD_SPECIFIER},
		{">=x", "1", PY_MATCH_BAD_SPECIFIER},
		{"1.0", "1.0", PY_MATCH_BAD_SPECIFIER},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (py_version_match(rows[i].specs, rows[i].version) != rows[i].wanted)
			fail_msg("%s for %s", rows[i].specs, rows[i].version);
}

static void markers_are_evaluated(void **state) {
	static const struct {
		const char *text;
		enum py_marker wanted;
	} rows[] = {
		{"python_version < '3.12'", PY_MARKER_TRUE},
		{"python_version<\"3.9\"", PY_MARKER_FALSE},
		{"python_version >= '3.9' and sys_platform == 'win32'", PY_MARKER_FALSE},
		{"(sys_platform == 'win32' or platform_system == 'Linux') and os_name != 'nt'", PY_MARKER_TRUE},
		{"platform_machine in 'x86_64 aarch64'", PY_MARKER_TRUE},
		{"platform_machine not in 'x86_64'", PY_MARKER_FALSE},
		{"extra == 'test'", PY_MARKER_UNSURE},
		{"extra == 'test' and sys_platform == 'win32'", PY_MARKER_FALSE},
		{"extra == 'test' or sys_platform == 'linux'", PY_MARKER_TRUE},
		{"python_full_version == '3.11.2'", PY_MARKER_TRUE},
		{"python_version", PY_MARKER_BAD},
		{"nonsense == '1'", PY_MARKER_BAD},
		{"(os_name == 'posix'", PY_MARKER_BAD},
		{"", PY_MARKER_BAD},
		{"((((((((((((((((((os_name == 'posix'))))))))))))))))))", PY_MARKER_BAD},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (py_marker_eval(rows[i].text, &env) != rows[i].wanted) fail_msg("%s", rows[i].text);
}

/* "name|specs|flags" where flags are n(eeded) u(nsure) d(irect); or the error. */
static const char *shown(const char *text, struct arena *arena) {
	struct py_req q;
	struct err err;
	if (py_req_parse(text, &env, arena, &q, &err) < 0) return arena_strdup(arena, err.msg);
	return arena_printf(arena, "%s|%s|%s%s%s", q.name, q.specs, q.is_needed ? "n" : "", q.is_unsure ? "u" : "",
			    q.is_direct ? "d" : "");
}

static void requirements_are_parsed(void **state) {
	static const char *const rows[][2] = {
		{"numpy", "numpy||n"},
		{" Scikit_Learn [extra, b] >= 1.4 , < 2 ", "scikit-learn|>= 1.4 , < 2|n"},
		{"zope.interface(>=5)", "zope-interface|>=5|n"},
		{"a ; python_version < '3'", "a||"},
		{"a==1;extra=='x'", "a|==1|nu"},
		{"pip @ https://h/pip.whl ; os_name == 'posix'", "pip||nd"},
		{"./dir", "||n"},
		{"git+https://h/x.git@v1", "||n"},
		{"numpy-2.0-cp311.whl", "||n"},
		{"numpy=1.0", "requirement 'numpy=1.0': a version is asked for by '==', not '='"},
		{"numpy 1.0", "requirement 'numpy 1.0': the version part is not understood"},
		{"-x-", "requirement '-x-': a package name begins and ends with a letter or digit"},
		{"a[b", "requirement 'a[b': ']' is missing behind the extras"},
		{"a; b", "requirement 'a; b': the condition behind ';' is not understood"},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(shown(rows[i][0], &arena), rows[i][1]);
}

static void requirements_texts_are_read(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf all = BUF_INIT(4096), got = BUF_INIT(4096);
	struct py_reqs reqs = {0};
	struct err err;
	static const char text[] = "# science\nnumpy>=1.26  # why\n\n--index-url https://h/simple\npandas \\\n  <3 "
				   "--hash=sha256:00\n-e ./mine\nx#y\n";
	int r = py_reqs_add_text(&reqs, "set", text, NULL, NULL, &env, &all, &arena, &err);
	assert_int_equal(r, -ERR_INVALID);
	assert_string_equal(err.msg, "set:8: requirement 'x#y': the version part is not understood");
	for (size_t i = 0; i < reqs.count; i++) buf_addf(&got, "%s%s,", reqs.items[i].name, reqs.items[i].specs);
	assert_string_equal(buf_str(&got), "numpy>=1.26,pandas<3,,");
	assert_string_equal(buf_str(&all),
			    "# science\nnumpy>=1.26  # why\n\n--index-url https://h/simple\npandas \\\n  <3 "
			    "--hash=sha256:00\n-e ./mine\nx#y\n\n");
}

static void failures_are_explained(void **state) {
	static const struct {
		enum err_code code;
		const char *output, *wanted;
	} rows[] = {
		{ERR_NO_MEMORY, "",
		 "no-memory: out of memory while installing scipy: the kernel ended pip; add swap (`system` "
		 "step) or use a larger instance type"},
		{ERR_COMMAND,
		 "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
		 "no-space: the disk of /opt/ds is full (12.0 KB free): make room or use a larger volume"},
		{ERR_COMMAND,
		 "ERROR: Could not find a version that satisfies the requirement numpy==99 (from versions: 1.3.0, "
		 "2.4.6)\nERROR: No matching distribution found for numpy==99\n",
		 "not-found: no matching distribution for numpy==99: the newest for Python 3.11.2 is 2.4.6"},
		{ERR_COMMAND,
		 "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\n"
		 "ERROR: No matching distribution found for nope\n",
		 "not-found: the package index has no 'nope' for Python 3.11.2 on this machine: check the spelling"},
		{ERR_COMMAND,
		 "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x>: Failed to "
		 "establish a new connection: [Errno 111] Connection refused')': /simple/a/\nERROR: No matching "
		 "distribution found for a\n",
		 "net, retryable: the package index or its files cannot be reached: Failed to establish a new "
		 "connection: "
		 "[Errno 111] Connection refused"},
		{ERR_COMMAND,
		 "  x No solution found when resolving dependencies:\n  `-> Because nope was not found in the "
		 "package\n      registry and you require nope, we can conclude that your\n      requirements are "
		 "unsatisfiable.\n",
		 "not-found: the package index has no 'nope' for Python 3.11.2 on this machine: check the spelling"},
		{ERR_COMMAND,
		 "  `-> Because there is no version of idna==99 and you require idna==99, we\n      can conclude\n",
		 "not-found: no matching distribution for idna==99 for Python 3.11.2"},
		{ERR_COMMAND,
		 "error: command 'gcc' failed: No such file or directory\nERROR: Failed building wheel for foo\n",
		 "command: 'foo' has no wheel for this machine and could not be built: a compiler or Python's headers "
		 "are "
		 "missing; add a `packages` step with gcc, gcc-c++ or g++, and python3-devel or python3-dev (error: "
		 "command "
		 "'gcc' failed: No such file or directory)"},
		{ERR_COMMAND, "something else\n", "command: as it was"},
		{ERR_TIMEOUT, "No space left on device\n", "timeout: as it was"},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {.code = rows[i].code, .msg = "as it was"};
		struct py_failure failure = {rows[i].output, "scipy", "pip", "3.11.2", "/opt/ds", 12000};
		int r = py_explain(&failure, &arena, &err);
		assert_int_equal(r, -(int)err.code);
		assert_string_equal(arena_printf(&arena, "%s%s: %s", err_code_name(err.code),
						 err.is_retryable ? ", retryable" : "", err.msg),
				    rows[i].wanted);
	}
	assert_string_equal(py_library_hint("ImportError: libgomp.so.1: cannot open shared object file", &arena),
			    "install libgomp1 (apt) or libgomp (dnf)");
	assert_null(py_library_hint("No module named x", &arena));
}

static void put(struct fixture *f, const char *path, const char *text) {
	struct fs_write how = {.mode = 0755, .uid = (uid_t)-1, .gid = (gid_t)-1};
	char *dir = arena_strdup(&f->arena, path);
	*strrchr(dir, '/') = 0;
	assert_int_equal(fs_mkdirs(&f->root, dir, 0755, (uid_t)-1, (gid_t)-1, &f->err), 0);
	assert_int_equal(fs_write(&f->root, path, text, strlen(text), &how, &f->err), 0);
}

/* A venv as `python -m venv` leaves it, with what is installed as dist-info names. */
static void put_venv(struct fixture *f, const char *venv, const char *version, const char *const *dists) {
	put(f, arena_printf(&f->arena, "%s/bin/python", venv), "");
	put(f, arena_printf(&f->arena, "%s/pyvenv.cfg", venv),
	    arena_printf(&f->arena, "home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n", version));
	for (; *dists; dists++)
		put(f, arena_printf(&f->arena, "%s/lib/python%.4s/site-packages/%s/METADATA", venv, version, *dists),
		    "");
}

static void probes_read_what_is_installed(void **state) {
	static const char *const dists[] = {"numpy-1.26.4.dist-info", "Scikit_Learn-1.5.0.dist-info",
					    "six-1.16.0-py3.11.egg-info", NULL};
	static const char *const rows[][2] = {
		{"{venv: /ds, packages: [numpy, scikit-learn>=1.4, six]}",
		 "resolve and load what is asked for (3 requirements)\n"},
		{"{venv: /ds, packages: [\"numpy>=2\", polars, \"x; python_version < '3.11'\"]}",
		 "install numpy>=2 (1.26.4 is there), polars\n"},
		{"{venv: /ds, requirements: /req/base.txt}", "install pandas<3\n"},
		{"{venv: /ds, requirements: /req/none.txt}",
		 "install from a requirements file that is not there yet\n"},
		{"{venv: /ds}", ""},
		{"{venv: /ds, version: 3.12}",
		 "error: /ds has Python 3.11, not 3.12, and dsagent did not make it: give "
		 "another path for `venv`, or move that directory away"},
		{"{venv: /other}",
		 "error: /other exists and holds no working Python, and dsagent did not make it: give "
		 "another path for `venv`, or move that directory away"},
		{"{venv: /new, version: 3.11, packages: [a, b==1]}",
		 "make venv /new with Python 3.11\ninstall a, b==1\n"},
		{"{venv: /new, version: 3.13}", "install Python 3.13\nmake venv /new with Python 3.13\n"},
		{"{venv: /whole, packages: [numpy, scikit-learn, six]}", "install scikit-learn\n"},
		{"{venv: /half}", "make venv /half with Python 3.11 (an earlier attempt was interrupted)\n"},
		{"{venv: /ours, version: 3.11}", "make venv /ours anew with Python 3.11 (it has Python 3.10)\n"},
	};
	struct fixture f;
	fixture_open(&f, false);
	put_venv(&f, "/ds", "3.11.2", dists);
	put_venv(&f, "/ours", "3.10.4", dists);
	put(&f, "/ours/.dsagent.json", "{\"version\":1,\"made\":true,\"proof\":\"\"}\n");
	put(&f, "/half/.dsagent-making", "");
	put_venv(&f, "/whole", "3.11.2", dists);
	put(&f, "/whole/.dsagent.json", "{\"version\":1,\"made\":true,\"proof\":\"\"}\n");
	put(&f, "/whole/lib/python3.11/site-packages/numpy-1.26.4.dist-info/INSTALLER", "uv");
	put(&f, "/other/data", "");
	put(&f, "/req/base.txt", "-r more.txt\nnumpy\n");
	put(&f, "/req/more.txt", "pandas<3 # why\n");
	put(&f, "/usr/bin/python3.11", "");
	put(&f, "/usr/lib/python3.11/venv/__init__.py", "");
	put(&f, "/usr/lib/python3.11/ensurepip/__init__.py", "");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_python, rows[i][0]), rows[i][1]);
	fixture_close(&f);
}

static void bad_parameters_are_named(void **state) {
	struct fixture f;
	fixture_open(&f, false);
	assert_string_equal(
		fixture_probe(&f, &step_python,
			      "{venv: rel, version: 3, keep: [torch], installer: uv, packages: [a=1, -e x], "
			      "imports: [a b], requirements: r.txt}"),
		"r:1:1: venv 'rel' is not an absolute path\n"
		"r:1:1: requirements file 'r.txt' is not an absolute path\n"
		"r:1:1: requirement 'a=1': a version is asked for by '==', not '='\n"
		"r:1:1: '-e x' is an option of pip: put it into a requirements file\n"
		"r:1:1: version '3' is not like 3.11 (major and minor, 3.8 or newer)\n"
		"r:1:1: keep needs `installer: pip` (or auto): uv does not look at the interpreter's own "
		"packages\n"
		"r:1:1: 'a b' is not a module's name\n");
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_sort),
		cmocka_unit_test(version_spellings_are_equal),
		cmocka_unit_test(bad_versions_are_refused),
		cmocka_unit_test(specifiers_match),
		cmocka_unit_test(markers_are_evaluated),
		cmocka_unit_test(requirements_are_parsed),
		cmocka_unit_test(requirements_texts_are_read),
		cmocka_unit_test(failures_are_explained),
		cmocka_unit_test(probes_read_what_is_installed),
		cmocka_unit_test(bad_parameters_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
