#include "recipe/step.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/** Longest text of one change: a list of packages is cut by its step long before. */
#define CHANGE_TEXT_MAX 4096

bool step_text_is_open(const char *text) { return text && strstr(text, "${"); }

void changes_add(struct changes *changes, struct arena *arena, const char *diff, const char *fmt, ...) {
	va_list args;
	char text[CHANGE_TEXT_MAX];
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args); /* cut where it is too long */
	va_end(args);
	changes->items = arena_grow(arena, changes->items, changes->count, &changes->cap, sizeof *changes->items);
	changes->items[changes->count++] =
		(struct change){.what = arena_strdup(arena, text), .diff = arena_strdup(arena, diff)};
}
