/*
 * Free lists. See pile.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/pile.h"

#include <stdlib.h>
#include <string.h>

void
pile_init(struct pile *p, size_t size, unsigned keep)
{
	*p = (struct pile){ .size = size < sizeof(void *) ? sizeof(void *) :
	    size, .keep = keep };
}

void
pile_fini(struct pile *p)
{
	while (p->first != NULL) {
		void *object = p->first;

		p->first = *(void **)object;
		free(object);
	}
	p->kept = 0;
}

void *
pile_get(struct pile *p)
{
	void *object = p->first;

	if (object == NULL)
		return malloc(p->size);
	p->first = *(void **)object;
	p->kept--;
	return object;
}

void *
pile_get_zeroed(struct pile *p)
{
	void *object = pile_get(p);

	if (object != NULL)
		memset(object, 0, p->size);
	return object;
}

void
pile_put(struct pile *p, void *object)
{
	if (p->kept >= p->keep) {
		free(object);
		return;
	}
	*(void **)object = p->first;
	p->first = object;
	p->kept++;
}
