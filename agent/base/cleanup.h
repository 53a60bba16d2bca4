#pragma once
/*
 * Cleanup attributes: the declaration says who frees. Each AUTO_x runs at the end of the scope in reverse order of
 * declaration; to hand a value out, take it away first (`*ret_x = cleanup_take(&x)`).
 */
#include <stdlib.h>
#include <unistd.h>

#define CHECK_RESULT __attribute__((warn_unused_result))
#define FORMAT(fmt, args) __attribute__((format(printf, fmt, args)))
#define AUTO(fn) __attribute__((cleanup(fn)))

#define AUTO_FREE AUTO(cleanup_free)
#define AUTO_CLOSE AUTO(cleanup_close)

/** Frees the pointer that p points to. */
static inline void cleanup_free(void *p) { free(*(void **)p); }

/** Closes *fd unless it is negative. */
static inline void cleanup_close(int *fd) {
	if (*fd >= 0) (void)close(*fd); /* nothing was promised for this descriptor: writers sync and check before */
}

/** Returns *fd and leaves -1 behind: hands a descriptor out of an AUTO_CLOSE variable. */
static inline int cleanup_take_fd(int *fd) {
	int taken = *fd;
	*fd = -1;
	return taken;
}
