/*
 * Demand. See demand.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/demand.h"

#include "pool/pool.h"

enum { PASS_MOST = 16 };                /* one in 8.5 on average looks */

unsigned
demand_bucket(unsigned n)
{
	unsigned power;

	if (n < DEMAND_EXACT)
		return n;
	power = 31u - (unsigned)__builtin_clz(n);       /* 6 and more */
	if (power >= 6 + DEMAND_POWERS)
		return DEMAND_BUCKETS - 1;
	return DEMAND_EXACT + (power - 6) * 8 + ((n >> (power - 3)) & 7);
}

unsigned
demand_first(unsigned bucket)
{
	unsigned power, eighth;

	if (bucket < DEMAND_EXACT)
		return bucket;
	power = 6 + (bucket - DEMAND_EXACT) / 8;
	eighth = (bucket - DEMAND_EXACT) % 8;
	return (8 + eighth) << (power - 3);
}

static unsigned
wanted_of(const struct pool *p)
{
	return atomic_load_explicit(&p->leased, memory_order_relaxed) +
	    atomic_load_explicit(&p->waiting, memory_order_relaxed);
}

void
demand_ask(struct pool *p)
{
	const struct upstream *up = p->upstream;
	unsigned n = wanted_of(p);
	uint64_t most;
	size_t i;

	count_add(&p->demand.asks, 1);
	if (up->n_pools > 1) {
		/* At random, or what comes in step would be seen in step. */
		if (p->demand.pass > 0) {
			p->demand.pass--;
			return;
		}
		p->demand.pass = (unsigned)(pool_roll(p) % PASS_MOST);
		for (i = 0, n = 0; i < up->n_pools; i++)
			n += wanted_of(up->pools[i]);
	}
	count_add(&p->demand.found[demand_bucket(n)], 1);
	most = count_read(&p->demand.found_most);
	if (n > most)
		count_add(&p->demand.found_most, n - most);
}

void
demand_sum_add(struct demand_sum *to, const struct demand *d)
{
	unsigned i;

	to->asks += count_read(&d->asks);
	for (i = 0; i < DEMAND_BUCKETS; i++)
		to->found[i] += count_read(&d->found[i]);
	if (count_read(&d->found_most) > to->found_most)
		to->found_most = count_read(&d->found_most);
	hist_sum_add(&to->held, &d->held);
}

void
demand_sum_less(struct demand_sum *to, const struct demand_sum *earlier)
{
	unsigned i;

	to->asks -= earlier->asks;
	for (i = 0; i < DEMAND_BUCKETS; i++)
		to->found[i] -= earlier->found[i];
	hist_sum_less(&to->held, &earlier->held);
}
