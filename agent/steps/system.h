#pragma once
/*
 * What the files of the `system` step share. Each part reads the machine anew: probe lists, apply ensures.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "recipe/schema.h"

struct changes;
struct err;
struct step_ctx;

struct system_swap {
	int64_t size_bytes;
	const char *path;
};

struct system_limit {
	const char *domain, *item, *value;
	int type;
};

struct system_params {
	struct system_swap swap;
	const char *timezone, *locale, *hostname;
	struct field_map sysctl;
	struct field_items limits; /* struct system_limit */
	bool has_swap;
};

extern const char *const system_limit_types[]; /* "both", "soft", "hard" */

typedef int (*system_probe_fn)(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			       struct err *err);
typedef int (*system_apply_fn)(const struct system_params *p, struct step_ctx *ctx, struct err *err);

int system_swap_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err);
int system_swap_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
int system_timezone_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			  struct err *err);
int system_timezone_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
int system_locale_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err);
int system_locale_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
int system_hostname_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			  struct err *err);
int system_hostname_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
int system_sysctl_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err);
int system_sysctl_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
int system_limits_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err);
int system_limits_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err);
