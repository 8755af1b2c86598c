/*
 * Memory that lives as long as one configuration and ends all at once.
 *
 * A failed allocation returns NULL and is remembered, so that a loader can go
 * on (NULL is also how an absent value looks) and ask once, at the end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_ARENA_H
#define CONF_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
	struct arena_block *first;
	char *at;               /* of a block: what is left of it */
	size_t left;
	bool failed;            /* some allocation returned NULL */
};

/* Zeroed, aligned for anything, never freed alone. */
void *arena_take(struct arena *a, size_t count, size_t size);
char *arena_copy(struct arena *a, const char *text);
void arena_fini(struct arena *a);

#endif
