#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"

/* Longest list of verbs. */
#define HELP_MAX (16 * 1024)

struct verb {
	const char *name, *summary;
	verb_fn run;
};

/* In the order of use. */
static const struct verb verbs[] = {
	{"apply", "do what the recipe says and is not in place yet", cmd_apply},
	{"plan", "show what apply would change; touch nothing", cmd_plan},
	{"validate", "list every error of a recipe", cmd_validate},
	{"status", "show what runs, how far it is, what failed", cmd_status},
	{"wait", "wait until the run is ready or has failed", cmd_wait},
	{"logs", "show what the steps wrote", cmd_logs},
	{"report", "show where the time went, from launch to ready", cmd_report},
	{"doctor", "look whether this machine, or its GPUs, can do the work", cmd_doctor},
	{"sync", "make a folder and an S3 prefix equal, either way", cmd_sync},
	{"cp", "copy files to or from S3", cmd_cp},
	{"ls", "list buckets, or what a bucket holds", cmd_ls},
	{"boot", "keep a recipe and start the work in the background, at every boot again", cmd_boot},
	{"userdata", "print the user-data that starts recipes on a new instance", cmd_userdata},
	{"facts", "show what is known of machine and instance", cmd_facts},
	{"explain", "show the manual of a step type", cmd_explain},
	{"schema", "print the JSON Schema of recipes, for editors", cmd_schema},
	{"clean", "forget state, runs and logs; --image before an AMI is made", cmd_clean},
	{"version", "show the version", cmd_version},
};

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static const struct verb *find_verb(const char *name) {
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (str_eq(verbs[i].name, name)) return &verbs[i];
	return NULL;
}

static void overview(struct buf *out) {
	buf_adds(out, "dsagent " DSAGENT_VERSION ": turns a fresh EC2 instance into a data-science box\n\n"
		      "Usage: dsagent [--root DIR] COMMAND [options] [arguments]\n\nCommands:\n");
	for (size_t i = 0; i < VERB_COUNT; i++) buf_addf(out, "  %-10s  %s\n", verbs[i].name, verbs[i].summary);
	buf_adds(out, "\n`dsagent help COMMAND` or `dsagent COMMAND --help` shows one command with an example.\n");
}

static int unknown_verb(const char *word) {
	const char *names[VERB_COUNT + 1];
	for (size_t i = 0; i < VERB_COUNT; i++) names[i] = verbs[i].name;
	names[VERB_COUNT] = "help";
	const char *near = str_nearest(word, names, VERB_COUNT + 1);
	struct err err = {0};
	if (near)
		(void)err_set(&err, ERR_INVALID, "unknown command '%s'; did you mean '%s'?", word, near);
	else
		(void)err_set(&err, ERR_INVALID, "unknown command '%s'; `dsagent help` lists them", word);
	return cli_fail(EXIT_USAGE, &err);
}

static int print_overview(void) {
	AUTO_BUF struct buf text = BUF_INIT(HELP_MAX);
	overview(&text);
	return cli_print(&text);
}

static int help(struct context *ctx, int argc, char **argv) {
	if (argc < 2) return print_overview();
	const struct verb *verb = find_verb(argv[1]);
	if (!verb) return unknown_verb(argv[1]);
	char flag[] = "--help";
	char *args[] = {argv[1], flag, NULL};
	return verb->run(ctx, 2, args);
}

/* Options in front of the verb: *at becomes the verb's place in argv. Returns OPT_GO or an exit code. */
static int leading_options(struct context *ctx, int argc, char **argv, int *at) {
	struct err err = {0};
	for (; *at < argc && argv[*at][0] == '-'; (*at)++) {
		const char *word = argv[*at];
		if (str_eq(word, "--help") || str_eq(word, "-h")) return print_overview();
		if (str_eq(word, "--version")) {
			char name[] = "version";
			char *args[] = {name, NULL};
			return cmd_version(ctx, 1, args);
		}
		if (str_eq(word, "--json"))
			ctx->is_json = true;
		else if (str_starts(word, "--root="))
			ctx->root_dir = word + strlen("--root=");
		else if (str_eq(word, "--root") && *at + 1 < argc)
			ctx->root_dir = argv[++*at];
		else if (str_eq(word, "--root")) {
			(void)err_set(&err, ERR_INVALID, "--root needs a directory");
			return cli_fail(EXIT_USAGE, &err);
		} else {
			(void)err_set(&err, ERR_INVALID, "unknown option %s before the command; see `dsagent help`",
				      word);
			return cli_fail(EXIT_USAGE, &err);
		}
	}
	return OPT_GO;
}

static int dispatch(struct context *ctx, int argc, char **argv) {
	int at = 1;
	int code = leading_options(ctx, argc, argv, &at);
	if (code != OPT_GO) return code;
	if (at >= argc) return print_overview();
	if (str_eq(argv[at], "help")) return help(ctx, argc - at, argv + at);
	const struct verb *verb = find_verb(argv[at]);
	if (!verb) return unknown_verb(argv[at]);
	return verb->run(ctx, argc - at, argv + at);
}

/* A caller that closed one of 0, 1, 2 must not have it turn into a file of ours. */
static void open_standard_fds(void) {
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
	if (fd >= 0) (void)close(fd); /* the first one that was not needed */
}

int main(int argc, char **argv) {
	open_standard_fds();
	/* A reader that goes away (`dsagent apply | head`) must not end a run: writers see EPIPE instead. */
	(void)signal(SIGPIPE, SIG_IGN);
	struct context ctx;
	context_init(&ctx, (const char *const *)environ);
	int code = dispatch(&ctx, argc, argv);
	context_clear(&ctx);
	log_secrets_clear();
	return code;
}
