#pragma once
/*
 * Strings and lists of strings. All functions take NUL-terminated UTF-8; bytes that are not UTF-8 are never made worse.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/** A list of strings; all-zero is the empty list. Items belong to whoever made them (an arena, usually). */
struct strs {
	const char **items;
	size_t count, cap;
};

/** Appends s itself, not a copy. */
void strs_add(struct strs *list, const char *s);

/** Appends unless an equal string is there. */
void strs_add_once(struct strs *list, const char *s);

bool strs_has(const struct strs *list, const char *s);

/** The items as a NULL-terminated vector; valid until the next change of the list. */
const char *const *strs_argv(struct strs *list);

/** Joins with sep into the arena; "" for the empty list. */
char *strs_join(const struct strs *list, const char *sep, struct arena *arena);

/** Frees the array, not the strings. */
void strs_clear(struct strs *list);

#define AUTO_STRS AUTO(strs_clear)

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_is_empty(const char *s); /* NULL or "" */

/** Skips leading white space in place and cuts trailing; returns the new start. */
char *str_trim(char *s);

/** Splits s at any character of seps into arena copies, empty fields dropped. */
void str_split(const char *s, const char *seps, struct arena *arena, struct strs *ret_fields);

/** True if the n bytes are well-formed UTF-8 (no surrogates, no overlong forms: RFC 3629). */
bool str_is_utf8(const char *s, size_t n);

/** Bytes of the longest prefix of s that holds at most max_chars characters and ends at a character boundary. */
size_t str_utf8_prefix(const char *s, size_t max_chars);

/** The number of characters (code points; a stray byte counts as one). */
size_t str_utf8_count(const char *s);

/**
 * The candidate nearest to word by edit distance (insert, delete, replace, swap of neighbours; case folded) or NULL
 * when none is near enough (distance above 1 + length / 4; above 0 below three bytes): for "did you mean".
 */
const char *str_nearest(const char *word, const char *const *candidates, size_t count);

/** "1.5 GB", "812 KB": decimal units as the AWS console shows them. */
char *str_bytes(unsigned long long bytes, struct arena *arena);

/** The same where digits matter less than room: "41 GB", "1.5 GB", "812 KB". Below zero is zero. */
char *str_bytes_short(long long bytes, struct arena *arena);

/** "41 of 63 GB": both in the unit of the second. */
char *str_bytes_of(long long done, long long total, struct arena *arena);

/** "4.2 s", "1 min 03 s", "2 h 05 min". */
char *str_duration(long long ms, struct arena *arena);

/** In whole seconds, for what is drawn again and again: "38 s", "1 min 03 s". */
char *str_seconds(long long ms, struct arena *arena);
