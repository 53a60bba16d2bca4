#pragma once
/*
 * XML answers of AWS by expat, streaming: no tree is built. A DOCTYPE is refused (no entity ever expands), so are depth
 * and size above the caps. Namespaces are ignored: names are local names.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;

/** Largest document: a ListObjectsV2 page of 1000 keys, each 1024 bytes and percent-encoded, stays below 4 MB. */
#define XML_BYTES_MAX (16 * 1024 * 1024)
#define XML_DEPTH_MAX 16
#define XML_TEXT_MAX 8192 /* longest text of one element */

/**
 * Called at the end of each element with its path from the root ("/Response/Errors/Error/Code") and its text, white
 * space trimmed. A parent is reported after its children. Returning non-zero stops the parse with success.
 */
typedef int (*xml_element_fn)(const char *path, const char *text, void *arg);

/**
 * A document in pieces. After xml_push has failed, or fn has stopped it, further pieces change nothing. Those of one
 * document together may have XML_BYTES_MAX bytes.
 */
struct xml;
struct xml *xml_new(xml_element_fn fn, void *arg);
/** ERR_INVALID with line and column when it is not well-formed or holds a DOCTYPE; ERR_LIMIT. */
CHECK_RESULT int xml_push(struct xml *xml, const char *data, size_t len, bool is_last, struct err *err);
void xml_free(struct xml *xml); /* NULL is fine */

/** A whole document; errors as xml_push. */
CHECK_RESULT int xml_parse(const char *data, size_t len, xml_element_fn fn, void *arg, struct err *err);
