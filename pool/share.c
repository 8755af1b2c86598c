/*
 * Shared connections. See share.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/share.h"

#include <string.h>

void
share_begin(struct upconn *u)
{
	if (!list_linked(&u->shared))
		list_append(&u->shelf->shared, &u->shared);
}

void
share_end(struct upconn *u)
{
	struct pool *p = u->pool;

	if (!list_linked(&u->shared))
		return;
	list_remove(&u->shared);
	/* Some may wait for this one, and are to go elsewhere. */
	if (p->riding > 0)
		deadline_set(p->worker, &p->holding, 0);
}

static unsigned
room_on(const struct upconn *u)
{
	return u->pool->upstream->peer->room(u);
}

/* What a retired pool has is not kept, but good for who still asks; and who
   rides along takes no place of a pool that has too many. */
static bool
is_usable(const struct upconn *u)
{
	enum discard why = upconn_overdue(u);

	return u->mark == MARK_CLEAN && !u->conn.eof && !u->conn.broken &&
	    (why == N_DISCARDS || why == DISCARD_RETIRED ||
	    why == DISCARD_SURPLUS);
}

void
share_again(struct upconn *u)
{
	const struct list *l;
	int64_t n = 0;

	if (u->state != UPCONN_LEASED || u->alone)
		return;
	for (l = u->shelf->shared.next; l != &u->shelf->shared; l = l->next)
		n++;
	if (n < u->pool->conf->pool.shared && is_usable(u))
		share_begin(u);
}

static unsigned
riders_of(const struct upconn *u)
{
	const struct list *l;
	unsigned n = 0;

	for (l = u->riders.next; l != &u->riders; l = l->next)
		n++;
	return n;
}

static bool
is_emptier(const struct upconn *u, const struct upconn *than)
{
	return riders_of(u) < riders_of(than);
}

/* a->fresh: of one that was made since it asked others may have been first. All
   who rode on one that died ask at once, and one new one is for them all. */
static bool
is_stale(const struct ask *a, const struct upconn *u)
{
	return a->fresh && u->uses > 0 && u->born_ns < a->since_ns;
}

/* Is a one of those for whom u, which is open to all of its key, is made? */
static bool
is_for(const struct upconn *u, const struct ask *a)
{
	const struct shelf *sh = u->shelf;

	return a->share && a->with == NULL && !is_stale(a, u) &&
	    ask_is_for_key_of(a, sh) && ask_wants(a, sh->site);
}

struct upconn *
share_find(struct ask *a, struct site *site, bool *coming)
{
	struct shelf *sh = shelf_find(site, a->key, ask_key_size(a));
	struct upconn *best = NULL;
	struct list *l, *tmp;
	int64_t n = 0;

	*coming = false;
	if (sh == NULL)
		return NULL;
	list_each(l, tmp, &sh->shared) {
		struct upconn *u = container_of(l, struct upconn, shared);

		if (u->state == UPCONN_LEASED && unlikely(!is_usable(u))) {
			/* It leaves when the last of its riders has. */
			share_end(u);
			continue;
		}
		if (is_stale(a, u))
			continue;
		n++;
		if (u->state == UPCONN_LEASED && room_on(u) > 0 &&
		    (best == NULL || is_emptier(u, best)))
			best = u;
	}
	/* Another may be opened while there are fewer than `shared`, but only
	   when those that there are carry somebody. */
	if (n >= a->pool->conf->pool.shared || (best == NULL && n > 0)) {
		*coming = best == NULL;
		return best;
	}
	return NULL;
}

/* One with room, wherever a may go. *coming: there is none, but one that is
   opening or full. */
static struct upconn *
find_anywhere(const struct ask *a, bool *coming)
{
	struct upconn *best = NULL;
	struct list *l, *m;

	*coming = false;
	for (l = a->pool->sites.next; l != &a->pool->sites; l = l->next) {
		struct site *site = container_of(l, struct site, link);
		struct shelf *sh = shelf_find(site, a->key, ask_key_size(a));

		if (sh == NULL)
			continue;
		for (m = sh->shared.next; m != &sh->shared; m = m->next) {
			struct upconn *u =
			    container_of(m, struct upconn, shared);
			bool opens = u->state != UPCONN_LEASED;

			if (!is_for(u, a) || (!opens && !is_usable(u)))
				continue;
			if (opens || room_on(u) == 0)
				*coming = true;
			else if (best == NULL || is_emptier(u, best))
				best = u;
		}
	}
	return best;
}

struct upconn *
share_find_anywhere(const struct ask *a)
{
	bool coming;

	return a->share && a->with == NULL ? find_anywhere(a, &coming) : NULL;
}

void
share_await(struct ask *a, bool on)
{
	if (a->awaits_ride == on)
		return;
	a->awaits_ride = on;
	if (!list_linked(&a->link))
		return;
	a->pool->riding += on ? 1 : -1u;
	pool_publish_waiting(a->pool);
}

/* The next who waits for u, if it is open to him. */
static struct ask *
next_for(struct upconn *u)
{
	struct pool *p = u->pool;
	bool open;
	struct list *l;

	if (list_empty(&p->asks) || u->mark == MARK_BROKEN)
		return NULL;
	/* It may be overdue since they began to wait, or since the last one of
	   them was granted. */
	open = list_linked(&u->shared) &&
	    (u->state != UPCONN_LEASED || is_usable(u));
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->with == u || (open && is_for(u, a)))
			return a;
	}
	return NULL;
}

void
share_grant(struct upconn *u)
{
	struct ask *a;

	if (u->busy || u->state == UPCONN_CLOSED)
		return;
	/* Who is granted may give back at once: it goes home after all. */
	u->busy = true;
	while (u->state != UPCONN_CLOSED && room_on(u) > 0 &&
	    (a = next_for(u)) != NULL)
		ask_grant(a, u);
	/* It has come of age, now or while it was full: those who still wait
	   go elsewhere. */
	if (u->state == UPCONN_LEASED && !list_empty(&u->pool->asks) &&
	    !is_usable(u))
		share_end(u);
	u->busy = false;
	if (u->state == UPCONN_LEASED && list_empty(&u->riders))
		upconn_home(u);
}

void
share_dealt_with(struct upconn *u)
{
	u->busy = false;
	if (u->state != UPCONN_LEASED)
		return;
	/* It may have been opened again meanwhile. */
	if (!list_empty(&u->riders))
		share_grant(u);
	else
		upconn_home(u);
}

/* Where a may ride now, if that is so; else what it waits for may be over. */
static struct upconn *
look_again(struct ask *a)
{
	struct upconn *u = a->with;
	bool coming = true;

	if (u == NULL)
		u = find_anywhere(a, &coming);
	else if (room_on(u) == 0)
		u = NULL;
	if (!coming)
		share_await(a, false);
	/* One that is dealt with is granted afterwards. */
	return u != NULL && !u->busy && next_for(u) != NULL ? u : NULL;
}

void
share_look(struct pool *p)
{
	struct list *l;

	if (!pool_shares(p) || p->unserved == 0)
		return;
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);
		struct upconn *u = NULL;

		if (a->opening == NULL && (a->share || a->with != NULL))
			u = look_again(a);
		if (u == NULL)
			continue;
		/* Whoever is granted may do anything: from the beginning. */
		share_grant(u);
		l = &p->asks;
	}
}

/* Is there another one that a may ride on, or is one coming? */
static bool
has_another(const struct ask *a, const struct upconn *than)
{
	const struct list *l, *m;

	for (l = a->pool->sites.next; l != &a->pool->sites; l = l->next) {
		struct site *site = container_of(l, struct site, link);
		const struct shelf *sh =
		    shelf_find(site, a->key, ask_key_size(a));

		if (sh == NULL)
			continue;
		for (m = sh->shared.next; m != &sh->shared; m = m->next) {
			const struct upconn *u =
			    container_of(m, const struct upconn, shared);

			if (u != than && is_for(u, a) &&
			    (u->state != UPCONN_LEASED || is_usable(u)))
				return true;
		}
	}
	return false;
}

static struct ask *
next_to_refuse(struct upconn *u, uint64_t newest)
{
	struct pool *p = u->pool;
	struct list *l;

	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->seq <= newest && a->opening == NULL && is_for(u, a) &&
		    !has_another(a, u))
			return a;
	}
	return NULL;
}

void
share_refuse(struct upconn *u, uint64_t newest, enum refusal why, int error,
    const char *said)
{
	struct ask *a;

	while ((a = next_to_refuse(u, newest)) != NULL) {
		if (why != REFUSAL_NO_DESCRIPTORS)
			a->failed = u->shelf->site->endpoint;
		a->said = said;
		ask_refuse(a, why, error);
	}
}

void
share_forget(struct upconn *u)
{
	struct pool *p = u->pool;
	struct list *l, *tmp;

	share_end(u);
	if (p->followers == 0)
		return;
	list_each(l, tmp, &p->asks) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->with != u)
			continue;
		a->with = NULL;
		p->followers--;
		share_await(a, false);
		deadline_set(p->worker, &p->holding, 0);
		if (a->lasts && !a->pins)
			a->pins = upstream_pin_take(p->upstream);
	}
}
