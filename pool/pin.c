/*
 * Waiting for a pin. See pin.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/pin.h"

#include "net/worker.h"

/* Those of another worker that end are not told of: it is looked. */
enum { PIN_LOOK_MS = 10 };

/*
 * max_pinned are out. It waits in a queue of its own, where it keeps nobody
 * waiting who wants a connection for a moment only.
 */
enum asked
pin_await(struct ask *a)
{
	struct pool *p = a->pool;
	int64_t ms = p->conf->pool.queue_timeout_ms;

	if (ms == 0 || atomic_load(&p->upstream->pins_most) == 0 ||
	    p->waiting >= (uint64_t)p->conf->pool.max_waiting) {
		a->refusal = REFUSAL_PINNED;
		return ASK_REFUSED;
	}
	a->awaits_pin = true;
	list_append(&p->pin_asks, &a->link);
	pool_count_waiting(p, 1);
	deadline_set(p->worker, &a->deadline, ms);
	if (p->upstream->n_pools > 1 && !deadline_armed(&p->pin_look))
		deadline_set(p->worker, &p->pin_look, PIN_LOOK_MS);
	return ASK_WAITS;
}

void
pin_look(struct deadline *d)
{
	struct pool *p = container_of(d, struct pool, pin_look);
	struct list *l;

	while ((l = list_first(&p->pin_asks)) != NULL &&
	    upstream_pin_take(p->upstream)) {
		struct ask *a = container_of(l, struct ask, link);

		ask_leave(a);
		a->pins = true;
		switch (ask_now(a)) {
		case ASK_GRANTED:
			a->ops->granted(a);
			break;
		case ASK_REFUSED:
			ask_unpin(a);
			a->ops->refused(a, a->refusal);
			break;
		case ASK_WAITS:
			break;
		}
	}
	if (!list_empty(&p->pin_asks) && p->upstream->n_pools > 1)
		deadline_set(p->worker, &p->pin_look, PIN_LOOK_MS);
}
