#pragma once
/*
 * What schema*.c share among themselves: scalars by kind, and the wording of unknown keys.
 */
#include "recipe/schema.h"

struct err;

/** "a duration such as 90s, 10m or 1h30m": what a field takes, for messages; in the arena. */
const char *schema_wants(const struct field *field, struct arena *arena);

/** Types text into slot by a scalar kind (all but TEXTS, MAP, ITEMS, STRUCT). False if it does not fit. */
bool schema_scalar(const struct field *field, const char *text, struct arena *arena, void *slot);

/** "; did you mean '0644'?" or "": what may have been meant by a text that does not fit. */
const char *schema_scalar_hint(const struct field *field, const char *text, struct arena *arena);

/** "unknown key 'depends_on'; here it is 'needs'", with the keys that are known here. */
const char *schema_unknown_key(const char *key, const struct strs *known, struct arena *arena);

/** The field of that name, or NULL. */
const struct field *schema_field(const struct shape *shape, const char *name);

/** Adds each field as a JSON Schema property: for an object that has properties of others too. */
void schema_json_fields(const struct shape *shape, struct js *properties);
