/*
 * Leaks. See leak.h.
 *
 * The leased connections of a pool are in order of how long they have been so,
 * and so are the leases of each: only what is old enough is looked at.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/leak.h"

#include <stdio.h>

#include "net/log.h"

/* What one look finds. */
struct look {
	int64_t since_ns;               /* held since then or longer: leaks */
	unsigned leaks, news;
};

static void
becomes_leak(struct lease *l, struct look *look)
{
	struct pool *p = l->u->pool;

	l->leaked = true;
	count_add(&p->leaked, 1);
	if (look->news++ < LEAKS_TOLD && p->upstream->leaked != NULL)
		p->upstream->leaked(p->upstream->leaked_arg, l);
}

static void
look_at(const struct upconn *u, struct look *look)
{
	const struct list *l;

	for (l = u->riders.next; l != &u->riders; l = l->next) {
		struct lease *lease = container_of(l, struct lease, ride);

		if (lease->since_ns > look->since_ns)
			return;
		look->leaks++;
		if (!lease->leaked)
			becomes_leak(lease, look);
	}
}

static void
tell_of_rest(const struct pool *p, unsigned n)
{
	char who[300];

	snprintf(who, sizeof(who), "upstream %s", p->upstream->name);
	log_warn(who, "%u more connections are held for longer than "
	    "leak_after", n);
}

void
leak_look(struct pool *p)
{
	int64_t ms = p->conf->pool.leak_after_ms;
	struct look look = { .leaks = 0 };
	const struct list *l;

	if (ms < CONF_OFF) {
		look.since_ns = p->worker->now_ns - ms * NS_PER_MS;
		for (l = p->lent.next; l != &p->lent; l = l->next) {
			const struct upconn *u =
			    container_of(l, const struct upconn, link);

			if (u->since_ns > look.since_ns)
				break;
			look_at(u, &look);
		}
	}
	atomic_store_explicit(&p->leaks, look.leaks, memory_order_relaxed);
	if (look.news > LEAKS_TOLD)
		tell_of_rest(p, look.news - LEAKS_TOLD);
}
