/*
 * Balancing. See balance.h.
 *
 * Both policies walk all sites: upstreams have few endpoints, and a walk of
 * plain memory is cheaper than keeping a heap in order for each lease.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/balance.h"

#include <limits.h>

static inline struct site *
site_of(struct list *l)
{
	return container_of(l, struct site, link);
}

static unsigned
weight_of(const struct site *site)
{
	return atomic_load_explicit(&site->endpoint->weight,
	    memory_order_relaxed);
}

/* Leases that it carries or is about to, on all workers. */
static uint64_t
load_of(const struct site *site)
{
	const struct endpoint *e = site->endpoint;

	return (uint64_t)atomic_load_explicit(&e->leased,
	    memory_order_relaxed) + atomic_load_explicit(&e->opening,
	    memory_order_relaxed);
}

/* Is a less loaded than b, each for its weight? <0, 0, >0 */
static int
load_order(const struct site *a, const struct site *b)
{
	uint64_t la = (load_of(a) + 1) * weight_of(b);
	uint64_t lb = (load_of(b) + 1) * weight_of(a);

	return la < lb ? -1 : la > lb;
}

/*
 * Smooth weighted round robin over the sites that `best` does not beat: each
 * gains its weight, the one with most wins and pays the sum. At light load
 * least_conn ties all the time, and this is what spreads it then.
 */
static struct site *
take_turn(struct pool *p, const struct endpoint *avoid,
    const struct site *least)
{
	struct site *winner = NULL;
	struct list *l, *tmp;
	int64_t sum = 0;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);

		if (!site->current || site->endpoint == avoid)
			continue;
		if (least != NULL && load_order(least, site) < 0)
			continue;
		site->turn += weight_of(site);
		sum += weight_of(site);
		if (winner == NULL || site->turn > winner->turn)
			winner = site;
	}
	if (winner != NULL)
		winner->turn -= sum;
	return winner;
}

static struct site *
least_loaded(struct pool *p, const struct endpoint *avoid)
{
	struct site *least = NULL;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);

		if (site->current && site->endpoint != avoid &&
		    (least == NULL || load_order(site, least) < 0))
			least = site;
	}
	return least;
}

struct site *
balance_pick(struct pool *p, const struct endpoint *avoid)
{
	struct site *only, *picked;

	if (list_empty(&p->sites))
		return NULL;
	only = site_of(p->sites.next);
	if (only->link.next == &p->sites)
		return only->current ? only : NULL;
	picked = take_turn(p, avoid, p->conf->balance == CONF_LEAST_CONN ?
	    least_loaded(p, avoid) : NULL);
	if (picked == NULL && avoid != NULL)
		return balance_pick(p, NULL);
	return picked;
}

struct site *
balance_pick_warm(struct pool *p)
{
	struct site *best = NULL;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);
		struct endpoint *e = site->endpoint;

		if (!site->current || atomic_load(&e->open) >=
		    atomic_load(&e->most))
			continue;
		if (best == NULL ||
		    (uint64_t)atomic_load(&e->open) * weight_of(best) <
		    (uint64_t)atomic_load(&best->endpoint->open) *
		    weight_of(site))
			best = site;
	}
	return best;
}

bool
endpoint_slot_take(struct endpoint *e)
{
	unsigned open = atomic_load(&e->open);

	do {
		if (open >= atomic_load(&e->most))
			return false;
	} while (!atomic_compare_exchange_weak(&e->open, &open, open + 1));
	return true;
}

void
endpoint_slot_free(struct endpoint *e)
{
	atomic_fetch_sub(&e->open, 1);
}
