/*
 * Waiting while nothing new may begin. See park.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/park.h"

static void
publish_oldest(struct pool *p)
{
	const struct list *l = list_first(&p->parked);

	atomic_store_explicit(&p->oldest_parked_ns, l != NULL ?
	    container_of(l, const struct ask, link)->since_ns : INT64_MAX,
	    memory_order_relaxed);
}

/* By their turn: one that followed a lease which has ended may be older than
   those that are here. */
static void
insert(struct pool *p, struct ask *a)
{
	struct list *before = p->parked.prev;

	while (before != &p->parked &&
	    container_of(before, struct ask, link)->seq > a->seq)
		before = before->prev;
	list_prepend(before, &a->link);
}

void
park(struct ask *a)
{
	struct pool *p = a->pool;

	a->is_parked = true;
	if (a->seq == 0)
		a->seq = ++p->asks_seq;
	insert(p, a);
	pool_publish(p, &p->n_parked, 1);
	pool_count_waiting(p, 1);
	ask_wait_from(a);
	publish_oldest(p);
}

void
park_leave(struct ask *a)
{
	struct pool *p = a->pool;

	a->is_parked = false;
	list_remove(&a->link);
	deadline_clear(&a->deadline);
	pool_publish(p, &p->n_parked, -1);
	pool_count_waiting(p, -1);
	publish_oldest(p);
}

/* What is being opened for one of them becomes idle. */
static void
park_all(struct pool *p)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->asks) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->with != NULL)
			continue;
		ask_dequeue(a);
		park(a);
	}
}

static void
unpark_all(struct pool *p)
{
	struct list *l;

	while ((l = list_first(&p->parked)) != NULL) {
		struct ask *a = container_of(l, struct ask, link);

		park_leave(a);
		ask_enqueue(a);
	}
}

void
park_look(struct pool *p)
{
	if (!park_is_on(p)) {
		unpark_all(p);
		return;
	}
	if (!list_empty(&p->asks))
		park_all(p);
	if (!list_empty(&p->parked))
		failover_watch(p);
}
