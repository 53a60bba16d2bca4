#pragma once
/*
 * A copy of the program on this computer: what user-data must know to trust the one that the instance fetches.
 */
#include <stdbool.h>

#include "base/cleanup.h"
#include "fmt/digest.h"

struct err;

struct agent_file {
	const char *arch; /* as `uname -m` says it: "x86_64" or "aarch64" */
	char sha256[SHA256_HEX_SIZE];
	bool is_dynamic; /* needs a loader and libraries of one system */
};

/** ERR_NOT_FOUND, ERR_IO, ERR_INVALID: not a 64-bit little-endian ELF program for one of the two architectures. */
CHECK_RESULT int agent_file_read(const char *path, struct agent_file *ret_file, struct err *err);
