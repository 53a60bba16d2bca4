#include "recipe/step.h"

#include <stdarg.h>

#include "base/buf.h"
#include "base/mem.h"

/** Longest text of one change: a list of packages is cut by its step long before. */
#define CHANGE_TEXT_MAX 4096

void changes_add(struct changes *changes, struct arena *arena, const char *diff, const char *fmt, ...) {
	va_list args;
	char text[CHANGE_TEXT_MAX];
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args); /* cut where it is too long */
	va_end(args);
	if (changes->count == changes->cap) {
		/* Items live in the arena like their texts: growing copies, the old array dies with the arena. */
		size_t cap = changes->cap ? changes->cap * 2 : 8;
		struct change *items = arena_alloc(arena, cap * sizeof *items);
		if (changes->count) memcpy(items, changes->items, changes->count * sizeof *items);
		changes->items = items;
		changes->cap = cap;
	}
	changes->items[changes->count++] =
		(struct change){.what = arena_strdup(arena, text), .diff = arena_strdup(arena, diff)};
}
