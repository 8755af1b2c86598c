/*
 * A pile of free objects of one size, for one thread: what is taken and put
 * back all the time is not taken from the heap each time. Keeps at most `keep`;
 * the rest goes back to the heap, so memory falls again after a flood.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_PILE_H
#define NET_PILE_H

#include <stddef.h>

#include "net/err.h"

struct pile {
	void  *first;           /* each free object starts with the next's address */
	size_t size;
	unsigned kept, keep;
};

void pile_init(struct pile *p, size_t size, unsigned keep);
void pile_fini(struct pile *p);

/* Not zeroed. NULL when out of memory. */
void *pile_get(struct pile *p) MUST_CHECK;
void *pile_get_zeroed(struct pile *p) MUST_CHECK;
void pile_put(struct pile *p, void *object);

#endif
