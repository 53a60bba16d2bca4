#pragma once
/*
 * Frames between worker and supervisor: a fixed head, then text. Both ends are this very binary, so the head is a
 * struct.
 */
#include "engine/worker.h"

struct frame_head {
	uint32_t type, len;
	int64_t a, b;
};

/** Writes a whole frame, blocking; text longer than FRAME_TEXT_MAX is cut. A reader that is gone ends the process. */
void frame_send(int fd, enum frame_type type, int64_t a, int64_t b, const char *text, size_t len);
