#pragma once
/*
 * Unified diffs of small texts for people to read. Limits: TEXT_DIFF_LINES_MAX lines and TEXT_DIFF_BYTES_MAX bytes come
 * out, with a last line that says how much was left out; beyond TEXT_DIFF_TABLE_MAX line pairs the changed middle is
 * shown as removed and added as a whole.
 */
#include <stddef.h>

struct arena;

#define TEXT_DIFF_LINES_MAX 200
#define TEXT_DIFF_BYTES_MAX (64 * 1024)
/** 2000 x 2000 lines: 8 MB of table. */
#define TEXT_DIFF_TABLE_MAX 4000000

/**
 * The diff from old to new in the arena, "" when they are equal, "binary content differs\n" when one of them is no
 * text. label names both sides ("/etc/motd"); old_data NULL: there is no old file.
 */
const char *text_diff(const char *label, const char *old_data, size_t old_len, const char *new_data, size_t new_len,
		      struct arena *arena);
