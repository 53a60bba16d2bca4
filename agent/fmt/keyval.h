#pragma once
/*
 * Line formats of keys and values: os-release(5) and the AWS shared files' INI.
 */
#include <stddef.h>

#include "base/cleanup.h"

typedef void (*keyval_fn)(const char *section, const char *key, const char *value, void *arg);

/**
 * os-release(5): KEY=value, values bare, single- or double-quoted with backslash escapes; comments and lines that do
 * not fit are skipped. section is "".
 */
void keyval_os_release(const char *data, size_t len, keyval_fn fn, void *arg);

/**
 * INI of ~/.aws/config and ~/.aws/credentials: [section], key = value, # and ; comments at the start of a line,
 * keys lower-cased. Indented lines are nested settings of the key without a value above them, "s3.endpoint_url"; below
 * another key they are skipped. Sources: AWS SDKs and Tools Reference Guide, "Shared config files".
 */
void keyval_ini(const char *data, size_t len, keyval_fn fn, void *arg);
