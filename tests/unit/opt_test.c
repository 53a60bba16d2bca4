#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/context.h"
#include "cli/opt.h"

struct options {
	bool is_fast;
	const char *from;
	struct strs vars;
	int64_t jobs, timeout_ms, limit_bytes;
};

#define AT(member) offsetof(struct options, member)

static const struct opt opts[] = {
	{"fast", 'f', NULL, "be quick", OPT_FLAG, AT(is_fast), 0, 0},
	{"from", 0, "ID", "begin here", OPT_TEXT, AT(from), 0, 0},
	{"var", 0, "K=V", "set a variable", OPT_TEXTS, AT(vars), 0, 0},
	{"jobs", 'j', "N", "at once", OPT_INT, AT(jobs), 1, 32},
	{"timeout", 0, "TIME", "at most", OPT_DURATION, AT(timeout_ms), 0, 0},
	{"limit", 0, "SIZE", "bytes", OPT_SIZE, AT(limit_bytes), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "frob",
	.arguments = "[RECIPE...]",
	.description = "Frobs recipes.",
	.opts = opts,
	.example = "dsagent frob -j2 a\ndsagent frob b",
	.max_args = 2,
	.has_json = true,
};

static const struct opt_verb strict_verb = {.name = "see",
					    .arguments = "THING",
					    .description = "Sees.",
					    .example = "dsagent see x",
					    .min_args = 1,
					    .max_args = 1};

/* Words of one command line, split at spaces; argv[0] is the verb. */
struct line {
	char text[256];
	char *argv[32];
	int argc;
};

static void split(const char *text, struct line *line) {
	*line = (struct line){0};
	(void)snprintf(line->text, sizeof line->text, "%s", text);
	char *rest = NULL;
	for (char *w = strtok_r(line->text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
		line->argv[line->argc++] = w;
}

struct bad_row {
	const struct opt_verb *verb;
	const char *line, *message;
};

static const struct bad_row bad_rows[] = {
	{&verb, "frob --form x", "unknown option --form; did you mean --from?"},
	{&verb, "frob --zzzzzzzz", "unknown option --zzzzzzzz; see `dsagent frob --help`"},
	{&verb, "frob --json=1", "--json takes no value"},
	{&verb, "frob -x", "unknown option -x; see `dsagent frob --help`"},
	{&verb, "frob --from", "--from needs a value"},
	{&verb, "frob -j", "-j needs a value"},
	{&verb, "frob a -j", "-j needs a value"},
	{&verb, "frob a --from", "--from needs a value"},
	{&verb, "frob a --form", "unknown option --form; did you mean --from?"},
	{&verb, "frob a b c", "'c' is one argument too many: dsagent frob [RECIPE...]"},
	{&strict_verb, "see", "an argument is missing: dsagent see THING"},
	{&strict_verb, "see x --json", "unknown option --json; see `dsagent see --help`"},
};

static void test_bad(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
		struct line line;
		struct options o = {0};
		struct context ctx = {0};
		struct strs args = {0};
		struct err err = {0};
		bool wants_help = false;
		split(bad_rows[i].line, &line);
		int rc = opt_read(bad_rows[i].verb, &ctx, line.argc, line.argv, &o, &args, &wants_help, &err);
		assert_int_equal(rc, -ERR_INVALID);
		assert_string_equal(err.msg, bad_rows[i].message);
		strs_clear(&args);
		strs_clear(&o.vars);
	}
}

static void test_all_kinds(void **state) {
	(void)state;
	struct line line;
	struct options o = {0};
	struct context ctx = {0};
	struct strs args = {0};
	struct err err = {0};
	bool wants_help = false;
	split("frob one --fast --from=x --var a=1 --json --var b=2 -j 3 --timeout 1m --limit 2K --root /r two", &line);
	assert_int_equal(opt_read(&verb, &ctx, line.argc, line.argv, &o, &args, &wants_help, &err), 0);
	assert_false(wants_help);
	assert_true(o.is_fast);
	assert_string_equal(o.from, "x");
	assert_int_equal(o.vars.count, 2);
	assert_string_equal(o.vars.items[0], "a=1");
	assert_string_equal(o.vars.items[1], "b=2");
	assert_int_equal(o.jobs, 3);
	assert_int_equal(o.timeout_ms, 60000);
	assert_int_equal(o.limit_bytes, 2048);
	assert_true(ctx.is_json);
	assert_string_equal(ctx.root_dir, "/r");
	assert_int_equal(args.count, 2);
	assert_string_equal(args.items[0], "one");
	assert_string_equal(args.items[1], "two");
	strs_clear(&args);
	strs_clear(&o.vars);
}

static void test_number_out_of_range(void **state) {
	(void)state;
	struct line line;
	struct options o = {0};
	struct context ctx = {0};
	struct strs args = {0};
	struct err err = {0};
	bool wants_help = false;
	split("frob -j 99", &line);
	assert_int_equal(opt_read(&verb, &ctx, line.argc, line.argv, &o, &args, &wants_help, &err), -ERR_INVALID);
	assert_memory_equal(err.msg, "--jobs: ", 8);
	strs_clear(&args);
}

static void test_help(void **state) {
	(void)state;
	static const char expected[] = "Usage: dsagent frob [options] [RECIPE...]\n"
				       "\n"
				       "Frobs recipes.\n"
				       "\n"
				       "Options:\n"
				       "  -f, --fast          be quick\n"
				       "      --from ID       begin here\n"
				       "      --var K=V       set a variable\n"
				       "  -j, --jobs N        at once\n"
				       "      --timeout TIME  at most\n"
				       "      --limit SIZE    bytes\n"
				       "      --json          print JSON\n"
				       "      --root DIR      probe and write below DIR instead of /\n"
				       "  -h, --help          show this and end\n"
				       "\n"
				       "Example:\n"
				       "  dsagent frob -j2 a\n"
				       "  dsagent frob b\n";
	AUTO_BUF struct buf out = BUF_INIT(4096);
	opt_help(&verb, &out);
	assert_string_equal(buf_str(&out), expected);

	struct line line;
	struct options o = {0};
	struct context ctx = {0};
	struct strs args = {0};
	struct err err = {0};
	bool wants_help = false;
	split("frob --help --nonsense", &line);
	assert_int_equal(opt_read(&verb, &ctx, line.argc, line.argv, &o, &args, &wants_help, &err), 0);
	assert_true(wants_help);
	strs_clear(&args);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad), cmocka_unit_test(test_all_kinds),
					   cmocka_unit_test(test_number_out_of_range), cmocka_unit_test(test_help)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
