#pragma once
/*
 * What every fuzzer needs: libFuzzer's entry, input as C text, and the claim that ends the run when it does not hold.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** A NUL-terminated copy; a NUL within ends the text early. The caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t len) { return mem_dup(len ? (const char *)data : "", len); }

/** A claim about every input. */
#define FUZZ_CLAIM(claim)                                                                                              \
	do {                                                                                                           \
		if (!(claim)) {                                                                                        \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);                     \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)
