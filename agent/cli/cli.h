#pragma once
/*
 * The command line: exit codes and verbs. A verb is one row in main.c, one cmd_<verb>.c and one line here. Results go
 * to stdout, everything else to stderr.
 */
#include "base/cleanup.h"

struct buf;
struct context;
struct diags;
struct err;
struct js;

/** They are part of the contract (README.md): never renumber. */
enum exit_code {
	EXIT_OK_ = 0,
	EXIT_STEP_FAILED = 1,	/* a step or check failed */
	EXIT_USAGE = 2,		/* usage or recipe error: nothing was touched */
	EXIT_NO_START = 3,	/* needs root, busy, state not writable, nothing known */
	EXIT_WAIT_TIMEOUT = 4,	/* `wait --timeout` */
	EXIT_CHANGES = 5,	/* `plan --detailed-exitcode` only */
	EXIT_WITH_WARNINGS = 6, /* `wait --strict` only */
	EXIT_SIGNAL_BASE = 128, /* + the signal's number */
};

typedef int (*verb_fn)(struct context *ctx, int argc, char **argv);

/** Prints "dsagent: message" to stderr; returns code. */
int cli_fail(enum exit_code code, const struct err *err);

/** Prints all diagnoses, sorted, to stderr, as `file:line:col: message`; returns EXIT_USAGE. */
int cli_diags(struct diags *diags);

/** Writes out to stdout, whole. EXIT_OK_, or EXIT_NO_START after saying why it could not. */
int cli_print(const struct buf *out);

/** Ends what was printed to stdout piece by piece: EXIT_OK_, also when its reader has gone, or as cli_print. */
int cli_flush(void);

/** Prints a value to stdout, indented, with a newline. */
int cli_print_json(const struct js *js);

int cmd_apply(struct context *ctx, int argc, char **argv);
int cmd_boot(struct context *ctx, int argc, char **argv);
int cmd_bundle(struct context *ctx, int argc, char **argv);
int cmd_clean(struct context *ctx, int argc, char **argv);
int cmd_cp(struct context *ctx, int argc, char **argv);
int cmd_doctor(struct context *ctx, int argc, char **argv);
int cmd_explain(struct context *ctx, int argc, char **argv);
int cmd_facts(struct context *ctx, int argc, char **argv);
int cmd_fleet(struct context *ctx, int argc, char **argv);
int cmd_logs(struct context *ctx, int argc, char **argv);
int cmd_ls(struct context *ctx, int argc, char **argv);
int cmd_plan(struct context *ctx, int argc, char **argv);
int cmd_report(struct context *ctx, int argc, char **argv);
int cmd_schema(struct context *ctx, int argc, char **argv);
int cmd_status(struct context *ctx, int argc, char **argv);
int cmd_sync(struct context *ctx, int argc, char **argv);
int cmd_userdata(struct context *ctx, int argc, char **argv);
int cmd_validate(struct context *ctx, int argc, char **argv);
int cmd_version(struct context *ctx, int argc, char **argv);
int cmd_wait(struct context *ctx, int argc, char **argv);
