#pragma once
/*
 * A small settings file that a step owns whole: units, drop-ins, tokens. The `file` step's rules with everything given:
 * content, mode and owner are compared, and it is replaced at once. Secrets show no diff.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct arena;
struct changes;
struct err;
struct fs_root;
struct step_ctx;

/** Most bytes of such a file. */
#define TEXT_FILE_MAX (1024 * 1024)

struct text_file {
	const char *path;
	const char *content; /* NULL: whatever is there, but not empty (a token that was drawn once) */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	bool is_secret; /* no diff */
};

/** Adds what differs. ERR_INVALID when something that is no file is in the way. */
CHECK_RESULT int text_file_probe(const struct text_file *file, struct step_ctx *ctx, struct changes *changes,
				 struct err *err);

/** Makes it so, its directories (0755) too; *ret_has_written (may be NULL) is whether its content was not yet so. */
CHECK_RESULT int text_file_apply(const struct text_file *file, struct step_ctx *ctx, bool *ret_has_written,
				 struct err *err);

/** The whole file in the arena, or NULL when there is none. */
CHECK_RESULT int text_file_read(const struct step_ctx *ctx, const char *path, const char **ret_text, struct err *err);

/** Where a symbolic link points, in the arena. ERR_NOT_FOUND when there is nothing. */
CHECK_RESULT int text_link_read(const struct fs_root *root, const char *path, struct arena *arena,
				const char **ret_target, struct err *err);
