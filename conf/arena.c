/*
 * Memory of one configuration: blocks, from which it is cut.
 *
 * For AddressSanitizer each allocation is a block of its own, so that it sees
 * every overrun. Otherwise that would be most of the time that a large file
 * takes: a million of them, made and freed for every plan.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
enum { BLOCK_BYTES = 0 };
#else
enum { BLOCK_BYTES = 32 * 1024 };
#endif

enum { ALIGNED = _Alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	max_align_t bytes[];
};

static char *
block_add(struct arena *a, size_t bytes)
{
	struct arena_block *b = calloc(1, sizeof(*b) + bytes);

	if (b == NULL) {
		a->failed = true;
		return NULL;
	}
	b->next = a->first;
	a->first = b;
	return (char *)b->bytes;
}

void *
arena_take(struct arena *a, size_t count, size_t size)
{
	size_t bytes;
	char *taken;

	if (size != 0 && count > SIZE_MAX / 2 / size) {
		a->failed = true;
		return NULL;
	}
	/* At least one, so that no two are at one address. */
	bytes = count * size / ALIGNED * ALIGNED + ALIGNED;
	if (bytes > BLOCK_BYTES / 8)
		return block_add(a, count * size);
	if (bytes > a->left) {
		a->at = block_add(a, BLOCK_BYTES);
		a->left = a->at != NULL ? BLOCK_BYTES : 0;
		if (a->at == NULL)
			return NULL;
	}
	taken = a->at;
	a->at += bytes;
	a->left -= bytes;
	return taken;
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
	a->at = NULL;
	a->left = 0;
}
