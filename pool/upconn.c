/*
 * Upstream connections. See upconn.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upconn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool/adapt.h"
#include "pool/balance.h"
#include "pool/failover.h"
#include "pool/lease.h"
#include "pool/opening.h"
#include "pool/quota.h"
#include "pool/shards.h"
#include "pool/share.h"
#include "pool/site.h"
#include "pool/transfer.h"
#include "pool/upkeep.h"

/* What a server that speaks first may say before its first client comes. */
enum { GREETING_MOST = 16 * 1024 };

const char *const upconn_state_names[] = {
	[UPCONN_CONNECTING] = "connecting",
	[UPCONN_GREETING] = "greeting",
	[UPCONN_IDLE] = "idle",
	[UPCONN_LEASED] = "leased",
	[UPCONN_WASHING] = "washing",
	[UPCONN_CLOSED] = "closed"
};

/* ------------------------------------------------------------------ states */

static bool
is_opening(enum upconn_state state)
{
	return state == UPCONN_CONNECTING || state == UPCONN_GREETING ||
	    state == UPCONN_WASHING;
}

void
upconn_count(struct upconn *u, enum upconn_state state, int change)
{
	struct site *site = u->shelf->site;
	struct endpoint *e = site->endpoint;
	struct pool *p = u->pool;

	if (state == UPCONN_LEASED) {
		atomic_fetch_add(&e->leased, (unsigned)change);
		pool_publish(p, &p->leased, change);
	} else if (state == UPCONN_IDLE) {
		pool_publish(p, &p->idle, change);
		site->idle += (unsigned)change;
	} else if (is_opening(state)) {
		atomic_fetch_add(&e->opening, (unsigned)change);
		pool_publish(p, &p->opening, change);
	}
}

static void
publish_oldest_lease(struct pool *p)
{
	const struct list *l = list_first(&p->lent);

	atomic_store_explicit(&p->oldest_lease_ns, l != NULL ?
	    container_of(l, const struct upconn, link)->since_ns : INT64_MAX,
	    memory_order_relaxed);
}

void
upconn_pin(struct upconn *u, unsigned why)
{
	struct pool *p = u->pool;

	count_add(&p->pins[why], 1);
	if (!u->pinned)
		pool_publish(p, &p->pinned, 1);
	u->pinned = true;
	u->pin_whys |= UINT32_C(1) << why;
}

static void
unpin(struct upconn *u)
{
	if (u->pinned)
		pool_publish(u->pool, &u->pool->pinned, -1);
	u->pinned = false;
	u->pin_whys = 0;
	if (u->pins) {
		upstream_pin_free(u->pool->upstream);
		pool_pin_freed(u->pool);
	}
	u->pins = u->alone = false;
}

void
upconn_put_idle(struct upconn *u)
{
	struct list *idle = &u->shelf->idle, *l = idle->next;

	while (l != idle && container_of(l, const struct upconn,
	    link)->since_ns > u->since_ns)
		l = l->next;
	list_append(l, &u->link);
}

void
upconn_set_state(struct upconn *u, enum upconn_state state)
{
	bool lent = u->state == UPCONN_LEASED || state == UPCONN_LEASED;

	if (u->state == UPCONN_LEASED)
		unpin(u);
	upconn_count(u, u->state, -1);
	list_remove(&u->link);
	if (!is_opening(state))
		deadline_clear(&u->deadline);
	/* One that only comes to another shelf has been idle before. */
	if (state != UPCONN_IDLE || u->state != UPCONN_IDLE)
		u->since_ns = u->pool->worker->now_ns;
	u->state = state;
	if (state == UPCONN_IDLE || state == UPCONN_CLOSED)
		share_end(u);
	if (state == UPCONN_IDLE)
		upconn_put_idle(u);
	else if (state == UPCONN_LEASED)
		list_append(&u->pool->lent, &u->link);
	upconn_count(u, state, 1);
	if (!lent)
		return;
	publish_oldest_lease(u->pool);
	if (unlikely(u->pool->retired))
		upkeep_watch(u->pool);
}

void
upconn_need(struct upconn *u)
{
	struct upstream *up = u->pool->upstream;

	u->needed = atomic_load_explicit(&up->leaving, memory_order_relaxed);
	if (u->needed)
		atomic_fetch_add(&up->needed, 1);
}

void
upconn_need_not(struct upconn *u, struct upstream *up)
{
	if (u->needed)
		atomic_fetch_sub(&up->needed, 1);
	u->needed = false;
}

void
upconn_take_idle(struct upconn *u)
{
	list_remove(&u->link);
}

void
upconn_mark(struct upconn *u, enum mark mark, const char *why)
{
	if (mark <= u->mark)
		return;
	u->mark = mark;
	u->mark_why = why;
}

void
upconn_doom(struct upconn *u, enum discard doom, const char *why)
{
	if (u->mark != MARK_BROKEN)
		u->doom = doom;
	upconn_mark(u, MARK_BROKEN, why);
}

bool
upconn_is_clean(const struct upconn *u)
{
	return u->holds == 0 && u->conn.in.len == 0 && u->conn.out.len == 0 &&
	    !u->conn.eof && !u->conn.broken;
}

enum discard
upconn_overdue(const struct upconn *u)
{
	const struct pool *p = u->pool;
	const struct conf_pool *conf = &p->conf->pool;
	const struct site *site = u->shelf->site;

	if (!site->current)
		return DISCARD_ENDPOINT_GONE;
	/* Where all are down it may be in use all the same. */
	if (unlikely(atomic_load_explicit(&site->endpoint->bars,
	    memory_order_relaxed) != 0) && !site_takes(site))
		return DISCARD_ENDPOINT_DOWN;
	if (u->identity != p->identity)
		return DISCARD_IDENTITY;
	if (p->worker->now_ns >= u->retire_ns)
		return DISCARD_LIFETIME;
	if (conf->max_requests > 0 && u->uses >= (uint64_t)conf->max_requests)
		return DISCARD_MAX_REQUESTS;
	if (upstream_open(p->upstream) >
	    atomic_load_explicit(&p->upstream->most, memory_order_relaxed))
		return DISCARD_SURPLUS;
	/* Last: it is the one reason that does not hold for who still waits. */
	if (p->retired)
		return DISCARD_RETIRED;
	return N_DISCARDS;
}

bool
upconn_may_go_on(const struct upconn *u)
{
	const struct site *site = u->shelf->site;

	return site->current && (atomic_load_explicit(&site->endpoint->bars,
	    memory_order_relaxed) & ~(unsigned)BAR_DRAIN) == 0;
}

/* ----------------------------------------------------------------- closing */

static void
upconn_release(struct worker *w, struct late *l)
{
	(void)w;
	free(container_of(l, struct upconn, late));
}

void
upconn_close(struct upconn *u, enum discard why)
{
	struct pool *p = u->pool;
	struct shelf *sh = u->shelf;
	struct endpoint *e = sh->site->endpoint;

	/* A goodbye that fails is no reason to close it twice. */
	if (u->state == UPCONN_CLOSED || u->leaves)
		return;
	u->leaves = true;
	count_add(&p->closes, 1);
	if (why != N_DISCARDS)
		count_add(&p->discards[why], 1);
	if (p->upstream->peer->bye != NULL && u->conn.open &&
	    !u->conn.broken && u->mark != MARK_BROKEN &&
	    u->state == UPCONN_IDLE)
		p->upstream->peer->bye(u);
	if (u->opener != NULL) {
		u->opener->opening = NULL;
		pool_publish(p, &p->unserved, 1);
		pool_publish_waiting(p);
		ask_recheck(u->opener);
		u->opener = NULL;
	}
	while (!list_empty(&u->riders)) {
		struct list *l = list_first(&u->riders);

		list_remove(l);
		pile_put(&p->leases, container_of(l, struct lease, ride));
	}
	upconn_set_state(u, UPCONN_CLOSED);
	if (p->upstream->peer->fini != NULL)
		p->upstream->peer->fini(u);
	share_forget(u);
	conn_close(&u->conn);
	list_remove(&u->all);
	endpoint_slot_free(e);
	upstream_slot_free(p->upstream);
	upconn_need_not(u, p->upstream);
	quota_free(p->upstream, p, u->quota);
	shelf_left(sh);
	worker_late(p->worker, &u->late, upconn_release);
	pool_serve(p);
	upkeep_warm_soon(p);
}

/* ---------------------------------------------------------------- settling */

/* Nobody who waits can use it: is its place of use to them? */
static bool
place_is_wanted(const struct upconn *u)
{
	const struct pool *p = u->pool;
	enum tier tier = pool_tier(p);

	if (p->shards != NULL)
		return pool_shard_needs_place(p, u);
	return tier < TIER_HELD && (site_tier(u->shelf->site) == tier ||
	    tier_has_room(p, tier));
}

/* To the worker whose ask is older than any here; of one that nobody may be
   given now, its place. False when nobody is, or it stays: then it is IDLE and
   off its shelf's list. */
static bool
leave_to_elder(struct upconn *u)
{
	struct pool *p = u->pool;

	if (p->upstream->n_pools == 1 || pool_elder(p) == NULL)
		return false;
	if (site_takes(u->shelf->site))
		return transfer_idle(u);
	if (!pool_wants_a_place(p))
		return false;
	upconn_close(u, DISCARD_OTHER_KEY);
	return true;
}

void
upconn_settle(struct upconn *u)
{
	struct pool *p = u->pool;
	enum discard why = upconn_overdue(u);
	struct ask *a;

	if (why != N_DISCARDS && (u->uses > 0 || why != DISCARD_RETIRED ||
	    ask_fitting(p, u) == NULL)) {
		upconn_close(u, why);
		return;
	}
	if (p->upstream->n_pools > 1 && pool_elder(p) != NULL) {
		upconn_set_state(u, UPCONN_IDLE);
		upconn_take_idle(u);
		if (leave_to_elder(u))
			return;
	}
	a = ask_fitting(p, u);
	if (a != NULL && a->share) {
		share_begin(u);
		share_grant(u);
		return;
	}
	if (a != NULL) {
		ask_grant(a, u);
		return;
	}
	if (pool_in_need(p) > 0 && place_is_wanted(u)) {
		/* Those who wait have other keys, want a fresh one, or go
		   elsewhere, and need its place. */
		upconn_close(u, DISCARD_OTHER_KEY);
		return;
	}
	if (quota_is_wanted(u)) {
		upconn_close(u, DISCARD_OTHER_KEY);
		return;
	}
	upconn_set_state(u, UPCONN_IDLE);
	if (p->upstream->n_pools > 1 && pool_elder(p) != NULL) {
		/* Somebody began to wait just now. */
		upconn_take_idle(u);
		if (leave_to_elder(u))
			return;
		upconn_put_idle(u);
	} else
		upkeep_trim(p);
	/* Nothing may be usable any more: then nobody waits. */
	if (p->unserved > 0)
		pool_serve(p);
}

void
upconn_made(struct upconn *u)
{
	deadline_clear(&u->deadline);
	if (u->state == UPCONN_GREETING) {
		u->connect_ns = u->pool->worker->now_ns - u->born_ns;
		hist_add(&u->pool->connect, u->connect_ns);
		site_connected(u->shelf->site);
		adapt_connected(u->pool);
		failover_found(u->shelf->site);
	}
	u->mark = MARK_CLEAN;
	u->mark_why = NULL;
}

/* Whoever asked first gets what is ready first; then what is opening for that
   one is the other's. */
static void
swap_opening(struct upconn *u)
{
	struct ask *a = u->opener, *first = ask_fitting(u->pool, u);
	struct upconn *other = first != NULL ? first->opening : NULL;

	if (other == NULL || other == u ||
	    other->shelf->site->endpoint == a->avoid ||
	    !ask_wants(a, other->shelf->site))
		return;
	first->opening = u;
	u->opener = first;
	a->opening = other;
	other->opener = a;
}

void
upconn_ready(struct upconn *u)
{
	struct pool *p = u->pool;

	/* An answer to wash or greeting that did not end where it should, or an
	   end that came with it. */
	if (u->uses > 0 && !upconn_is_clean(u)) {
		upconn_close(u, DISCARD_NOT_CLEAN);
		return;
	}
	if (u->conn.eof || (u->conn.in.len > 0 &&
	    p->conf->pool.span != CONF_SPAN_SESSION)) {
		upconn_broken(u, u->conn.eof ? FAULT_CLOSED : FAULT_BAD_ANSWER,
		    0);
		return;
	}
	upconn_made(u);
	/* The ask it was opened for may be served already, or not be the one
	   that it goes to: it is free now. */
	if (u->opener != NULL) {
		struct ask *a;

		swap_opening(u);
		a = u->opener;
		u->opener = NULL;
		a->opening = NULL;
		pool_publish(p, &p->unserved, 1);
		pool_publish_waiting(p);
		ask_recheck(a);
	}
	upconn_settle(u);
	/* Who has lost it may have another. */
	if (p->unserved > 0)
		pool_serve(p);
	if (pool_in_need(p) > 0)
		transfer_wanted(p);
}

/* It could not be made, or washed. */
static void
blame(struct upconn *u, enum endpoint_fault what, int error)
{
	struct site *site = u->shelf->site;

	if (conn_is_shortage(error)) {
		upkeep_failed(site);    /* of this machine: nobody's fault */
		return;
	}
	if (u->state != UPCONN_WASHING)
		site_rest(site);
	endpoint_fault(site->endpoint, what, error);
}

void
upconn_give_up(struct upconn *u, enum refusal why, int error, const char *said)
{
	struct ask *a = u->opener;
	struct pool *p = u->pool;
	uint64_t newest = p->asks_seq;

	if (a != NULL) {
		u->opener = NULL;
		a->opening = NULL;
		pool_publish(p, &p->unserved, 1);
		if (why != REFUSAL_NO_DESCRIPTORS)
			a->failed = u->shelf->site->endpoint;
		a->said = said;
		ask_refuse(a, why, error);
	}
	if (list_linked(&u->shared))
		share_refuse(u, newest, why, error, said);
	upconn_mark(u, MARK_BROKEN, "not made");
	upconn_close(u, DISCARD_CONNECT_FAILED);
}

void
upconn_broken(struct upconn *u, enum endpoint_fault what, int error)
{
	if (u->state == UPCONN_CLOSED)
		return;
	blame(u, what, error);
	/* Who waits for it waits for a primary. */
	if (u->state != UPCONN_WASHING && !conn_is_shortage(error) &&
	    failover_waits_on(u->shelf->site)) {
		upconn_mark(u, MARK_BROKEN, "not made");
		upconn_close(u, DISCARD_CONNECT_FAILED);
		return;
	}
	upconn_give_up(u, conn_is_shortage(error) ? REFUSAL_NO_DESCRIPTORS :
	    what == FAULT_CONNECT_TIMEOUT ? REFUSAL_CONNECT_TIMEOUT :
	    REFUSAL_CONNECT_FAILED, error, NULL);
}

void
upconn_turned_away(struct upconn *u, const char *said)
{
	if (u->state == UPCONN_CLOSED)
		return;
	/* Who was to be kept warm is not tried again at once. */
	if (u->opener == NULL)
		upkeep_failed(u->shelf->site);
	u->shelf->site->proven = false;
	upconn_give_up(u, REFUSAL_LOGIN, 0, said);
}

void
upconn_unfit(struct upconn *u)
{
	if (u->state == UPCONN_CLOSED)
		return;
	blame(u, FAULT_BAD_ANSWER, 0);
	upconn_give_up(u, REFUSAL_UNFIT, 0, NULL);
}

void
upconn_lost(struct upconn *u, int error)
{
	struct list *l;

	upconn_mark(u, MARK_BROKEN, "lost");
	share_end(u);
	while (u->state == UPCONN_LEASED &&
	    (l = list_first(&u->riders)) != NULL) {
		struct lease *lease = container_of(l, struct lease, ride);

		lease->ops->gone(lease, error);
	}
}

/* ------------------------------------------------------------------ events */

static struct lease *
first_rider(const struct upconn *u)
{
	return container_of(list_first(&u->riders), struct lease, ride);
}

static bool
is_shared(const struct upconn *u)
{
	return u->pool->upstream->peer->room != NULL;
}

static void
idle_input(struct upconn *u)
{
	struct pool *p = u->pool;

	if (p->upstream->peer->bytes != NULL)
		p->upstream->peer->bytes(u);
	if (u->state != UPCONN_IDLE)
		return;
	if (u->conn.eof) {
		upkeep_closed_by_server(u);
		upconn_close(u, DISCARD_CLOSED_IDLE);
		return;
	}
	if (u->mark != MARK_CLEAN || (u->conn.in.len > 0 &&
	    (p->conf->pool.span != CONF_SPAN_SESSION || u->uses > 0))) {
		upconn_close(u, DISCARD_UNASKED_BYTES);
		return;
	}
	if (u->conn.in.len >= GREETING_MOST)
		conn_pause(&u->conn);
}

const char upconn_what[] = "bytes of a connection of upstream";

void
upconn_input(struct conn *c)
{
	struct upconn *u = upconn_of(c);
	struct peer_ops const *peer = u->pool->upstream->peer;

	worker_doing(c->w, upconn_what, u->pool->upstream->name);
	switch (u->state) {
	case UPCONN_LEASED:
		if (!is_shared(u)) {
			struct lease *l = first_rider(u);

			l->ops->input(l);
			return;
		}
		peer->bytes(u); /* and u may be another worker's */
		return;
	case UPCONN_IDLE:
		idle_input(u);
		return;
	case UPCONN_GREETING:
	case UPCONN_WASHING:
		/* An end comes alone: what came before it has been read. After
		   bytes() it may be another worker's. */
		if (c->eof)
			upconn_broken(u, FAULT_CLOSED, 0);
		else if (peer->bytes != NULL && c->in.len > 0)
			peer->bytes(u);
		return;
	case UPCONN_CONNECTING:
	case UPCONN_CLOSED:
		return;
	}
}

void
upconn_drained(struct conn *c)
{
	struct upconn *u = upconn_of(c);
	const struct peer_ops *peer = u->pool->upstream->peer;
	struct lease *l;

	if (peer->drained != NULL && u->state != UPCONN_CLOSED) {
		peer->drained(u);       /* and u may be another worker's */
		return;
	}
	if (u->state != UPCONN_LEASED)
		return;
	/* Of many only the newest may still have something to send. */
	l = container_of(list_last(&u->riders), struct lease, ride);
	if (!is_shared(u)) {
		l->ops->drained(l);
		return;
	}
	u->busy = true;
	l->ops->drained(l);
	u->busy = false;
	share_grant(u);
}

void
upconn_failed(struct conn *c, int error)
{
	struct upconn *u = upconn_of(c);

	if (u->state == UPCONN_LEASED && is_shared(u))
		upconn_lost(u, error);
	else if (u->state == UPCONN_LEASED)
		first_rider(u)->ops->gone(first_rider(u), error);
	else if (u->state == UPCONN_IDLE) {
		upkeep_closed_by_server(u);
		upconn_close(u, DISCARD_CLOSED_IDLE);
	} else
		upconn_broken(u, FAULT_RESET, error);
}

void
upconn_kill(struct upconn *u)
{
	if (u->state == UPCONN_LEASED) {
		upconn_mark(u, MARK_BROKEN, "closed by hand");
		/* Whatever it was doomed to before: tunnels are from their
		   beginning. */
		u->doom = DISCARD_KILLED;
		conn_fail(&u->conn, ECANCELED);
	}
	/* Who answers in his turn may have it yet: he gives it back then. Who
	   has gone may have taken shelf and site with him. */
	if (u->state != UPCONN_CLOSED &&
	    (u->state != UPCONN_LEASED || list_empty(&u->riders)))
		upconn_close(u, DISCARD_KILLED);
}
