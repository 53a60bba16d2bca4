#pragma once
/*
 * XML answers of AWS by expat, streaming: no tree is built. A DOCTYPE is refused (no entity ever expands), so are depth
 * and size above the caps. Namespaces are ignored: names are local names.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;

#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX 8192 /* longest text of one element */

/**
 * Called at the end of each element with its path from the root ("/Response/Errors/Error/Code") and its text, white
 * space trimmed. A parent is reported after its children. Returning non-zero stops the parse with success.
 */
typedef int (*xml_element_fn)(const char *path, const char *text, void *arg);

/** ERR_INVALID with line and column when it is not well-formed or holds a DOCTYPE; ERR_LIMIT. */
CHECK_RESULT int xml_parse(const char *data, size_t len, xml_element_fn fn, void *arg, struct err *err);
