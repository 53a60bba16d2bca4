#include "step_fixture.h"

#include "steps/steps.h"

static void plans_show_the_first_line(void **state) {
	static const char *const rows[][2] = {
		{"true", "run: true\n"},
		{"\"# why\\n\\n  echo a\\necho b\\n\"", "run: echo a…\n"},
		{"[echo, \"a b\"]", "run: echo a b\n"},
		{"{script: \"x\\n\"}", "run: x\n"},
		{"{}", "r:1:1: run needs a script (text) or argv (a list), one of them\n"},
		{"{script: a, argv: [b]}", "r:1:1: run needs a script (text) or argv (a list), one of them\n"},
		{"\" \\n\"", "r:1:1: the script is empty\n"},
		{"{script: a, cwd: b}", "r:1:1: cwd 'b' is not absolute\n"},
	};
	struct fixture f;
	fixture_open(&f, true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(fixture_probe(&f, &step_run, rows[i][0]), rows[i][1]);
	f.ctx.is_done = true;
	assert_string_equal(fixture_probe(&f, &step_run, "true"), "");
	fixture_close(&f);
}

/* A YAML double-quoted script that leaves what it prints in OUT. */
static const char *outcome(struct fixture *f, const char *format) {
	AUTO_BUF struct buf yaml = BUF_INIT(8192), out = BUF_INIT(8192);
	const char *path = arena_printf(&f->arena, "%s/out", f->dir);
	for (const char *c = format; *c; c++) {
		if (*c == '%')
			buf_adds(&yaml, path);
		else
			buf_addc(&yaml, *c);
	}
	const char *failed = fixture_apply(f, &step_run, buf_str(&yaml));
	if (failed[0]) return arena_dup(&f->arena, failed, strcspn(failed, ":"));
	if (fs_read(&f->root, path, &out, &f->err) < 0) return "nothing";
	return arena_strdup(&f->arena, buf_str(&out));
}

static void scripts_run_and_fail_truly(void **state) {
	static const char *const rows[][2] = {
		{"\"echo a >%\"", "a\n"},
		{"\"echo b >%\\nfalse\\necho c >%\"", "command"},
		{"\"cat >%\"", ""},
		{"{script: \"cat >%\", stdin: hello}", "hello"},
		{"{script: \"pwd >%\", cwd: /usr}", "/usr\n"},
		{"\"echo \\\"${DSAGENT_SCRIPT-unset} ${script-unset}\\\" >%\"", "unset unset\n"},
		{"[sh, -c, \"printf '%s' \\\"$0\\\" > /dev/null\"]", "unset unset\n"},
		{"\"nonsense-command-xyz\"", "command"},
		{"[nonsense-command-xyz]", "not-found"},
		{"\"cat <<'E' >%\\nit's \\\"$HOME\\\" \\\\\\\\ x\\nE\\n\"", "it's \"$HOME\" \\\\ x\n"},
		{"\"tr '\\\\0' ' ' </proc/$$/cmdline | grep -q needle && echo seen >% || echo unseen >%\"", "unseen\n"},
	};
	struct fixture f;
	fixture_open(&f, true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(outcome(&f, rows[i][0]), rows[i][1]);
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_show_the_first_line),
		cmocka_unit_test(scripts_run_and_fail_truly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
