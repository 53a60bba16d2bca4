#pragma once
/*
 * Options of a verb as a table over getopt_long(3): one table parses, prints --help and feeds "did you mean". The
 * verb's options land in a struct of its own by offset. --help and --root DIR are understood by every verb, --json by
 * those that say so.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf;
struct context;
struct err;

enum opt_kind {
	OPT_FLAG,     /* bool */
	OPT_TEXT,     /* const char * */
	OPT_TEXTS,    /* struct strs: may be given several times */
	OPT_ORDERED,  /* struct strs, shared by several options whose order counts: name, value, name, value … */
	OPT_INT,      /* int64_t within min..max */
	OPT_DURATION, /* int64_t milliseconds */
	OPT_SIZE,     /* int64_t bytes */
};

struct opt {
	const char *name;     /* without the dashes; NULL ends the table */
	char letter;	      /* 0: none */
	const char *argument; /* "DIR"; NULL: a flag */
	const char *help;     /* one line */
	enum opt_kind kind;
	size_t offset;
	int64_t min, max; /* OPT_INT */
};

struct opt_verb {
	const char *name;
	const char *arguments; /* "[RECIPE...]"; "" for none */
	const char *description;
	const struct opt *opts; /* may be NULL */
	const char *example;	/* one command line or several, each ending in a newline but the last */
	size_t min_args, max_args;
	bool has_json;
};

/** Most options that a verb may have, the common ones included. */
#define OPT_MAX 32

/** What opt_parse returns when the verb is to do its work; anything else is the exit code to end with. */
#define OPT_GO (-1)

/**
 * Parses argv (argv[0] is the verb) into out and *ret_args; --root and --json go to ctx. Help and errors are printed
 * here. argv may be permuted.
 */
int opt_parse(const struct opt_verb *verb, struct context *ctx, int argc, char **argv, void *out,
	      struct strs *ret_args);

/** The pure half of it: 0, or ERR_INVALID. *ret_wants_help is set at --help; nothing after it is read. */
CHECK_RESULT int opt_read(const struct opt_verb *verb, struct context *ctx, int argc, char **argv, void *out,
			  struct strs *ret_args, bool *ret_wants_help, struct err *err);

void opt_help(const struct opt_verb *verb, struct buf *out);
