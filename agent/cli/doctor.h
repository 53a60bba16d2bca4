#pragma once
/*
 * The parts of `dsagent doctor`: what is looked at here (files and the kernel, at once), and what is asked (network and
 * commands, side by side, each in a process of its own).
 */
#include <stdbool.h>
#include <stdint.h>

#include "cli/rows.h"
#include "cli/sources.h"

struct config;
struct context;
struct facts;
struct fs_root;
struct plan;

/** All of `doctor` is over by then; what metadata took is taken off what may be asked, as far as this. */
#define DOCTOR_DEADLINE_MS 5000
#define DOCTOR_ASK_MIN_MS 1500
/** One request of it, so that its own error is shown and not that it was cut. */
#define DOCTOR_REQUEST_MS 4000

struct doctor {
	struct context *ctx;
	const struct facts *facts;
	const struct fs_root *root;
	const struct plan *plan; /* NULL: of no recipe */
	const struct config *config;
	const char *const *env;
	int64_t began_ms; /* clock_mono_ms */
	struct sources sources;
	bool has_proxy;
};

/** Metadata, clock, disk, memory, locks, a run at work, systemd. */
void doctor_look(const struct doctor *d, struct rows *rows);

/** Credentials, permissions, repositories, GPU. */
void doctor_ask(struct doctor *d, struct rows *rows);

/** All of it, of a plan or (NULL) the machine alone. began_ms: when the 5 seconds began (clock_mono_ms). */
void doctor_all(struct context *ctx, const struct facts *facts, const struct fs_root *root, const struct plan *plan,
		const struct config *config, int64_t began_ms, struct rows *rows);

/** Why the host of an origin cannot be resolved, in the arena; NULL if it can. */
const char *doctor_resolve(const char *origin, struct arena *arena);
