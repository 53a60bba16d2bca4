#pragma once
/*
 * Shell patterns without the file system: `*` (any bytes, '/' too, as the AWS CLI's filters have it), `?`, `[a-z]`,
 * `[!x]`. Matching is linear in the product of the lengths at worst; no recursion.
 */
#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);
