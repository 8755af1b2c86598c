/*
 * What is owed. See owed.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/owed.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
room_of(const struct pg_owed_queue *q)
{
	return q->room > 0 ? q->room : PG_OWED_INLINE;
}

struct pg_owed *
pg_owed_at(struct pg_owed_queue *q, uint32_t i)
{
	struct pg_owed *ring = q->room > 0 ? q->more : q->few;

	return &ring[(q->first + i) & (room_of(q) - 1)];
}

static int
grow(struct pg_owed_queue *q)
{
	uint32_t room = room_of(q) * 2, i;
	struct pg_owed *more = malloc(room * sizeof(*more));

	if (more == NULL)
		return -1;
	for (i = 0; i < q->n; i++)
		more[i] = *pg_owed_at(q, i);
	free(q->more);
	q->more = more;
	q->room = room;
	q->first = 0;
	return 0;
}

struct pg_owed *
pg_owed_push(struct pg_owed_queue *q)
{
	struct pg_owed *o;

	if (q->n == room_of(q) && grow(q) < 0)
		return NULL;
	o = pg_owed_at(q, q->n++);
	memset(o, 0, sizeof(*o));
	return o;
}

void
pg_owed_pop(struct pg_owed_queue *q)
{
	q->first = (q->first + 1) & (room_of(q) - 1);
	q->n--;
}

void
pg_owed_take_out(struct pg_owed_queue *q, uint32_t i)
{
	for (; i + 1 < q->n; i++)
		*pg_owed_at(q, i) = *pg_owed_at(q, i + 1);
	q->n--;
}

void
pg_owed_fini(struct pg_owed_queue *q)
{
	free(q->more);
	q->more = NULL;
	q->first = q->n = q->room = 0;
}
