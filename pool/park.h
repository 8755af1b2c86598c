/*
 * Waiting while nothing new may begin: the upstream is paused, or looks for its
 * new primary (failover.h).
 *
 * Such asks wait in a queue of their own, pool->parked, where the rest of the
 * pool does not see them: no connection is opened, washed out or handed over for
 * their sake. Who holds a lease goes on, also one who asks for more of the
 * connection that he has (ask.with). When it is over they all go to the end of
 * the pool's queue, in the order in which they came, and are served like anybody.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_PARK_H
#define POOL_PARK_H

#include "pool/failover.h"
#include "pool/lease.h"

/* May nothing new begin? */
static inline bool
park_is_on(const struct pool *p)
{
	const struct upstream *up = p->upstream;

	return unlikely(atomic_load_explicit(&up->paused,
	    memory_order_relaxed)) ||
	    (unlikely(atomic_load_explicit(&up->failover_until_ns,
	    memory_order_relaxed) != 0) && failover_is_on(p));
}

/* Has a to wait here? Also behind those that have not been let go yet. */
static inline bool
park_takes(const struct ask *a)
{
	return a->with == NULL && (park_is_on(a->pool) ||
	    !list_empty(&a->pool->parked));
}

/* a, which is in no queue, waits. */
void park(struct ask *a);

/* a does not, any more. */
void park_leave(struct ask *a);

/* It may have begun or ended: park those that wait in the pool's queue, or put
   them back into it. Serves nobody. */
void park_look(struct pool *p);

#endif
