#pragma once
/* An object of 17 MiB, more than is sent or fetched in one piece. */
#include "aws_world.h"
#include "base/mem.h"

#define MIB ((size_t)1024 * 1024)
#define LARGE_SIZE (17 * MIB)

static char *large; /* no NUL within; one at its end */

/** Of a group of tests, which pins the clock too. */
static inline int large_set_up(void **state) {
	(void)state;
	aws_world_pin_clock();
	large = mem_zalloc(LARGE_SIZE + 1);
	for (size_t i = 0; i < LARGE_SIZE; i++) large[i] = (char)(1 + (i * 2654435761U >> 13) % 251);
	return 0;
}

static inline int large_tear_down(void **state) {
	(void)state;
	free(large);
	return 0;
}
