#pragma once
/* Waiting between tries. */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct err;

/**
 * Sleeps ms; ERR_CANCELLED ("told to stop while waiting " + what) soon after is_cancelled (may be NULL) says so.
 */
CHECK_RESULT int pause_ms(int64_t ms, bool (*is_cancelled)(void), const char *what, struct err *err);
