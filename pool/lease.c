/*
 * Leases. See lease.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include <errno.h>
#include <string.h>

#include "pool/adapt.h"
#include "pool/balance.h"
#include "pool/park.h"
#include "pool/pin.h"
#include "pool/quota.h"
#include "pool/share.h"
#include "pool/site.h"
#include "pool/transfer.h"
#include "pool/upkeep.h"

/* ---------------------------------------------------------------- where to */

static bool
is_keyed(const struct ask *a)
{
	return a->pool->conf->balance == CONF_KEY_HASH;
}

static bool
is_bound(const struct ask *a)
{
	return a->bound != NULL && a->pool->conf->balance == CONF_SOURCE_HASH;
}

/* Is the endpoint that a is bound to of no use, or full? */
static bool
is_adrift(const struct ask *a, enum tier tier)
{
	const struct site *site = pool_site_of(a->pool, a->bound);

	return site == NULL || tier >= TIER_HELD || site_tier(site) != tier ||
	    site_is_full(site);
}

/* The balancer's choice for a; NULL when nothing is usable. */
static struct site *
pick(struct ask *a)
{
	struct pool *p = a->pool;
	struct site *site;

	if (p->conf->balance != CONF_SOURCE_HASH && !is_keyed(a))
		return balance_pick(p, a);
	if (is_bound(a) && !is_adrift(a, pool_tier(p))) {
		site = pool_site_of(p, a->bound);
		if (!site_rests(site))
			return site;
	}
	site = balance_pick(p, a);
	a->bound = site != NULL ? site->endpoint : NULL;
	return site;
}

void
ask_rebind(struct ask *a)
{
	if (a->opening == NULL && (is_keyed(a) ||
	    a->pool->conf->balance == CONF_SOURCE_HASH))
		(void)pick(a);
}

static bool
is_room_beside(const struct ask *a, enum tier tier)
{
	const struct list *l;

	for (l = a->pool->sites.next; l != &a->pool->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (site->endpoint != a->avoid && site_tier(site) == tier &&
		    site_has_room(site))
			return true;
	}
	return false;
}

/* The endpoint that it is bound to while that is of use; the one to avoid only
   when no other has room. */
static bool
wants(const struct ask *a, const struct site *site, enum tier tier)
{
	if (tier >= TIER_HELD || site_tier(site) != tier)
		return false;
	if (is_keyed(a))                /* full or not */
		return site->endpoint == a->bound;
	if (is_bound(a))
		return site->endpoint == a->bound || is_adrift(a, tier);
	return site->endpoint != a->avoid || !is_room_beside(a, tier);
}

bool
ask_wants(const struct ask *a, const struct site *site)
{
	return wants(a, site, pool_tier(a->pool));
}

struct ask *
ask_fitting(struct pool *p, const struct upconn *u)
{
	const struct shelf *sh = u->shelf;
	enum tier tier;
	struct list *l;

	if (list_empty(&p->asks))
		return NULL;
	tier = pool_tier(p);
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		if ((a->fresh && u->uses > 0) || a->with != NULL)
			continue;
		if (ask_is_for_key_of(a, sh) && wants(a, sh->site, tier))
			return a;
	}
	return NULL;
}

/* ---------------------------------------------------------------- granting */

/* u leaves its list for a. */
static void
begin_leased(struct ask *a, struct upconn *u)
{
	conn_resume(&u->conn);  /* paused by a long greeting */
	upconn_set_state(u, UPCONN_LEASED);
	if (a->share)
		share_begin(u);
	else
		share_end(u);
	/* Others may ride on it, too. */
	if (a->share && a->pool->unserved > 0)
		deadline_set(a->pool->worker, &a->pool->holding, 0);
	u->alone = !a->share && pool_shares(a->pool);
	u->pins = a->pins;
	a->pins = false;
	upkeep_warm_soon(a->pool);
}

/* u is on no list, or others ride on it already; it becomes a's. False when out
   of memory: u is closed, if nobody else has it. */
static bool
make_lease(struct ask *a, struct upconn *u)
{
	struct pool *p = a->pool;
	struct lease *l = pile_get(&p->leases);
	bool joins = !list_empty(&u->riders);
	int64_t now = p->worker->now_ns;

	if (l == NULL) {
		if (!joins)
			upconn_close(u, N_DISCARDS);
		return false;
	}
	*l = (struct lease){ .u = u, .ops = a->ops, .holder = a->holder,
	    .since_ns = now, .waited_ns = now - a->since_ns,
	    .reused = u->uses > 0, .joined = joins };
	list_append(&u->riders, &l->ride);
	u->uses++;
	/* One that goes straight from holder to holder is LEASED already. */
	if (!joins)
		begin_leased(a, u);
	count_add(&p->requests, 1);
	if (l->reused)
		count_add(&p->reused, 1);
	else
		upkeep_useful(u->shelf->site);
	hist_add(&p->queue, l->waited_ns);
	a->lease = l;
	return true;
}

void
ask_grant(struct ask *a, struct upconn *u)
{
	ask_dequeue(a);
	if (make_lease(a, u))
		a->ops->granted(a);
	else
		ask_refuse(a, REFUSAL_CONNECT_FAILED, ENOMEM);
}

/* ------------------------------------------------------------------ asking */

/*
 * Raw sessions cannot be sent again, so a warm connection is looked at once
 * more before one is put on it; requests can, or fail detectably.
 */
static bool
still_good(const struct pool *p, struct upconn *u)
{
	return p->conf->pool.span != CONF_SPAN_SESSION || u->conn.in.len > 0 ||
	    conn_is_quiet(&u->conn);
}

/* The newest good idle connection of a's key at the site, off its shelf. */
static struct upconn *
take_idle(struct ask *a, struct site *site)
{
	struct shelf *sh = shelf_find(site, a->key, ask_key_size(a));
	struct list *l;

	if (a->fresh)
		return NULL;
	while (sh != NULL && (l = list_first(&sh->idle)) != NULL) {
		struct upconn *u = container_of(l, struct upconn, link);
		enum discard why = upconn_overdue(u);
		bool last = sh->open == 1 && shelf_is_keyed(sh);

		if (why == N_DISCARDS && still_good(a->pool, u)) {
			upconn_take_idle(u);
			return u;
		}
		upconn_close(u, why == N_DISCARDS ? DISCARD_CLOSED_IDLE : why);
		if (last)
			return NULL;    /* the shelf went with it */
	}
	return NULL;
}

static struct upconn *
take_idle_elsewhere(struct ask *a, const struct site *not_here)
{
	struct pool *p = a->pool;
	enum tier tier = pool_tier(p);
	struct list *l, *tmp;
	struct site *last;

	list_each(l, tmp, &p->sites) {
		struct site *site = container_of(l, struct site, link);
		struct upconn *u;

		if (site == not_here || site->endpoint == a->avoid ||
		    site->idle == 0 || !wants(a, site, tier))
			continue;
		u = take_idle(a, site);
		if (u != NULL)
			return u;
	}
	last = a->avoid != NULL ? pool_site_of(p, a->avoid) : NULL;
	return last != NULL && last != not_here && wants(a, last, tier) ?
	    take_idle(a, last) : NULL;
}

static bool
slot_take(struct pool *p)
{
	if (adapt_rests(p))
		return false;
	if (p->gifts > 0) {
		p->gifts--;
		return true;
	}
	return upstream_slot_take(p->upstream);
}

/* Is there room at an endpoint that a may go to? */
static bool
is_room(const struct ask *a, enum tier tier)
{
	struct list *l, *tmp;

	list_each(l, tmp, &a->pool->sites) {
		const struct site *site = container_of(l, struct site, link);

		if (site_has_room(site) && wants(a, site, tier))
			return true;
	}
	return false;
}

/* Its group is at its cap: close one of the group. */
static bool
make_quota(const struct ask *a)
{
	struct upconn *victim = quota_victim(a);

	if (victim == NULL)
		return false;
	upconn_close(victim, DISCARD_OTHER_KEY);
	return true;
}

/* No idle connection is of use to a: close one of another key, used before, or
   at another endpoint: the longest unused whose place is of use. */
static bool
make_room(struct ask *a)
{
	struct pool *p = a->pool;
	enum tier tier = pool_tier(p);
	struct upconn *victim = NULL;
	struct list *l, *tmp;
	bool anywhere;

	if (a->awaits_quota)
		return make_quota(a);
	if (atomic_load_explicit(&p->idle, memory_order_relaxed) == 0)
		return false;
	anywhere = is_room(a, tier);
	list_each(l, tmp, &p->upconns) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->state == UPCONN_IDLE &&
		    (victim == NULL || u->since_ns < victim->since_ns) &&
		    (anywhere || wants(a, u->shelf->site, tier)))
			victim = u;
	}
	if (victim == NULL)
		return false;
	upconn_close(victim, DISCARD_OTHER_KEY);
	return true;
}

/* In which order they are tried. */
enum choice { FIRST, RESTING, AVOIDED, N_CHOICES };

static enum choice
choice_of(const struct ask *a, const struct site *site)
{
	if (site->endpoint == a->avoid)
		return AVOIDED;
	return site_rests(site) ? RESTING : FIRST;
}

/* A place at the picked site, or at another that has room. */
static struct site *
site_with_room(struct ask *a, struct site *picked)
{
	enum tier tier = pool_tier(a->pool);
	struct list *l, *tmp;
	enum choice choice;

	if (endpoint_slot_take(picked->endpoint))
		return picked;
	for (choice = FIRST; choice < N_CHOICES; choice++)
		list_each(l, tmp, &a->pool->sites) {
			struct site *site = container_of(l, struct site, link);

			if (site != picked && choice_of(a, site) == choice &&
			    wants(a, site, tier) &&
			    endpoint_slot_take(site->endpoint))
				return site;
		}
	return NULL;
}

/* A place under the upstream's cap and one endpoint's; NULL when there is none.
 */
static struct site *
place_for(struct ask *a, struct site *picked)
{
	struct site *site;

	if (!slot_take(a->pool))
		return NULL;
	site = site_with_room(a, picked);
	if (site == NULL)
		upstream_slot_free(a->pool->upstream);
	return site;
}

/* connect() would not even begin. True: a waits for something else. */
static bool
not_opened(struct ask *a, struct site *site, int error)
{
	/* Somebody's connection will come back: wait for that one. */
	if (conn_is_shortage(error) && atomic_load(&a->pool->leased) > 0)
		return true;
	a->error = error;
	a->refusal = REFUSAL_NO_DESCRIPTORS;
	if (conn_is_shortage(error))
		return false;
	site_rest(site);
	endpoint_fault(site->endpoint, FAULT_CONNECT_FAILED, error);
	if (failover_waits_on(site))
		return true;
	a->refusal = REFUSAL_CONNECT_FAILED;
	a->failed = site->endpoint;
	return false;
}

/* Opens there: *made when it is connected already, else a->opening. */
static bool
open_at(struct ask *a, struct site *picked, struct upconn **made)
{
	struct pool *p = a->pool;
	struct quota *quota[POOL_GROUPS];
	struct site *site;
	struct upconn *u;
	int error;

	quota_await(a, false);
	if (!quota_take(p, a->key, a->key_len, quota)) {
		quota_await(a, true);
		return true;
	}
	site = place_for(a, picked);
	if (site == NULL) {
		quota_free(p->upstream, p, quota);
		return true;
	}
	u = upconn_open(site, a->key, a->key_len, a);
	if (u == NULL) {
		error = errno;
		endpoint_slot_free(site->endpoint);
		upstream_slot_free(p->upstream);
		quota_free(p->upstream, p, quota);
		return not_opened(a, site, error);
	}
	memcpy(u->quota, quota, sizeof(quota));
	if (a->share)
		share_begin(u);
	if (upconn_is_made(u)) {
		u->opener = NULL;
		upconn_made(u);
		*made = u;
		return true;
	}
	a->opening = u;
	if (list_linked(&a->link)) {
		pool_publish(p, &p->unserved, -1);
		pool_publish_waiting(p);
	}
	return true;
}

/* Where nothing is usable: true, when a waits until something is. */
static bool
no_site(struct ask *a)
{
	/* A check may know that the primary has gone before anybody was
	   refused there. */
	if (failover_waits(a->pool))
		return true;
	a->held_ns = pool_held_ns(a->pool);
	a->refusal = a->held_ns > 0 ? REFUSAL_HELD : REFUSAL_NO_ENDPOINT;
	return false;
}

/*
 * On a connection that others ride too. True: it is *u, or, while that is NULL,
 * one that a has to wait for.
 */
static bool
join(struct ask *a, struct site *site, struct upconn **u)
{
	bool waits = false;

	if (a->with != NULL) {
		if (a->pool->upstream->peer->room(a->with) > 0)
			*u = a->with;
		waits = *u == NULL;
	} else if (a->share)
		*u = share_find(a, site, &waits);
	share_await(a, waits);
	return *u != NULL || waits;
}

/* There is no place for one more: what carries others carries a, too. */
static bool
join_any(struct ask *a, struct upconn **u)
{
	*u = share_find_anywhere(a);
	return *u != NULL;
}

bool
ask_serve(struct ask *a, struct upconn **u)
{
	struct site *site = a->with != NULL ? a->with->shelf->site : pick(a);

	*u = NULL;
	if (site == NULL)
		return no_site(a);
	if (join(a, site, u))
		return true;
	*u = take_idle(a, site);
	/* What another has is better than opening one there. */
	if (*u == NULL && !site_has_room(site))
		*u = take_idle_elsewhere(a, site);
	if (*u != NULL)
		return true;
	if (!open_at(a, site, u))
		return join_any(a, u);
	if (a->opening != NULL || *u != NULL)
		return true;
	*u = take_idle_elsewhere(a, site);
	if (*u != NULL || join_any(a, u))
		return true;
	/* Dead ones found there have left their places. One that is made may
	   go to an older ask on another worker. */
	do {
		if (!open_at(a, site, u))
			return false;
	} while (*u == NULL && a->opening == NULL && make_room(a));
	return true;
}

/* Only a connection of its own: idle ones, when they are closed, leave their
   places to the queue, and a is in it. */
static bool
try_open(struct ask *a, struct upconn **u)
{
	struct site *site = pick(a);

	if (site == NULL)
		return no_site(a);
	return join(a, site, u) || open_at(a, site, u) || join_any(a, u);
}

/* With key_hash each endpoint has a queue of its own: is somebody in a's? */
static bool
is_behind(struct ask *a)
{
	const struct list *asks = &a->pool->asks, *l;

	ask_rebind(a);
	for (l = asks->next; l != asks; l = l->next) {
		const struct ask *o = container_of(l, const struct ask, link);

		if (ask_needs_place(o) && a->bound != NULL &&
		    o->bound == a->bound)
			return true;
	}
	return false;
}

/* What there is for a without taking anything from those who wait. */
static bool
may_be_served(struct ask *a)
{
	const struct pool *p = a->pool;

	return pool_in_need(p) == 0 || a->with != NULL ||
	    pool_tier(p) >= TIER_HELD || (is_keyed(a) && !is_behind(a));
}

/* Who rides with others takes no place, and so overtakes nobody. */
static void
ride_along(struct ask *a, struct upconn **u)
{
	struct site *site = a->share && a->with == NULL ? pick(a) : NULL;

	if (site != NULL && !join(a, site, u))
		(void)join_any(a, u);
}

/* u is a's, who is in no queue. */
static enum asked
grant_now(struct ask *a, struct upconn *u)
{
	if (make_lease(a, u))
		return ASK_GRANTED;
	a->refusal = REFUSAL_CONNECT_FAILED;
	return ASK_REFUSED;
}

enum asked
ask_now(struct ask *a)
{
	struct pool *p = a->pool;
	struct upconn *u = NULL;

	if (park_takes(a))
		return ask_park(a);
	if (may_be_served(a)) {
		if (!ask_serve(a, &u))
			return ASK_REFUSED;
	} else
		ride_along(a, &u);
	if (u != NULL)
		return grant_now(a, u);
	if (a->opening == NULL && ask_queue_is_full(p)) {
		share_await(a, false);
		quota_await(a, false);
		a->refusal = REFUSAL_QUEUE_FULL;
		return ASK_REFUSED;
	}
	ask_enqueue(a);
	if (ask_needs_place(a) && p->upstream->n_pools > 1) {
		/* It has said that it waits; now look again. Those who waited
		   before it have done so: they come first. */
		if (pool_in_need(p) == 1 && pool_elder(p) == NULL &&
		    a->with == NULL && !try_open(a, &u)) {
			ask_dequeue(a);
			return ASK_REFUSED;
		}
		if (u != NULL) {
			ask_dequeue(a);
			return grant_now(a, u);
		}
		if (ask_needs_place(a))
			transfer_wanted(p);
	}
	return ASK_WAITS;
}

enum asked
lease_ask(struct ask *a)
{
	enum asked got;

	if (!pool_shares(a->pool))
		demand_ask(a->pool);
	ask_begin(a);
	if (a->lasts && !a->share && a->with == NULL) {
		if (!list_empty(&a->pool->pin_asks) ||
		    !upstream_pin_take(a->pool->upstream))
			return pin_await(a);
		a->pins = true;
	}
	/* What he has alone for a moment he will have for longer. */
	if (a->lasts && a->with != NULL && a->with->alone && !a->with->pins)
		a->with->pins = upstream_pin_take(a->pool->upstream);
	got = ask_now(a);
	if (got == ASK_REFUSED)
		ask_unpin(a);
	return got;
}

struct lease *
lease_join(struct upconn *u, const struct lease_ops *ops, void *holder)
{
	struct lease *l = pile_get(&u->pool->leases);

	if (l == NULL)
		return NULL;
	*l = (struct lease){ .u = u, .ops = ops, .holder = holder,
	    .since_ns = u->pool->worker->now_ns, .reused = true };
	list_append(&u->riders, &l->ride);
	return l;
}

/* --------------------------------------------------------------- returning */

void
lease_return(struct lease **lp)
{
	struct lease *l = *lp;
	struct upconn *u = l->u;

	*lp = NULL;
	if (!pool_shares(u->pool))
		hist_add(&u->pool->demand.held,
		    u->pool->worker->now_ns - l->since_ns);
	list_remove(&l->ride);
	pile_put(&u->pool->leases, l);
	if (list_empty(&u->riders) && !u->busy)
		upconn_home(u);
}

void
upconn_home(struct upconn *u)
{
	struct pool *p = u->pool;

	share_forget(u);
	if (u->mark == MARK_CLEAN && !upconn_is_clean(u)) {
		upconn_close(u, DISCARD_NOT_CLEAN);
		return;
	}
	/* Whatever choked it ends here. */
	if (u->mark != MARK_BROKEN)
		conn_resume(&u->conn);
	switch (u->mark) {
	case MARK_CLEAN:
		upconn_settle(u);
		return;
	case MARK_DIRTY:
		if (p->upstream->peer->wash != NULL) {
			upconn_set_state(u, UPCONN_WASHING);
			deadline_set(p->worker, &u->deadline,
			    p->conf->timeouts.connect_ms);
			p->upstream->peer->wash(u);
			return;
		}
		break;
	case MARK_BROKEN:
		break;
	}
	upconn_close(u, u->doom);
}
