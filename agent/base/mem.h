#pragma once
/*
 * Memory. Every input is capped before it is read, so an allocation that fails means that the machine is out of memory;
 * unwinding would not be reliable either. These functions therefore end the process with a message (exit status 1), as
 * git's xmalloc does; files are crash-safe by construction, and a worker's death is its step's failure alone.
 */
#include <stddef.h>

#include "base/cleanup.h"

/** Returns size zeroed bytes, never NULL (size 0 gives a unique pointer). */
void *mem_zalloc(size_t size);

/** Returns size bytes, not zeroed, at a multiple of alignment, which divides size. */
void *mem_aligned(size_t alignment, size_t size);

/** Resizes to count * size bytes; ends the process on overflow. */
void *mem_resize(void *p, size_t count, size_t size);

/** Returns a copy of s; NULL stays NULL. */
char *mem_strdup(const char *s);

/** Returns a NUL-terminated copy of n bytes. */
char *mem_dup(const void *p, size_t n);

/** Formats into fresh memory. */
char *mem_printf(const char *fmt, ...) FORMAT(1, 2);
