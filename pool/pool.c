/*
 * One worker's part of an upstream. See pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/pool.h"

#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/patient.h"
#include "net/worker.h"
#include "pool/adapt.h"
#include "pool/failover.h"
#include "pool/lease.h"
#include "pool/park.h"
#include "pool/pin.h"
#include "pool/quota.h"
#include "pool/shards.h"
#include "pool/share.h"
#include "pool/site.h"
#include "pool/transfer.h"
#include "pool/upconn.h"
#include "pool/upkeep.h"

const char *const discard_names[N_DISCARDS] = {
	[DISCARD_UNASKED_BYTES] = "unasked_bytes",
	[DISCARD_CLOSED_IDLE] = "closed_idle",
	[DISCARD_IDLE_TIMEOUT] = "idle_timeout",
	[DISCARD_LIFETIME] = "max_lifetime",
	[DISCARD_MAX_REQUESTS] = "max_requests",
	[DISCARD_SURPLUS] = "surplus",
	[DISCARD_ENDPOINT_GONE] = "endpoint_gone",
	[DISCARD_ENDPOINT_DOWN] = "endpoint_down",
	[DISCARD_OTHER_KEY] = "other_key",
	[DISCARD_IDENTITY] = "reconfigured",
	[DISCARD_NOT_CLEAN] = "not_clean",
	[DISCARD_CONNECT_FAILED] = "connect_failed",
	[DISCARD_SERVER_SAID] = "server_said",
	[DISCARD_SPENT] = "spent",
	[DISCARD_BROKEN] = "broken",
	[DISCARD_RETIRED] = "retired",
	[DISCARD_KILLED] = "killed"
};

const char *const upstream_limit_names[N_UPSTREAM_LIMITS] = {
	[UPSTREAM_LIMIT_RATE] = "request_rate",
	[UPSTREAM_LIMIT_RETRY_AFTER] = "retry_after",
	[UPSTREAM_LIMIT_RETRY_BUDGET] = "retry_budget"
};

static void
hold_ended(struct deadline *d)
{
	pool_ask_around(container_of(d, struct pool, holding));
}

int
pool_init(struct pool *p, struct upstream *up, struct worker *w)
{
	p->dice = (uintptr_t)p ^ (uint64_t)clock_ns() << 32;
	deadline_init(&p->holding, hold_ended);
	p->upstream = up;
	p->worker = w;
	list_init(&p->sites);
	list_init(&p->asks);
	list_init(&p->pin_asks);
	deadline_init(&p->pin_look, pin_look);
	list_init(&p->parked);
	deadline_init(&p->crowd, adapt_look);
	deadline_init(&p->failover, failover_look);
	list_init(&p->upconns);
	list_init(&p->lent);
	pile_init(&p->leases, sizeof(struct lease), 256);
	atomic_init(&p->oldest_ns, INT64_MAX);
	atomic_init(&p->oldest_parked_ns, INT64_MAX);
	atomic_init(&p->oldest_lease_ns, INT64_MAX);
	upkeep_start(p);
	return 0;
}

void
pool_fini(struct pool *p)
{
	struct list *l;

	while ((l = list_first(&p->sites)) != NULL) {
		struct site *site = container_of(l, struct site, link);

		list_remove(l);
		free(site->keyless);
		endpoint_drop(site->endpoint);
		free(site);
	}
	pile_fini(&p->leases);
	shards_free(p->shards);
	p->shards = NULL;
	roster_drop(p->roster);
	p->roster = NULL;
}

void
pool_publish(struct pool *p, _Atomic unsigned *what, int change)
{
	unsigned now = atomic_load_explicit(what, memory_order_relaxed) +
	    (unsigned)change;

	/* Single-writer; alone it needs no order and no locked instruction. */
	if (p->upstream->n_pools == 1)
		atomic_store_explicit(what, now, memory_order_relaxed);
	else
		atomic_store(what, now);
}

void
pool_count_waiting(struct pool *p, int change)
{
	unsigned waiting;

	pool_publish(p, &p->waiting, change);
	waiting = atomic_load_explicit(&p->waiting, memory_order_relaxed);
	if (waiting > count_read(&p->waiting_max))
		atomic_store_explicit(&p->waiting_max, waiting,
		    memory_order_relaxed);
}

void
pool_close_idle(struct pool *p, enum discard (*due)(const struct upconn *u))
{
	struct list *l, *tmp;
	bool nested = p->serving;

	/* Places that come free are dealt out afterwards: those who get them
	   may close other connections of this list. */
	p->serving = true;
	list_each(l, tmp, &p->upconns) {
		struct upconn *u = container_of(l, struct upconn, all);
		enum discard why = u->state == UPCONN_IDLE ? due(u) :
		    N_DISCARDS;

		if (why != N_DISCARDS)
			upconn_close(u, why);
	}
	p->serving = nested;
	pool_serve(p);
}

static int
site_add(struct pool *p, struct endpoint *e)
{
	struct site *site = pool_site_of(p, e);

	if (site == NULL) {
		site = patient_zeroed(sizeof(*site));
		if (site == NULL)
			return -1;
		site->pool = p;
		site->endpoint = endpoint_keep(e);
		/* It is new, not back: min_idle is dealt as for all. */
		site->was_usable = atomic_load(&e->bars) == 0;
		list_append(&p->sites, &site->link);
	}
	site->current = true;
	if (shelf_get(site, NULL, 0, 0) == NULL) {
		site->current = false;
		return -1;
	}
	return 0;
}

static void
drop_empty_sites(struct pool *p)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = container_of(l, struct site, link);

		if (site->current || site->open > 0)
			continue;
		free(site->keyless);
		list_remove(l);
		endpoint_drop(site->endpoint);
		free(site);
	}
}

/* What is opening at an endpoint that is barred by now would only be closed,
   perhaps after the whole connect timeout: who waits for it is served elsewhere
   or refused. */
static enum discard
barred(const struct upconn *u)
{
	enum discard why = upconn_overdue(u);

	return u->state == UPCONN_IDLE || why == DISCARD_ENDPOINT_GONE ||
	    why == DISCARD_ENDPOINT_DOWN ? why : N_DISCARDS;
}

/* Close what must not stay; who may be served now is, later. */
static void
close_barred(struct pool *p)
{
	struct list *l, *tmp;
	bool nested = p->serving;

	p->serving = true;
	list_each(l, tmp, &p->upconns) {
		struct upconn *u = container_of(l, struct upconn, all);
		enum discard why = u->state != UPCONN_LEASED ? barred(u) :
		    N_DISCARDS;

		if (why != N_DISCARDS)
			upconn_close(u, why);
	}
	p->serving = nested;
}

static void
take_roster(struct pool *p, struct roster *r)
{
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &p->sites)
		container_of(l, struct site, link)->current = false;
	/* An endpoint that there is no memory for is not used by this worker:
	   the others stand in, and the next roster tries again. */
	for (i = 0; i < r->n; i++)
		(void)site_add(p, r->v[i]);
	roster_drop(p->roster);
	p->roster = roster_keep(r);
	pool_hash_sites(p);
	pool_shard(p);
}

void
pool_set_roster(struct pool *p, struct roster *r)
{
	struct list *l, *tmp;

	/* The one that it has means: look at the bars again. There may be
	   thousands of endpoints, and as many calls. */
	if (r != p->roster)
		take_roster(p, r);
	roster_drop(r);
	pool_look_at_sites(p);
	pool_look_at_shards(p);
	close_barred(p);
	drop_empty_sites(p);
	list_each(l, tmp, &p->asks)
		ask_rebind(container_of(l, struct ask, link));
	pool_ask_around(p);
	transfer_turn(p);       /* what is idle may be of use to others now */
	upkeep_warm_returned(p);
	upkeep_warm(p);
}

/* Of no use to anybody under the new configuration. */
static enum discard
useless(const struct upconn *u)
{
	enum discard why = upconn_overdue(u);

	return why == DISCARD_ENDPOINT_GONE || why == DISCARD_ENDPOINT_DOWN ||
	    why == DISCARD_IDENTITY ? why : N_DISCARDS;
}

void
pool_configure(struct pool *p, const struct conf_upstream *conf,
    bool identity_changed, struct roster *r)
{
	p->conf = conf;
	p->quota_due = true;    /* there may be more of them now */
	if (identity_changed)
		p->identity++;
	if (r != NULL && r != p->roster)
		take_roster(p, r);
	else
		pool_shard(p);
	/* These first: where max is lower now, others may stay for it. */
	pool_close_idle(p, useless);
	pool_close_idle(p, upconn_overdue);
	upkeep_trim(p);
	upkeep_warm(p);
	deadline_set(p->worker, &p->upkeep, 0);
	pool_pin_freed(p);      /* there may be more of them now */
	if (r != NULL)
		pool_set_roster(p, r);
}

void
pool_retire(struct pool *p)
{
	p->retired = true;
	/* The snapshot may go before the last connection has come home. Only
	   the plain values are looked at from now on. */
	p->last_conf = *p->conf;
	p->conf = &p->last_conf;
	upkeep_stop(p);
	upkeep_watch(p);
	pool_close_idle(p, upconn_overdue);
}

void
pool_revive(struct pool *p)
{
	p->retired = false;
}

void
pool_close_all(struct pool *p)
{
	struct list *l;

	p->retired = true;
	upkeep_stop(p);
	deadline_clear(&p->holding);
	deadline_clear(&p->pin_look);
	deadline_clear(&p->crowd);
	deadline_clear(&p->failover);
	while ((l = list_first(&p->upconns)) != NULL)
		upconn_close(container_of(l, struct upconn, all), N_DISCARDS);
}

unsigned
pool_share(const struct pool *p, int64_t of_all)
{
	uint64_t n = p->upstream->n_pools;
	uint64_t all = (uint64_t)of_all;

	return (unsigned)(all / n + (p->worker->index < all % n));
}

/* A connection for a, or its refusal; false when the caps leave no place. */
static bool
serve_one(struct ask *a)
{
	struct upconn *u = NULL;

	if (!ask_serve(a, &u)) {
		ask_refuse(a, a->refusal, a->error);
		return true;
	}
	if (u == NULL)
		return !ask_needs_place(a);
	ask_grant(a, u);
	return true;
}

/* The oldest ask that waits for a place. */
static struct ask *
first_unserved(struct pool *p)
{
	struct list *l;

	if (pool_in_need(p) == 0)
		return NULL;
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		if (ask_needs_place(a))
			return a;
	}
	return NULL;
}

/* With key_hash each endpoint has a queue of its own: when the oldest ask has to
   wait for its endpoint, those for others need not. */
static bool
pass_over(const struct ask *a)
{
	struct pool *p = a->pool;
	struct site *site;

	if (p->shards == NULL)
		return false;
	site = a->with != NULL ? a->with->shelf->site :
	    pool_site_of(p, a->bound);
	if (site == NULL || site->passed_over)
		return false;
	return site->passed_over = true;
}

static bool
is_passed_over(const struct ask *a)
{
	const struct site *site = a->with != NULL ? a->with->shelf->site :
	    pool_site_of(a->pool, a->bound);

	return site != NULL && site->passed_over;
}

static struct ask *
first_to_serve(struct pool *p)
{
	struct ask *a = first_unserved(p);
	struct list *l;

	if (a == NULL || p->shards == NULL || !is_passed_over(a))
		return a;
	for (l = a->link.next; l != &p->asks; l = l->next) {
		a = container_of(l, struct ask, link);
		if (ask_needs_place(a) && !is_passed_over(a))
			return a;
	}
	return NULL;
}

static void
pass_over_nobody(struct pool *p)
{
	struct list *l, *tmp;

	if (p->shards == NULL)
		return;
	list_each(l, tmp, &p->sites)
		container_of(l, struct site, link)->passed_over = false;
}

void
pool_serve(struct pool *p)
{
	struct ask *a;

	if (p->serving)
		return;
	p->serving = true;
	park_look(p);
	if (p->quota_due)
		quota_look(p);
	share_look(p);
	/* Of a full endpoint a place may have come free. */
	if (p->shards != NULL && p->unserved > 0)
		pool_publish_waiting(p);
	/* To be refused is nobody's turn. */
	while ((a = first_to_serve(p)) != NULL && (p->gifts > 0 ||
	    pool_elder(p) == NULL || pool_tier(p) >= TIER_HELD) &&
	    (serve_one(a) || pass_over(a)))
		;
	pass_over_nobody(p);
	p->serving = false;
	for (; p->gifts > 0; p->gifts--)
		upstream_slot_free(p->upstream);
	transfer_slot(p);
	if (p->unserved > 0)
		pool_wait_for_held(p);
}

void
pool_pin_freed(struct pool *p)
{
	if (!list_empty(&p->pin_asks))
		deadline_set(p->worker, &p->pin_look, 0);
}

void
pool_ask_around(struct pool *p)
{
	pool_serve(p);
	if (pool_in_need(p) > 0)
		transfer_wanted(p);
}

void
pool_wait_for_held(struct pool *p)
{
	int64_t ns = pool_held_ns(p);

	if (ns > 0)
		deadline_set_ns(p->worker, &p->holding, ns);
}

/*
 * The one for whose sake another worker gives something up. With key_hash, one
 * that waits for an endpoint which is full would only stand in the way of all
 * that go elsewhere; it gets what comes free there on this worker, or looks
 * around with the next tick.
 */
static const struct ask *
first_to_publish(struct pool *p)
{
	const struct ask *a = first_unserved(p);
	const struct list *l;

	if (a == NULL || p->shards == NULL || p->upstream->n_pools == 1)
		return a;
	for (l = &a->link; l != &p->asks; l = l->next) {
		const struct site *site;

		a = container_of(l, const struct ask, link);
		site = !ask_needs_place(a) ? NULL :
		    pool_site_of(p, a->bound);
		if (site != NULL && site_has_room(site))
			return a;
	}
	return NULL;
}

void
pool_publish_waiting(struct pool *p)
{
	const struct ask *a = first_to_publish(p);
	int64_t since = a != NULL ? a->since_ns : INT64_MAX;

	if (p->upstream->n_pools == 1)
		atomic_store_explicit(&p->oldest_ns, since,
		    memory_order_relaxed);
	else if (atomic_exchange(&p->oldest_ns, since) < since)
		transfer_turn(p);
	if (p->unserved == 0)
		deadline_clear(&p->holding);
	if (p->unserved > 0 && p->exhausted_since_ns == 0)
		p->exhausted_since_ns = p->worker->now_ns;
	else if (p->unserved == 0 && p->exhausted_since_ns != 0) {
		count_add(&p->exhausted_us, (uint64_t)(p->worker->now_ns -
		    p->exhausted_since_ns) / 1000);
		p->exhausted_since_ns = 0;
	}
}

/* Since when its oldest one waits. Those that were parked count as soon as they
   may begin, whether or not their worker has been told yet. */
static int64_t
waits_since(const struct pool *p)
{
	int64_t since = atomic_load(&p->oldest_ns);
	int64_t parked = atomic_load(&p->oldest_parked_ns);

	return parked < since && !atomic_load(&p->upstream->paused) &&
	    atomic_load(&p->upstream->failover_until_ns) == 0 ?
	    parked : since;
}

struct pool *
pool_elder(struct pool *p)
{
	struct upstream *up = p->upstream;
	int64_t mine, oldest;
	struct pool *elder = NULL;
	size_t i;

	if (up->n_pools == 1)
		return NULL;
	mine = waits_since(p);
	/* Ours wait unless another has waited 10 ms longer: letters cost. */
	oldest = mine == INT64_MAX ? INT64_MAX : mine - 10 * NS_PER_MS;
	for (i = 0; i < up->n_pools; i++) {
		int64_t since = waits_since(up->pools[i]);

		if (up->pools[i] != p && since < oldest) {
			oldest = since;
			elder = up->pools[i];
		}
	}
	return elder;
}

/* ------------------------------------------------------------------ retries */

static void
budget_move_on(struct pool *p)
{
	int64_t span_ns = POOL_SPAN_S * NS_PER_S;
	int64_t passed = p->worker->now_ns - p->budget.span * span_ns;
	int64_t span;
	unsigned i;

	if (passed >= 0 && passed < span_ns)
		return;
	span = p->worker->now_ns / span_ns;
	for (i = 0; i < 2; i++) {
		/* Of two, the newer one becomes the older one. */
		if (span - p->budget.span == 1 && (span & 1) != i)
			continue;
		p->budget.requests[i] = 0;
		p->budget.retries[i] = 0;
	}
	p->budget.span = span;
}

void
pool_budget_request(struct pool *p)
{
	budget_move_on(p);
	p->budget.requests[p->budget.span & 1]++;
}

bool
pool_budget_retry(struct pool *p)
{
	double requests, retries;

	budget_move_on(p);
	requests = (double)(p->budget.requests[0] + p->budget.requests[1]);
	retries = (double)(p->budget.retries[0] + p->budget.retries[1]);
	if (retries < p->conf->retry.budget * requests + 3) {
		p->budget.retries[p->budget.span & 1]++;
		return true;
	}
	count_add(&p->limited[UPSTREAM_LIMIT_RETRY_BUDGET], 1);
	return false;
}

/* --------------------------------------------------------------------- dice */

uint64_t
pool_roll(struct pool *p)
{
	/* splitmix64, by S. Vigna, public domain */
	uint64_t z = p->dice += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

int64_t
pool_backoff_ns(struct pool *p, unsigned before, int64_t first_ms,
    int64_t most_ms)
{
	int64_t ms = first_ms;

	for (; before > 0 && ms < most_ms; before--)
		ms *= 2;
	if (ms > most_ms)
		ms = most_ms;
	return ms * NS_PER_MS / 100 * (75 + (int64_t)(pool_roll(p) % 51));
}
