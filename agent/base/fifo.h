#pragma once
/*
 * First in, first out: declare `FIFO(struct x) xs = {0};` for items with a member `next`, read `xs.first`. Owns
 * nothing.
 */
#include <stddef.h>

#define FIFO(type)                                                                                                     \
	struct {                                                                                                       \
		type *first, *last;                                                                                    \
	}

#define fifo_push(f, item)                                                                                             \
	do {                                                                                                           \
		(item)->next = NULL;                                                                                   \
		if ((f)->last)                                                                                         \
			(f)->last->next = (item);                                                                      \
		else                                                                                                   \
			(f)->first = (item);                                                                           \
		(f)->last = (item);                                                                                    \
	} while (0)

/** Takes the first one out; there is one. */
#define fifo_drop(f)                                                                                                   \
	do {                                                                                                           \
		(f)->first = (f)->first->next;                                                                         \
		if (!(f)->first) (f)->last = NULL;                                                                     \
	} while (0)
