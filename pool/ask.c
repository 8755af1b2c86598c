/*
 * Asks that wait: into a queue, out of it, and the ends that waiting has. See
 * lease.h; what is done for them is in lease.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include "pool/park.h"
#include "pool/quota.h"
#include "pool/share.h"

static void
waited_too_long(struct deadline *d)
{
	struct ask *a = container_of(d, struct ask, deadline);

	/* What is being opened for it has its own deadline, and it is not the
	   queue that keeps it waiting. */
	if (a->opening == NULL)
		ask_refuse(a, a->awaits_pin ? REFUSAL_PINNED :
		    REFUSAL_QUEUE_TIMEOUT, 0);
}

void
ask_begin(struct ask *a)
{
	list_init(&a->link);
	deadline_init(&a->deadline, waited_too_long);
	a->opening = NULL;
	a->lease = NULL;
	a->refusal = REFUSAL_NONE;
	a->error = 0;
	a->bound = a->failed = NULL;
	a->said = NULL;
	a->held_ns = 0;
	a->seq = 0;
	a->since_ns = a->pool->worker->now_ns;
	a->pins = a->awaits_pin = a->awaits_ride = a->is_parked = false;
	a->awaits_quota = false;
}

void
ask_recheck(struct ask *a)
{
	struct pool *p = a->pool;
	int64_t most = p->conf->pool.queue_timeout_ms;

	if (!deadline_armed(&a->deadline) && most < CONF_OFF)
		deadline_set(p->worker, &a->deadline, 0);
}

void
ask_wait_from(struct ask *a)
{
	struct pool *p = a->pool;

	deadline_set_since(p->worker, &a->deadline,
	    p->conf->pool.queue_timeout_ms, a->since_ns);
}

/* One that has waited elsewhere, for a pin or for a pause to end, goes to those
   who came when it did: others look at who is first to know who is oldest. */
static void
insert(struct ask *a)
{
	struct list *all = &a->pool->asks, *before = all->prev;

	while (before != all && container_of(before, struct ask,
	    link)->since_ns > a->since_ns)
		before = before->prev;
	list_prepend(before, &a->link);
}

void
ask_enqueue(struct ask *a)
{
	struct pool *p = a->pool;

	ask_rebind(a);
	a->seq = ++p->asks_seq;
	if (a->with != NULL)
		p->followers++;
	if (a->awaits_ride || a->awaits_quota)
		p->riding++;
	insert(a);
	if (a->opening == NULL)
		pool_publish(p, &p->unserved, 1);
	pool_count_waiting(p, 1);
	pool_publish_waiting(p);
	ask_wait_from(a);
	if (a->opening == NULL)
		pool_wait_for_held(p);
}

void
ask_dequeue(struct ask *a)
{
	struct pool *p = a->pool;

	if (!list_linked(&a->link))
		return;
	share_await(a, false);
	quota_await(a, false);
	list_remove(&a->link);
	deadline_clear(&a->deadline);
	if (a->with != NULL)
		p->followers--;
	if (a->opening != NULL)
		a->opening->opener = NULL;
	else
		pool_publish(p, &p->unserved, -1);
	a->opening = NULL;
	pool_count_waiting(p, -1);
	pool_publish_waiting(p);
}

/* Asks of all workers that wait because the pool is at its limits, or because
   nothing new begins. */
static uint64_t
queue_length(const struct pool *p)
{
	uint64_t n = 0;
	size_t i;

	if (p->upstream->n_pools == 1)
		return (uint64_t)p->unserved + p->n_parked;
	for (i = 0; i < p->upstream->n_pools; i++)
		n += (uint64_t)atomic_load(&p->upstream->pools[i]->unserved) +
		    atomic_load(&p->upstream->pools[i]->n_parked);
	return n;
}

bool
ask_queue_is_full(const struct pool *p)
{
	return queue_length(p) >= (uint64_t)p->conf->pool.max_waiting;
}

/* It will not be leased alone after all. */
void
ask_unpin(struct ask *a)
{
	if (a->pins) {
		upstream_pin_free(a->pool->upstream);
		pool_pin_freed(a->pool);
	}
	a->pins = false;
}

/* Out of whichever queue it is in. */
void
ask_leave(struct ask *a)
{
	if (a->awaits_pin) {
		a->awaits_pin = false;
		list_remove(&a->link);
		deadline_clear(&a->deadline);
		pool_count_waiting(a->pool, -1);
	} else if (a->is_parked)
		park_leave(a);
	else
		ask_dequeue(a);
	ask_unpin(a);
}

void
ask_cancel(struct ask *a)
{
	ask_leave(a);
}

void
ask_refuse(struct ask *a, enum refusal why, int error)
{
	ask_leave(a);
	a->refusal = why;
	a->error = error;
	a->ops->refused(a, why);
}

enum asked
ask_park(struct ask *a)
{
	struct pool *p = a->pool;

	if (park_is_on(p))
		park_look(p);   /* those before it come first */
	if (ask_queue_is_full(p)) {
		a->refusal = REFUSAL_QUEUE_FULL;
		return ASK_REFUSED;
	}
	park(a);
	failover_watch(p);
	return ASK_WAITS;
}
