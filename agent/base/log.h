#pragma once
/*
 * The process's one log sink: stderr, with journald priorities ("<4>…") when stderr is the journal. Debug is off unless
 * DSAGENT_DEBUG is set. Secrets are registered when they arrive and replaced by *** in every line that leaves the
 * process through log_redact: log, terminal, events, status, tags.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct buf;

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

void log_write(enum log_level level, const char *fmt, ...) FORMAT(2, 3);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

/** Shortest text that is treated as a secret: shorter ones would blank out ordinary words. */
#define LOG_SECRET_MIN 6
/** Most secrets kept; a later one ends the process, so that none is ever shown. */
#define LOG_SECRETS_MAX 256

/** Registers a copy of a secret (and of each of its lines, if several). NULL and short ones are ignored. */
void log_secret_add(const char *secret);

/** What is left of a secret at a cut is hidden from this many characters on. */
#define LOG_REMNANT_MIN 4

/**
 * Adds text to out with every registered secret replaced by "***". So is the beginning of one where the text was cut:
 * at its end or before a "…".
 */
void log_redact(const char *text, struct buf *out);

/** Where to cut text[0..len) so that no secret is split: len, or where the secret begins that len would split. */
size_t log_cut(const char *text, size_t len);

/** Wipes the registered secrets (end of process, tests). */
void log_secrets_clear(void);
