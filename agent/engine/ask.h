#pragma once
/*
 * A question on the terminal that is answered by one key. The terminal gives keys at once and unechoed for as long as
 * the question stands, at most ASK_MS, and is then as it was.
 */
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

/** How long a question stands. */
#define ASK_MS 5000

struct ask {
	int fd; /* the terminal's */
	bool is_open;
	int64_t until_ms; /* clock_mono_ms */
	struct termios before;
};

/** Opens the question; false where fd is no terminal, or one that listens to another process group. */
bool ask_begin(struct ask *ask, int fd);

/** Takes the keys that are there; true for y. n closes the question, other keys are nothing. */
bool ask_read(struct ask *ask);

/** Closes it: the terminal is as it was. Also of one that is not open. */
void ask_end(struct ask *ask);
