#pragma once
/*
 * A systemd unit as a step wants it, for `service` and `jupyter`: its file, enabled, started. A changed file is
 * written, then the service is stopped, systemd told, and started: wherever that is cut off, the next probe sees it.
 */
#include <stdbool.h>

#include "base/cleanup.h"

struct changes;
struct err;
struct step_ctx;

enum unit_run { UNIT_STARTED, UNIT_STOPPED, UNIT_LEFT };

struct unit_want {
	const char *unit; /* "jupyter.service" */
	const char *text; /* of its file in UNIT_DIR; NULL: somebody else's unit */
	bool is_enabled;
	enum unit_run run;
};

CHECK_RESULT int unit_want_probe(const struct unit_want *want, struct step_ctx *ctx, struct changes *changes,
				 struct err *err);
CHECK_RESULT int unit_want_apply(const struct unit_want *want, struct step_ctx *ctx, struct err *err);
