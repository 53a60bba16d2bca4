#pragma once
/*
 * The second half of `dsagent boot`: starting `apply --boot` in a unit of its own, and saying where nobody looks at a
 * terminal that it could not be started.
 */
#include "base/cleanup.h"
#include "recipe/recipe.h"

struct context;
struct diags;
struct err;
struct fs_root;

/** The recipe of user-data: it belongs to the instance, `clean --image` takes it away. */
#define BOOT_RECIPE RECIPE_DIR "user-data.yaml"

/** ERR_BUSY while the service is at work: it has read its recipes already. */
CHECK_RESULT int boot_check_idle(struct context *ctx, const struct fs_root *root, struct err *err);

/**
 * Starts the work and returns at once. Where systemd runs: enables dsagent.service, so that a run goes on after a
 * reboot, and queues its start; its file is written where no package has brought it. Else a process of its own.
 * *ret_how says what will work now, in words.
 */
CHECK_RESULT int boot_start(struct context *ctx, const struct fs_root *root, const char **ret_how, struct err *err);

/**
 * What is wrong with a recipe, on stderr, and the first of it on the console and in the tags: there is no terminal.
 * Returns EXIT_USAGE.
 */
int boot_refuse(struct context *ctx, const struct fs_root *root, struct diags *diags);

/** A line on the console, and the tags `failed` and why, on an instance that may set them. A few seconds at most; what
 * fails is not said again.
 */
void boot_complain(struct context *ctx, const struct fs_root *root, const char *text);
