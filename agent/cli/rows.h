#pragma once
/*
 * What `doctor` finds, row by row, and asking many things at once: each question runs in a process of its own, so that
 * one that hangs is one row that says so.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;
struct buf;
struct js;

enum row_status { ROW_OK, ROW_NONE, ROW_WARN, ROW_FAIL };

struct row {
	const char *name, *text, *remedy; /* remedy NULL: nothing to do */
	enum row_status status;
	size_t question; /* of rows_ask: whose answer it is */
};

struct rows {
	struct arena *arena;
	struct row *items;
	size_t count, cap;
};

/** Adds one; remedy may be NULL. */
void rows_add(struct rows *rows, const char *name, enum row_status status, const char *remedy, const char *fmt, ...)
	FORMAT(5, 6);

/** The worst of all; ROW_OK when there are none. */
enum row_status rows_worst(const struct rows *rows);

void rows_print(const struct rows *rows, struct buf *out);

/** {"checks": [{"check", "status", "text", "remedy"}]} */
struct js *rows_js(const struct rows *rows);

struct question {
	const char *name; /* of the row that says that there was no answer */
	void (*ask)(void *arg, struct rows *answer);
	void *arg;
	enum row_status silence; /* how bad it is when there is none */
};

#define QUESTIONS_MAX 64

/**
 * Asks all at once, adds the answers in the order of the questions. What has not answered in time is killed; a process
 * that cannot be killed is left behind.
 */
void rows_ask(const struct question *questions, size_t count, int64_t timeout_ms, struct rows *ret_rows);
