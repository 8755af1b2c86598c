/*
 * The books of an upstream. See books.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/books.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pool/lease.h"
#include "pool/park.h"

#define SAME(what, got, want) do {                                           \
	unsigned long long got_ = (got), want_ = (want);                      \
	if (got_ != want_)                                                    \
		fail_msg("%s: is %llu, should be %llu", what, got_, want_);   \
} while (0)

struct tally {
	unsigned idle, leased, opening, pinned;
	int64_t oldest_lease_ns;
};

#define NOTHING ((struct tally){ .oldest_lease_ns = INT64_MAX })

static void
tally_add(struct tally *t, const struct upconn *u)
{
	switch (u->state) {
	case UPCONN_IDLE:
		t->idle++;
		return;
	case UPCONN_LEASED:
		t->leased++;
		t->pinned += u->pinned;
		if (u->since_ns < t->oldest_lease_ns)
			t->oldest_lease_ns = u->since_ns;
		return;
	case UPCONN_CONNECTING:
	case UPCONN_GREETING:
	case UPCONN_WASHING:
		t->opening++;
		return;
	case UPCONN_CLOSED:
		fail_msg("a closed connection is on its pool's list");
	}
}

/* ------------------------------------------------------------- connections */

static unsigned
times_on(const struct list *head, const struct list *link)
{
	const struct list *l;
	unsigned n = 0;

	for (l = head->next; l != head; l = l->next)
		n += l == link;
	return n;
}

/* One lease, or in shared mode any number, and only while it is leased. */
static void
check_riders(const struct upconn *u)
{
	const struct list *l;
	unsigned n = 0;

	for (l = u->riders.next; l != &u->riders; l = l->next, n++)
		assert_ptr_equal(container_of(l, const struct lease, ride)->u,
		    u);
	assert_int_equal(n > 0, u->state == UPCONN_LEASED);
	if (u->pool->upstream->peer->room == NULL)
		assert_true(n <= 1);
}

static void
check_upconn(struct pool *p, struct upconn *u)
{
	assert_ptr_equal(u->pool, p);
	assert_ptr_equal(u->shelf->site->pool, p);
	assert_true(u->conn.open);
	assert_ptr_equal(u->conn.w, p->worker);
	SAME("times on its shelf's idle list",
	    times_on(&u->shelf->idle, &u->link), u->state == UPCONN_IDLE);
	SAME("times on the list of what is lent", times_on(&p->lent, &u->link),
	    u->state == UPCONN_LEASED);
	check_riders(u);
	assert_true(!u->pinned || u->state == UPCONN_LEASED);
	assert_true(!u->pins || u->state == UPCONN_LEASED);
	SAME("times on its shelf's list of the shared",
	    times_on(&u->shelf->shared, &u->shared), list_linked(&u->shared));
	if (u->alone) {
		SAME("state of one that is leased alone", u->state,
		    UPCONN_LEASED);
		assert_false(list_linked(&u->shared));
	}
	if (list_linked(&u->shared))
		assert_int_not_equal(u->state, UPCONN_IDLE);
	if (u->opener != NULL) {
		assert_ptr_equal(u->opener->opening, u);
		SAME("times its opener is in the queue",
		    times_on(&p->asks, &u->opener->link), 1);
	}
	if (u->state == UPCONN_IDLE) {
		SAME("mark of an idle connection", u->mark, MARK_CLEAN);
		assert_null(u->opener);
		assert_false(deadline_armed(&u->deadline));
		assert_false(u->conn.eof);
	}
}

static unsigned
on_shelf(const struct pool *p, const struct shelf *sh)
{
	const struct list *l;
	unsigned n = 0;

	for (l = p->upconns.next; l != &p->upconns; l = l->next)
		n += container_of(l, const struct upconn, all)->shelf == sh;
	return n;
}

static void
check_idle_list(const struct shelf *sh)
{
	const struct list *l;

	for (l = sh->idle.next; l != &sh->idle; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, link);

		assert_ptr_equal(u->shelf, sh);
		SAME("state on an idle list", u->state, UPCONN_IDLE);
		if (l->next != &sh->idle && container_of(l->next,
		    const struct upconn, link)->since_ns > u->since_ns)
			fail_msg("an idle list is not in order");
	}
}

static unsigned
idle_at(const struct pool *p, const struct site *site)
{
	const struct list *l;
	unsigned n = 0;

	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		n += u->state == UPCONN_IDLE && u->shelf->site == site;
	}
	return n;
}

static void
check_site(struct pool *p, struct site *site)
{
	struct shelf *sh, *tmp;
	unsigned open = 0;

	assert_true(site->current || site->open > 0);
	assert_non_null(site->keyless);
	SAME("open of the keyless shelf", site->keyless->open,
	    on_shelf(p, site->keyless));
	check_idle_list(site->keyless);
	open += site->keyless->open;
	HASH_ITER(hh, site->keyed, sh, tmp) {
		if (sh->open == 0)
			fail_msg("a keyed shelf is empty");
		SAME("open of a keyed shelf", sh->open, on_shelf(p, sh));
		check_idle_list(sh);
		open += sh->open;
	}
	SAME("open of the site", site->open, open);
	SAME("idle of the site", site->idle, idle_at(p, site));
}

/* ------------------------------------------------------------------- queues */

/* Those that wait until they may be leased alone for long. */
static unsigned
check_pin_queue(const struct pool *p)
{
	const struct list *l;
	unsigned n = 0;

	for (l = p->pin_asks.next; l != &p->pin_asks; l = l->next, n++) {
		const struct ask *a = container_of(l, const struct ask, link);

		assert_ptr_equal(a->pool, p);
		assert_true(a->awaits_pin && a->lasts && !a->pins);
		assert_null(a->lease);
		assert_null(a->opening);
		if (p->conf->pool.queue_timeout_ms < CONF_OFF)
			assert_true(deadline_armed(&a->deadline));
	}
	/* Others' pins that end are not told of. */
	if (n > 0 && (p->upstream->n_pools > 1 ||
	    atomic_load(&p->upstream->pins) <
	    atomic_load(&p->upstream->pins_most)))
		assert_true(deadline_armed(&p->pin_look));
	return n;
}

/* Those that wait while nothing new begins. */
static unsigned
check_parked(const struct pool *p)
{
	const struct list *l = list_first(&p->parked);
	unsigned n = 0;

	assert_true((uint64_t)atomic_load(&p->oldest_parked_ns) ==
	    (uint64_t)(l != NULL ? container_of(l, const struct ask,
	    link)->since_ns : INT64_MAX));
	for (l = p->parked.next; l != &p->parked; l = l->next, n++) {
		const struct ask *a = container_of(l, const struct ask, link);

		assert_ptr_equal(a->pool, p);
		assert_true(a->is_parked && !a->awaits_pin);
		assert_false(a->awaits_ride);
		assert_null(a->with);
		assert_null(a->lease);
		assert_null(a->opening);
		if (p->conf->pool.queue_timeout_ms < CONF_OFF)
			assert_true(deadline_armed(&a->deadline));
	}
	SAME("parked", atomic_load(&p->n_parked), n);
	return n;
}

static void
check_queue(struct pool *p)
{
	unsigned waiting = check_pin_queue(p) + check_parked(p);
	unsigned unserved = 0, followers = 0;
	unsigned riding = 0;
	int64_t oldest = INT64_MAX;
	struct list *l;

	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		assert_ptr_equal(a->pool, p);
		assert_null(a->lease);
		assert_false(a->awaits_pin || a->is_parked);
		waiting++;
		followers += a->with != NULL;
		if (a->with != NULL)
			SAME("state of one that is followed", a->with->state,
			    UPCONN_LEASED);
		if (a->opening != NULL) {
			assert_ptr_equal(a->opening->opener, a);
			assert_false(a->awaits_ride || a->awaits_quota);
			continue;
		}
		unserved++;
		assert_false(a->awaits_ride && a->awaits_quota);
		riding += a->awaits_ride || a->awaits_quota;
		if (ask_needs_place(a) && unserved - riding == 1)
			oldest = a->since_ns;
		if (p->conf->pool.queue_timeout_ms < CONF_OFF)
			assert_true(deadline_armed(&a->deadline));
	}
	SAME("waiting", atomic_load(&p->waiting), waiting);
	SAME("unserved", p->unserved, unserved);
	SAME("riding", p->riding, riding);
	SAME("followers", p->followers, followers);
	/* With key_hash those that wait for a full endpoint are passed over. */
	if (p->conf->balance == CONF_KEY_HASH && p->upstream->n_pools > 1)
		assert_true((uint64_t)atomic_load(&p->oldest_ns) >=
		    (uint64_t)oldest);
	else
		SAME("oldest_ns", atomic_load(&p->oldest_ns), oldest);
	SAME("gifts", p->gifts, 0);
	assert_false(p->serving);
}

static void
check_pool(struct pool *p)
{
	struct tally t = NOTHING;
	struct list *l;
	unsigned all = 0, open = 0;

	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		struct upconn *u = container_of(l, struct upconn, all);

		check_upconn(p, u);
		tally_add(&t, u);
		all++;
	}
	SAME("idle", atomic_load(&p->idle), t.idle);
	SAME("leased", atomic_load(&p->leased), t.leased);
	SAME("opening", atomic_load(&p->opening), t.opening);
	SAME("pinned", atomic_load(&p->pinned), t.pinned);
	SAME("oldest_lease_ns", atomic_load(&p->oldest_lease_ns),
	    t.oldest_lease_ns);
	for (l = p->sites.next; l != &p->sites; l = l->next) {
		struct site *site = container_of(l, struct site, link);

		check_site(p, site);
		open += site->open;
	}
	SAME("connections of all sites", open, all);
	check_queue(p);
}

/* ---------------------------------------------------------------- endpoints */

/* Every connection of the endpoint, of all workers. */
static void
check_endpoint(const struct upstream *up, const struct endpoint *e,
    bool at_rest)
{
	struct tally t = NOTHING;
	unsigned sum;
	size_t i;

	for (i = 0; i < up->n_pools; i++) {
		const struct pool *p = up->pools[i];
		const struct list *l;

		for (l = p->upconns.next; l != &p->upconns; l = l->next) {
			const struct upconn *u =
			    container_of(l, const struct upconn, all);

			if (u->shelf->site->endpoint == e)
				tally_add(&t, u);
		}
	}
	sum = t.idle + t.leased + t.opening;
	SAME("leased of the endpoint", atomic_load(&e->leased), t.leased);
	SAME("opening of the endpoint", atomic_load(&e->opening), t.opening);
	if (at_rest)
		SAME("open of the endpoint", atomic_load(&e->open), sum);
	else
		assert_true(atomic_load(&e->open) >= sum);
}

/* Leases that last, and asks that will have one. */
static unsigned
pins_of(const struct pool *p)
{
	const struct list *l;
	unsigned n = 0;

	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		/* Where none is shared, all leases are alone. */
		assert_true(!u->pins || u->alone ||
		    p->conf->pool.span != CONF_SPAN_OWED);
		n += u->pins;
	}
	for (l = p->asks.next; l != &p->asks; l = l->next)
		n += container_of(l, const struct ask, link)->pins;
	for (l = p->parked.next; l != &p->parked; l = l->next)
		n += container_of(l, const struct ask, link)->pins;
	return n;
}

void
books_check(const struct upstream *up, bool at_rest)
{
	const struct list *l;
	unsigned sum = 0, pins = 0;
	size_t i;

	/* Nothing can be on its way from a worker to itself. */
	at_rest = at_rest || up->n_pools == 1;
	for (i = 0; i < up->n_pools; i++) {
		struct pool *p = up->pools[i];

		check_pool(p);
		pins += pins_of(p);
		sum += atomic_load(&p->idle) + atomic_load(&p->leased) +
		    atomic_load(&p->opening);
		for (l = p->sites.next; l != &p->sites; l = l->next)
			check_endpoint(up, container_of(l, const struct site,
			    link)->endpoint, at_rest);
	}
	SAME("pins", atomic_load(&up->pins), pins);
	if (at_rest)
		SAME("open", atomic_load(&up->open), sum);
	else
		assert_true(atomic_load(&up->open) >= sum);
}

/* ------------------------------------------------------------ lost wake-ups */

/* Which endpoints take new work, worked out anew: those of the lowest rank. */
enum { PRIMARY, BACKUP, TRIED, TRIED_BACKUP, NOWHERE };

static unsigned
rank_of(const struct pool *p, const struct site *site)
{
	const struct endpoint *e = site->endpoint;
	unsigned bars = atomic_load(&e->bars);
	unsigned second = atomic_load(&e->backup) ? BACKUP : PRIMARY;

	if (!site->current ||
	    atomic_load(&e->hold_until_ns) > p->worker->now_ns)
		return NOWHERE;
	if (bars == 0)
		return second;
	return p->conf->when_all_down == CONF_ALL_DOWN_TRY &&
	    (bars & ~(unsigned)(BAR_CHECK | BAR_EJECTED)) == 0 ?
	    TRIED + second : NOWHERE;
}

bool
books_takes(const struct pool *p, const struct endpoint *e)
{
	unsigned lowest = NOWHERE, its = NOWHERE;
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);
		unsigned rank = rank_of(p, site);

		if (site->endpoint == e)
			its = rank;
		if (rank < lowest)
			lowest = rank;
	}
	return its < NOWHERE && its == lowest;
}

/* A hold may have begun or ended so lately that the pool has not seen to it:
   nobody tells it. */
static bool
is_settling(const struct pool *p)
{
	const struct list *l;

	/* Nor of the end of this one but for its own deadline. */
	if (atomic_load(&p->upstream->opens_ns) > p->worker->now_ns)
		return true;
	for (l = p->sites.next; l != &p->sites; l = l->next) {
		int64_t until = atomic_load(&container_of(l,
		    const struct site, link)->endpoint->hold_until_ns);

		if (until != 0 &&
		    until > p->worker->now_ns - 1100 * NS_PER_MS)
			return true;
	}
	return false;
}

static bool
room_at(const struct site *site)
{
	return atomic_load(&site->endpoint->open) <
	    atomic_load(&site->endpoint->most);
}

/* Is another endpoint to be avoided for, or the one that a is bound to to be
   waited for? */
static bool
goes_elsewhere(const struct pool *p, const struct ask *a,
    const struct site *here)
{
	bool bound = a->bound != NULL &&
	    p->conf->balance == CONF_SOURCE_HASH;
	const struct list *l;

	if (p->conf->balance == CONF_KEY_HASH)
		return false;
	if (bound ? a->bound == here->endpoint : a->avoid != here->endpoint)
		return false;
	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (site == here || !books_takes(p, site->endpoint))
			continue;
		if (bound ? site->endpoint == a->bound &&
		    (room_at(site) || site->idle > 0) : room_at(site))
			return true;
	}
	return false;
}

static bool
may_go(const struct pool *p, const struct ask *a, const struct site *site)
{
	if (p->conf->balance == CONF_KEY_HASH && a->bound != site->endpoint)
		return false;
	return books_takes(p, site->endpoint) && !goes_elsewhere(p, a, site);
}

static bool
fits_wish(const struct pool *p, const struct ask *a, const struct upconn *u)
{
	const struct shelf *sh = u->shelf;

	return !(a->fresh && u->uses > 0) && may_go(p, a, sh->site) &&
	    ask_is_for_key_of(a, sh);
}

static bool
fits(const struct pool *p, const struct ask *a, const struct upconn *u)
{
	return u->state == UPCONN_IDLE && u->shelf->site->current &&
	    upconn_overdue(u) == N_DISCARDS && fits_wish(p, a, u);
}

/* Could a be opened a connection at this site, once `freed` is closed there? */
static bool
has_room(const struct pool *p, const struct ask *a, const struct site *site,
    bool freed)
{
	const struct endpoint *e = site->endpoint;

	return may_go(p, a, site) &&
	    atomic_load(&e->open) < (uint64_t)atomic_load(&e->most) + freed;
}

static bool
room_somewhere(const struct pool *p, const struct ask *a,
    const struct site *freed)
{
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (has_room(p, a, site, site == freed))
			return true;
	}
	return false;
}

/* Of one that was made since it asked others may have been first. */
static bool
may_ride(const struct pool *p, const struct ask *a, const struct upconn *u)
{
	const struct shelf *sh = u->shelf;

	return a->share && list_linked(&u->shared) &&
	    !(a->fresh && u->uses > 0 && u->born_ns < a->since_ns) &&
	    may_go(p, a, sh->site) && ask_is_for_key_of(a, sh);
}

static bool
has_seat(const struct pool *p, const struct upconn *u)
{
	enum discard why = upconn_overdue(u);

	/* To ride along takes no place. */
	return u->state == UPCONN_LEASED && u->mark == MARK_CLEAN &&
	    !u->conn.eof && (why == N_DISCARDS || why == DISCARD_SURPLUS ||
	    why == DISCARD_RETIRED) &&
	    p->upstream->peer->room(u) > 0;
}

/* Does a wait for a connection that others ride, too, and that is coming, or
   full? It may not when one has room. */
static bool
awaits_ride(const struct pool *p, const struct ask *a)
{
	const struct list *l;
	bool comes = false, has_room = false;

	if (a->with != NULL) {
		if (p->upstream->peer->room(a->with) > 0 &&
		    a->with->mark != MARK_BROKEN)
			fail_msg("an ask waits for the connection that it is "
			    "with, which has room");
		return true;
	}
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		if (!may_ride(p, a, u))
			continue;
		if (has_seat(p, u))
			has_room = true;
		else if (u->state != UPCONN_LEASED ||
		    p->upstream->peer->room(u) == 0)
			comes = true;
	}
	if (has_room && !comes)
		fail_msg("an ask waits beside a shared connection that has "
		    "room");
	return comes;
}

/* Was something opened for somebody who is served, which fits a? */
static bool
something_comes(const struct pool *p, const struct ask *a)
{
	const struct list *l;

	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		if (u->state != UPCONN_IDLE && u->state != UPCONN_LEASED &&
		    u->opener == NULL && fits_wish(p, a, u))
			return true;
	}
	return false;
}

/* Has p idle connections that may go, or whose places alone would help? */
static bool
has_to_give(const struct upstream *up, const struct pool *p, bool places)
{
	const struct list *l;

	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		if (u->state == UPCONN_IDLE &&
		    (books_takes(p, u->shelf->site->endpoint) || (places &&
		    upstream_open(up) >= atomic_load(&up->most))))
			return true;
	}
	return false;
}

/* The first of a pool for which nothing is opening: the others wait for it. */
static void
check_head(const struct upstream *up, struct pool *p, const struct ask *a)
{
	const struct list *l;
	size_t i;

	if (upstream_open(up) < atomic_load(&up->most) &&
	    room_somewhere(p, a, NULL))
		fail_msg("an ask waits beside a free place");
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		if (u->state == UPCONN_IDLE &&
		    upstream_open(up) <= atomic_load(&up->most) &&
		    room_somewhere(p, a, u->shelf->site))
			fail_msg("an ask waits for the place of an idle "
			    "connection that does not fit");
	}
	for (i = 0; i < up->n_pools; i++)
		if (up->pools[i] != p && has_to_give(up, up->pools[i],
		    room_somewhere(p, a, NULL)) &&
		    pool_elder(up->pools[i]) == p && !something_comes(p, a))
			fail_msg("an ask waits beside an idle connection of "
			    "another worker");
}

void
books_check_nobody_forgotten(const struct upstream *up)
{
	size_t i;

	for (i = 0; i < up->n_pools; i++) {
		struct pool *p = up->pools[i];
		const struct ask *head = NULL;
		struct list *l, *m;

		if (!park_is_on(p) && !list_empty(&p->parked))
			fail_msg("an ask is parked though nothing keeps it");
		if (is_settling(p))
			continue;
		for (l = p->asks.next; l != &p->asks; l = l->next) {
			const struct ask *a =
			    container_of(l, const struct ask, link);

			/* What is opening for it is where the balancer wants
			   it, also when others are idle. */
			if (a->opening != NULL || awaits_ride(p, a) ||
			    a->awaits_quota)
				continue;
			if (head == NULL)
				head = a;
			for (m = p->upconns.next; m != &p->upconns; m = m->next)
				if (fits(p, a, container_of(m, struct upconn,
				    all)))
					fail_msg("an ask waits beside an idle "
					    "connection that fits");
		}
		if (head != NULL && pool_elder(p) == NULL)
			check_head(up, p, head);
	}
}
