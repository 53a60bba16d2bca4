#pragma once
/*
 * /etc/dsagent/dsagent.yaml, or the file that DSAGENT_CONFIG names: settings of the machine, bound by a field table as
 * recipes are. It says whom to tell of runs; a file that is wrong is said with its places and then left out of account
 * as a whole, for reporting never breaks the work.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "recipe/schema.h"

struct context;
struct diags;
struct fs_root;

#define CONFIG_PATH "/etc/dsagent/dsagent.yaml"

struct config_webhook {
	const char *url;
	struct field_map headers;
	int64_t timeout_ms;
};

struct config_stack {
	const char *stack, *resource, *region;
};

struct config_bundle {
	const char *to; /* s3://bucket/prefix/ */
};

struct config {
	bool has_tags;
	struct config_webhook webhook;
	struct config_stack cloudformation;
	struct config_bundle bundle;
};

/** What holds without a file. */
struct config config_default(void);

/**
 * Reads it into the context's arena; no file is the default. False after adding to diags: *ret_config is the default
 * then. Secrets in it are registered with the log.
 */
bool config_read(struct context *ctx, const struct fs_root *root, struct config *ret_config, struct diags *diags);

/** Reads it; what is wrong with it is a warning for each place. */
struct config config_load(struct context *ctx, const struct fs_root *root);

/** JSON Schema of the file, for editors. */
struct js *config_schema_json(void);
