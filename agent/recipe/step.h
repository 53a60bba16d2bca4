#pragma once
/*
 * The step contract. steps/ implements one struct step_type per type; everything above sees types through this alone.
 * Steps get typed parameters and a context; they never see YAML, argv, tags or the process environment, never print,
 * never exit. They run in a process of their own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "recipe/schema.h"
#include "sys/machine.h"

struct diags;
struct err;
struct facts;
struct fetch;
struct js;
struct yml_node;

/** One thing that is not as the step wants it. */
struct change {
	const char *what; /* "install git, make", "write /etc/motd": imperative, without the step's name */
	const char *diff; /* unified diff or NULL */
};

/** What a probe found; texts in the context's arena. */
struct changes {
	struct change *items;
	size_t count, cap;
};

/** True for a text whose references are not expanded yet: a type's check leaves it alone. False for NULL. */
bool step_text_is_open(const char *text);

/** Adds one; diff may be NULL. */
void changes_add(struct changes *changes, struct arena *arena, const char *diff, const char *fmt, ...) FORMAT(4, 5);

struct step_ctx {
	struct machine machine; /* root, environment, output, progress, deadline */
	const struct facts *facts;
	struct fetch *fetch;	      /* nothing is opened until it is used */
	const struct exec_user *user; /* run_as, or NULL: as dsagent runs */
	const struct field_map *env;  /* the step's own `env`, in machine.env already; for text only */
	const char *state_dir;	      /* below root; types keep what they note of earlier runs there; NULL: nowhere */
	const struct js *lock;	      /* the manifest of --locked, as the types' `record` wrote it, or NULL */
	bool is_done;		      /* this very content is recorded as done within the step's frequency: for `run` */
	struct arena *arena;	      /* the worker's; freed with it */
};

struct step_type {
	const char *name;    /* the key in a recipe */
	const char *summary; /* one line: "installed, removed or upgraded packages" */
	const char *example; /* YAML of one whole step, for `explain` and STEPS.md; the tests validate and plan it */
	struct shape shape;
	bool is_imperative;	/* `run`: no probe of its own can tell; is_done decides */
	bool is_done_by_reboot; /* `reboot`: begun, and the boot id is another since: done */
	int64_t timeout_ms;	/* default for the common key `timeout` */

	/** What the schema cannot say; pure. Adds to diags at node (the type key's value). May be NULL. */
	void (*check)(const void *params, const struct yml_node *node, struct diags *diags);
	/** Names of what it must have alone: "packages", "path:/opt/ds". May be NULL: nothing. */
	void (*resources)(const void *params, const struct facts *facts, struct arena *arena, struct strs *ret_names);
	/** Reads the machine and lists what is missing; changes nothing. Empty = in place. */
	int (*probe)(const void *params, struct step_ctx *ctx, struct changes *ret_changes, struct err *err);
	/** Ensures it. Safe to repeat after any interruption. */
	int (*apply)(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err);
	/**
	 * Adds what is there now, with versions, to the manifest: {"packages": …, "venvs": …, "r": {LIBRARY: {NAME:
	 * VERSION}}}; several steps share one member (js_child). Reads only. What is not there adds nothing. May be
	 * NULL.
	 */
	int (*record)(const void *params, struct step_ctx *ctx, struct js *into, struct err *err);
};

/** The table (steps/steps.c), ends with NULL. Passed down by cli/ as `const struct step_type *const *types`. */
