#pragma once
/*
 * Just enough of OpenPGP (RFC 9580) to know whose keys a file holds before a package manager is told to trust it: the
 * fingerprints of its primary public keys. No signature is checked here.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;
struct strs;

/**
 * Fingerprints, upper-case hexadecimal, of every primary key in armored or binary data. ERR_INVALID for anything that
 * is no public key file, ERR_UNSUPPORTED for keys before version 4.
 */
CHECK_RESULT int pgp_fingerprints(const char *data, size_t len, struct arena *arena, struct strs *ret_fingerprints,
				  struct err *err);
