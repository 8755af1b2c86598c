/*
 * Failovers. See failover.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/failover.h"

#include "pool/site.h"

enum {
	SERVED_MS = 1000,       /* a primary for so long was the one */
	TRY_MOST_MS = 1000      /* between two tries to connect */
};

void
failover_found(struct site *site)
{
	struct upstream *up = site->pool->upstream;
	int64_t none = 0;

	if (likely(atomic_load_explicit(&up->failover_until_ns,
	    memory_order_relaxed) == 0) ||
	    atomic_load_explicit(&up->failover_found_ns,
	    memory_order_relaxed) != 0 ||
	    atomic_load(&site->endpoint->bars) != 0)
		return;
	(void)atomic_compare_exchange_strong(&up->failover_found_ns, &none,
	    site->pool->worker->now_ns);
}

/* Has what the last hold waited for come? One that was demoted again at once
   was not it. */
static bool
was_found(const struct pool *p)
{
	int64_t found = atomic_load(&p->upstream->failover_found_ns);

	return found != 0 &&
	    p->worker->now_ns - found >= SERVED_MS * NS_PER_MS;
}

/* Begin a hold, unless one is on or the last one ended in vain a moment ago:
   nobody shall wait again and again. */
static bool
begin(struct pool *p)
{
	_Atomic int64_t *until = &p->upstream->failover_until_ns;
	int64_t ns = p->conf->pool.failover_hold_ms * NS_PER_MS;
	int64_t now = p->worker->now_ns, was = atomic_load(until);

	if (p->conf->pool.failover_hold_ms >= CONF_OFF || p->retired)
		return false;
	if (was != 0 && now - was < ns && !was_found(p))
		return was > now;
	if (!atomic_compare_exchange_strong(until, &was, now + ns))
		return was > now;
	atomic_store(&p->upstream->failover_found_ns, 0);
	return true;
}

void
pool_demoted(struct pool *p, struct endpoint *e)
{
	struct upstream *up = p->upstream;

	/* The last words of those who were still there begin nothing. */
	if ((atomic_load(&e->bars) & BAR_DEMOTED) != 0 || !begin(p))
		return;
	atomic_store(&e->demoted_ns, p->worker->now_ns);
	(void)endpoint_bar(e, BAR_DEMOTED, true, p->worker->now_ns);
	if (up->demoted != NULL)
		up->demoted(up->demoted_arg, e);
}

static bool
is_any_to_try(const struct pool *p)
{
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (site_takes(site) && !site_rests(site))
			return true;
	}
	return false;
}

bool
failover_is_on(const struct pool *p)
{
	return atomic_load_explicit(&p->upstream->failover_until_ns,
	    memory_order_relaxed) > p->worker->now_ns && !p->retired &&
	    !is_any_to_try(p);
}

/* Nothing can be had, since that one has gone: is a hold on, or begins one? */
static bool
hold(struct pool *p, struct endpoint *gone)
{
	struct upstream *up = p->upstream;
	bool on = atomic_load(&up->failover_until_ns) > p->worker->now_ns;

	if (p->conf->pool.failover_hold_ms >= CONF_OFF || is_any_to_try(p) ||
	    !begin(p))
		return false;
	/* Its name may have another address by now. */
	if (!on && up->demoted != NULL)
		up->demoted(up->demoted_arg, gone);
	/* Who is in the queue, or about to be, is parked. */
	deadline_set(p->worker, &p->failover, 0);
	return true;
}

bool
failover_waits_on(struct site *site)
{
	struct pool *p = site->pool;
	int64_t most = p->worker->now_ns + TRY_MOST_MS * NS_PER_MS;

	if (!hold(p, site->endpoint))
		return false;
	/* It would rest for longer than it takes to promote another. */
	if (site->rest_until_ns > most)
		site->rest_until_ns = most;
	return true;
}

/* Of those that are out, but not by hand, the one that is so since the last
   moment: the others were replicas. NULL when there is none. */
static struct endpoint *
last_out(const struct pool *p)
{
	struct endpoint *last = NULL;
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);
		struct endpoint *e = site->endpoint;
		unsigned bars = atomic_load(&e->bars);

		if (site->current && (bars & (BAR_CHECK | BAR_EJECTED)) != 0 &&
		    (bars & (BAR_DRAIN | BAR_DOWN)) == 0 && (last == NULL ||
		    atomic_load(&e->since_s) > atomic_load(&last->since_s)))
			last = e;
	}
	return last;
}

bool
failover_waits(struct pool *p)
{
	struct endpoint *gone = p->conf->pool.failover_hold_ms < CONF_OFF ?
	    last_out(p) : NULL;

	return gone != NULL && hold(p, gone);
}

void
failover_watch(struct pool *p)
{
	int64_t now = p->worker->now_ns;
	int64_t at = atomic_load(&p->upstream->failover_until_ns);
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (site_takes(site) && site_rests(site) &&
		    site->rest_until_ns < at)
			at = site->rest_until_ns;
	}
	if (at > now && (!deadline_armed(&p->failover) ||
	    p->failover.at_ns > at))
		deadline_set_ns(p->worker, &p->failover, at - now);
}

void
failover_look(struct deadline *d)
{
	pool_ask_around(container_of(d, struct pool, failover));
}
