#pragma once
/* What the tests of base/exec share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/str.h"

/* Far above what any command here needs: a test fails by its result, not by the clock. */
#define LONG_MS 60000

static const char *const env[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})
#define SPEC(vector) ((struct exec_spec){.argv = (vector), .env = env, .timeout_ms = LONG_MS})
