/*
 * Memory of one configuration. Each allocation is a block of its own on a
 * list, so that tools which watch the heap see every overrun.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
	struct arena_block *next;
	max_align_t bytes[];
};

void *
arena_take(struct arena *a, size_t count, size_t size)
{
	struct arena_block *b = NULL;

	if (size == 0 || count <= (SIZE_MAX - sizeof(*b)) / size)
		b = calloc(1, sizeof(*b) + count * size);
	if (b == NULL) {
		a->failed = true;
		return NULL;
	}
	b->next = a->first;
	a->first = b;
	return b->bytes;
}

char *
arena_copy(struct arena *a, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = arena_take(a, size, 1);

	return copy == NULL ? NULL : memcpy(copy, text, size);
}

void
arena_fini(struct arena *a)
{
	while (a->first != NULL) {
		struct arena_block *b = a->first;

		a->first = b->next;
		free(b);
	}
}
