#include "cli/opt.h"

#include <getopt.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/context.h"

/* Longest --help: a few screens. */
#define HELP_MAX (16 * 1024)

static const struct opt common_opts[] = {
	{"json", 0, NULL, "print JSON", OPT_FLAG, offsetof(struct context, is_json), 0, 0},
	{"root", 0, "DIR", "probe and write below DIR instead of /", OPT_TEXT, offsetof(struct context, root_dir), 0,
	 0},
	{"help", 'h', NULL, "show this and end", OPT_FLAG, 0, 0, 0},
};

enum { COMMON_JSON, COMMON_ROOT, COMMON_HELP, COMMON_COUNT };

/* The rows that hold for a verb, its own first. */
struct rows {
	const struct opt *opts[OPT_MAX];
	size_t count, own;
};

static void rows_gather(const struct opt_verb *verb, struct rows *rows) {
	*rows = (struct rows){0};
	for (const struct opt *o = verb->opts; o && o->name && rows->count < OPT_MAX - COMMON_COUNT; o++)
		rows->opts[rows->count++] = o;
	rows->own = rows->count;
	for (size_t i = 0; i < COMMON_COUNT; i++)
		if (i != COMMON_JSON || verb->has_json) rows->opts[rows->count++] = &common_opts[i];
}

static int set_value(const struct opt *opt, const char *text, void *base, struct err *err) {
	char *at = (char *)base + opt->offset;
	int rc = 0;
	switch (opt->kind) {
	case OPT_FLAG: *(bool *)(void *)at = true; break;
	case OPT_TEXT: *(const char **)(void *)at = text; break;
	case OPT_TEXTS: strs_add((struct strs *)(void *)at, text); break;
	case OPT_ORDERED:
		strs_add((struct strs *)(void *)at, opt->name);
		strs_add((struct strs *)(void *)at, text);
		break;
	case OPT_INT: rc = parse_i64(text, opt->min, opt->max, (int64_t *)(void *)at, err); break;
	case OPT_DURATION: rc = parse_duration(text, (int64_t *)(void *)at, err); break;
	case OPT_SIZE: rc = parse_size(text, (int64_t *)(void *)at, err); break;
	}
	return rc ? err_wrap(err, "--%s", opt->name) : 0;
}

/* The word as it was typed up to '=', without dashes, into word. */
static void option_word(const char *typed, char *word, size_t size) {
	while (*typed == '-') typed++;
	(void)snprintf(word, size, "%.*s", (int)strcspn(typed, "="), typed);
}

static int unknown_option(const struct opt_verb *verb, const struct rows *rows, const char *typed, int letter,
			  struct err *err) {
	if (letter) return err_set(err, ERR_INVALID, "unknown option -%c; see `dsagent %s --help`", letter, verb->name);
	const char *names[OPT_MAX];
	for (size_t i = 0; i < rows->count; i++) names[i] = rows->opts[i]->name;
	char word[64];
	option_word(typed, word, sizeof word);
	for (size_t i = 0; i < rows->count; i++)
		if (str_eq(word, names[i])) return err_set(err, ERR_INVALID, "--%s takes no value", word);
	const char *near = str_nearest(word, names, rows->count);
	if (near) return err_set(err, ERR_INVALID, "unknown option --%s; did you mean --%s?", word, near);
	return err_set(err, ERR_INVALID, "unknown option --%s; see `dsagent %s --help`", word, verb->name);
}

static int check_args(const struct opt_verb *verb, const struct strs *args, struct err *err) {
	if (args->count < verb->min_args)
		return err_set(err, ERR_INVALID, "an argument is missing: dsagent %s %s", verb->name, verb->arguments);
	if (args->count > verb->max_args)
		return err_set(err, ERR_INVALID, "'%s' is one argument too many: dsagent %s%s%s",
			       args->items[verb->max_args], verb->name, verb->arguments[0] ? " " : "", verb->arguments);
	return 0;
}

int opt_read(const struct opt_verb *verb, struct context *ctx, int argc, char **argv, void *out, struct strs *ret_args,
	     bool *ret_wants_help, struct err *err) {
	struct rows rows;
	rows_gather(verb, &rows);
	struct option longs[OPT_MAX + 1] = {0};
	char letters[2 * OPT_MAX + 2] = ":";
	size_t n = 1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct opt *o = rows.opts[i];
		longs[i] =
			(struct option){o->name, o->argument ? required_argument : no_argument, NULL, (int)(256 + i)};
		if (o->letter) letters[n++] = o->letter;
		if (o->letter && o->argument) letters[n++] = ':';
	}
	*ret_wants_help = false;
	opterr = 0;
	optind = 0; /* getopt(3): starts anew */
	for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		if (c == '?') return unknown_option(verb, &rows, argv[optind - 1], optopt < 256 ? optopt : 0, err);
		if (c == ':') return err_set(err, ERR_INVALID, "%s needs a value", argv[optind - 1]);
		size_t row = 0;
		if (c >= 256)
			row = (size_t)c - 256;
		else
			while (row + 1 < rows.count && rows.opts[row]->letter != c) row++;
		const struct opt *o = rows.opts[row];
		if (o == &common_opts[COMMON_HELP]) {
			*ret_wants_help = true;
			return 0;
		}
		int rc = set_value(o, optarg, row < rows.own ? out : (void *)ctx, err);
		if (rc) return rc;
	}
	for (int i = optind; i < argc; i++) strs_add(ret_args, argv[i]);
	return check_args(verb, ret_args, err);
}

static void help_row(const struct opt *o, size_t width, struct buf *out) {
	char left[64];
	char letter[8] = "    ";
	if (o->letter) (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
	(void)snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
		       o->argument ? o->argument : "");
	buf_addf(out, "  %-*s  %s\n", (int)width, left, o->help);
}

void opt_help(const struct opt_verb *verb, struct buf *out) {
	struct rows rows;
	rows_gather(verb, &rows);
	buf_addf(out, "Usage: dsagent %s [options]%s%s\n\n%s\n\nOptions:\n", verb->name, verb->arguments[0] ? " " : "",
		 verb->arguments, verb->description);
	size_t width = 0;
	for (size_t i = 0; i < rows.count; i++) {
		const struct opt *o = rows.opts[i];
		size_t n = 6 + strlen(o->name) + (o->argument ? 1 + strlen(o->argument) : 0);
		if (n > width) width = n;
	}
	for (size_t i = 0; i < rows.count; i++) help_row(rows.opts[i], width, out);
	buf_adds(out, "\nExample:\n");
	for (const char *line = verb->example; *line;) {
		size_t n = strcspn(line, "\n");
		buf_addf(out, "  %.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

int opt_parse(const struct opt_verb *verb, struct context *ctx, int argc, char **argv, void *out,
	      struct strs *ret_args) {
	struct err err = {0};
	bool wants_help = false;
	if (opt_read(verb, ctx, argc, argv, out, ret_args, &wants_help, &err)) return cli_fail(EXIT_USAGE, &err);
	if (!wants_help) return OPT_GO;
	AUTO_BUF struct buf help = BUF_INIT(HELP_MAX);
	opt_help(verb, &help);
	return cli_print(&help);
}
