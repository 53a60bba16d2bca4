#pragma once
/*
 * dsagent.service where no package has brought it: written by `boot`, taken back by `clean --image`. And the systemd
 * that keeps it.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "sys/unit.h"

struct context;
struct err;
struct fs_root;
struct machine;
struct strs;

#define BOOT_UNIT UNIT_DIR "/dsagent.service"

/** False for a tree that is no system of its own: the machine's systemd has nothing to do with it. */
bool boot_has_systemd(const struct fs_root *root);

/** A machine to talk with its systemd, for minutes at most. */
CHECK_RESULT int boot_machine(struct context *ctx, const struct fs_root *root, struct machine *ret_machine,
			      struct err *err);

/**
 * Where this program lies, under its release's name too (dsagent-x86_64). It may have been started by a loader, or its
 * file replaced since ("… (deleted)"): then by PATH.
 */
const char *boot_own_path(struct context *ctx, const struct fs_root *root);

/** Writes a text of cli/packaged.h to path, with boot_own_path in the place of /usr/bin/dsagent. */
CHECK_RESULT int boot_write_packaged(struct context *ctx, const struct fs_root *root, const char *packaged,
				     const char *path, mode_t mode, struct err *err);

/**
 * Takes BOOT_UNIT away, with the link that enabled it, when it is as boot_write_packaged writes it and RECIPE_DIR has
 * nothing more for it to do: a recipe of somebody's own is started by it in the image too. What was removed is added to
 * *removed; why one stays is a warning.
 */
CHECK_RESULT int boot_forget_unit(struct context *ctx, const struct fs_root *root, struct strs *removed,
				  struct err *err);
