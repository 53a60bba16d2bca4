#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

/* A page less malloc's own header; larger requests get a block of their own. */
#define ARENA_BLOCK_SIZE (4096 - 16)

struct arena_block {
	struct arena_block *older;
	size_t used, size;
	alignas(max_align_t) char data[];
};

static struct arena_block *block_new(size_t size) {
	struct arena_block *block = mem_resize(NULL, sizeof *block + size, 1);

	block->older = NULL;
	block->used = 0;
	block->size = size;
	return block;
}

/** Like arena_alloc, but not zeroed. */
static void *take(struct arena *a, size_t size) {
	const size_t align = alignof(max_align_t);
	const size_t room = ARENA_BLOCK_SIZE - sizeof(struct arena_block);
	size_t want = size ? size : 1;
	struct arena_block *block = a->newest;
	void *p;

	if (want > SIZE_MAX / 2) return mem_zalloc(want); /* cannot succeed: ends the process with its message */
	want = (want + align - 1) / align * align;
	if (want > room) {
		/* Behind the newest block, so that its free room stays in use. */
		struct arena_block *own = block_new(want);

		own->used = want;
		own->older = block ? block->older : NULL;
		if (block)
			block->older = own;
		else
			a->newest = own;
		return own->data;
	}
	if (!block || block->size - block->used < want) {
		block = block_new(room);
		block->older = a->newest;
		a->newest = block;
	}
	p = block->data + block->used;
	block->used += want;
	return p;
}

void *arena_alloc(struct arena *a, size_t size) {
	void *p = take(a, size);

	if (size) memset(p, 0, size);
	return p;
}

char *arena_strdup(struct arena *a, const char *s) { return s ? arena_dup(a, s, strlen(s)) : NULL; }

char *arena_dup(struct arena *a, const void *p, size_t n) {
	char *copy = take(a, n + 1);

	if (n) memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

/** Bytes free in the newest block. */
static size_t room_of(const struct arena *a) { return a->newest ? a->newest->size - a->newest->used : 0; }

/** Formats once where it fits, which is nearly always. */
char *arena_printf(struct arena *a, const char *fmt, ...) {
	size_t room = room_of(a);
	char *here = room ? a->newest->data + a->newest->used : NULL, *text;
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(here, room, fmt, args);
	text = take(a, n < 0 ? 1 : (size_t)n + 1); /* here, when it fits */
	if (n < 0)
		*text = '\0';
	else if (text != here)
		(void)vsnprintf(text, (size_t)n + 1, fmt, again); /* measured above */
	va_end(again);
	va_end(args);
	return text;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t size) {
	void *larger;

	if (count < *cap) return items;
	*cap = *cap ? *cap * 2 : 16;
	larger = arena_alloc(a, *cap * size);
	if (count) memcpy(larger, items, count * size);
	return larger;
}

void arena_clear(struct arena *a) {
	struct arena_block *block;

	if (!a) return;
	block = a->newest;
	while (block) {
		struct arena_block *older = block->older;

		free(block);
		block = older;
	}
	a->newest = NULL;
}
