/*
 * The effective cap. See adapt.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/adapt.h"

#include "pool/upkeep.h"

enum {
	STEP_MS = 1000,                 /* between two changes of the cap */
	YIELD_MS = 5000,                /* without a refusal */
	YIELD_LEAST = 3,                /* connections of use to all */
	REST_FIRST_MS = 50, REST_MOST_MS = 1000
};

/* One of all workers may change the cap, once in that time. */
static bool
is_ours(struct pool *p, _Atomic int64_t *last, int64_t ms)
{
	int64_t was = atomic_load(last);

	return (was == 0 || p->worker->now_ns - was >= ms * NS_PER_MS) &&
	    atomic_compare_exchange_strong(last, &was, p->worker->now_ns);
}

void
upstream_set_max(struct upstream *up, unsigned max, bool adapts)
{
	unsigned was = atomic_exchange(&up->max, max);
	unsigned most = atomic_load(&up->most);

	/* One that has been lowered stays so. */
	if (!adapts || most >= was || most > max)
		atomic_store(&up->most, max);
}

/* The server has said that it is full: the cap is lowered. */
static void
lower_cap(struct pool *p)
{
	struct upstream *up = p->upstream;
	unsigned most = atomic_load(&up->most), streak;
	int64_t rest_ns;

	if (!adapt_rests(p)) {
		streak = atomic_fetch_add(&up->crowded, 1);
		rest_ns = pool_backoff_ns(p, streak, REST_FIRST_MS,
		    REST_MOST_MS);
		atomic_store(&up->opens_ns, p->worker->now_ns + rest_ns);
	}
	atomic_store(&up->refused_ns, p->worker->now_ns);
	if (is_ours(p, &up->halved_ns, STEP_MS))
		atomic_store(&up->most, most > 1 ? most / 2 : 1);
}

bool
upconn_crowded(struct upconn *u)
{
	struct pool *p = u->pool;

	if (!p->conf->pool.adapt || u->state != UPCONN_GREETING)
		return false;
	lower_cap(p);
	if (u->opener == NULL)
		upkeep_failed(u->shelf->site);
	upconn_mark(u, MARK_BROKEN, "too many clients");
	upconn_close(u, DISCARD_CONNECT_FAILED);
	return true;
}

bool
adapt_rests(struct pool *p)
{
	int64_t until = atomic_load_explicit(&p->upstream->opens_ns,
	    memory_order_relaxed);

	if (likely(until <= p->worker->now_ns))
		return false;
	if (!deadline_armed(&p->crowd))
		deadline_set_ns(p->worker, &p->crowd, until -
		    p->worker->now_ns);
	return true;
}

void
adapt_connected(struct pool *p)
{
	if (atomic_load_explicit(&p->upstream->crowded,
	    memory_order_relaxed) != 0)
		atomic_store(&p->upstream->crowded, 0);
}

static bool
is_unrefused_for(const struct pool *p, int64_t ms)
{
	return p->worker->now_ns - atomic_load(&p->upstream->refused_ns) >=
	    ms * NS_PER_MS;
}

/* Connections that one client has for long. */
static unsigned
n_kept(const struct upstream *up)
{
	unsigned n = 0, alone = atomic_load(&up->pins);
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		n += atomic_load_explicit(&up->pools[i]->pinned,
		    memory_order_relaxed);
	return n > alone ? n : alone;
}

/*
 * A pool that has all it needs is never refused, and would never learn that
 * others wait for what it has. So it leaves one place free now and then, for
 * longer than those take between two tries; when it is gone after that, the
 * refusal halves this cap, too.
 */
static void
yield_one(struct pool *p, unsigned most)
{
	struct upstream *up = p->upstream;
	unsigned open = atomic_load(&up->open);

	if (open > most)
		open = most;
	/* Of less than that the lack of one would be felt. */
	if (open < n_kept(up) + YIELD_LEAST || !is_unrefused_for(p, YIELD_MS) ||
	    !is_ours(p, &up->yielded_ns, YIELD_MS) ||
	    !atomic_compare_exchange_strong(&up->most, &most, open - 1))
		return;
	atomic_store(&up->grown_ns, p->worker->now_ns + STEP_MS * NS_PER_MS);
}

void
adapt_tick(struct pool *p)
{
	struct upstream *up = p->upstream;
	unsigned most = atomic_load(&up->most);

	if (!p->conf->pool.adapt)
		return;
	if (most >= atomic_load(&up->max))
		yield_one(p, most);
	else if (is_unrefused_for(p, STEP_MS) &&
	    is_ours(p, &up->grown_ns, STEP_MS))
		(void)atomic_compare_exchange_strong(&up->most, &most,
		    most + 1);
}

void
adapt_look(struct deadline *d)
{
	pool_ask_around(container_of(d, struct pool, crowd));
}
